/* api.c - finding Apple's frameworks, and asking them whether they are what the table says. */
#include "backend/metal/api.h"
#include "base/base.h"
#include "base/dynlib.h"
#include "base/memory.h"
#include "base/text.h"

#include <pthread.h>
#include <stdio.h>

/* ---- opening ---- */

typedef struct symbol {
    const char *name;
    size_t offset; /* of its field in the table */
} symbol;

static const symbol functions[] = {
#define SYMBOL(field, name, returns, parameters) { name, offsetof(fnd_metal_api, field) },
    FND_METAL_FUNCTIONS(SYMBOL)
#undef SYMBOL
};

typedef struct row {
    const char *owner, *selector, *encoding;
} row;

static const row rows[FND_MTL_METHODS] = {
#define ROW(name, owner, selector, returns, encoding, shape) { #owner, selector, encoding },
    FND_METAL_METHODS(ROW) FND_METAL_STRUCT_METHODS(ROW)
#undef ROW
};

static const char *class_name(const char *owner) {
#define OWNER(word, name) \
    if (strcmp(owner, #word) == 0) return name;
    FND_METAL_OWNERS(OWNER)
#undef OWNER
    return NULL;
}

/* Where Apple's systems keep them. */
static const char *const frameworks[] = {
    "/usr/lib/libobjc.A.dylib",
    "/usr/lib/libSystem.B.dylib",
    "/System/Library/Frameworks/Foundation.framework/Foundation",
    "/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
    "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics", /* without it a command line tool has no default device */
    "/System/Library/Frameworks/IOKit.framework/IOKit",
    "/System/Library/Frameworks/Metal.framework/Metal",
};

/* What was opened: kept for the life of the process, since classes are never unloaded. */
typedef struct opened {
    char *library; /* NULL: Apple's */
    fnd_dynlib *handles[FND_COUNT(frameworks)];
    size_t handle_count;
    fnd_metal_api api;
    fnd_error why_not;
    struct opened *next;
} opened;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static opened *all;

static void *find(const opened *o, const char *name) {
    void *address = NULL;
    for (size_t i = 0; i < o->handle_count && !address; i++) address = fnd_dynlib_find(o->handles[i], name);
    return address;
}

static fnd_status open_libraries(opened *o, fnd_error *err) {
    const char *const *names = o->library ? (const char *const *)&o->library : frameworks;
    size_t count = o->library ? 1 : FND_COUNT(frameworks);
    fnd_error why = { 0 };
    for (size_t i = 0; i < count; i++) {
        if (fnd_dynlib_open(names[i], &o->handles[o->handle_count], &why) != FND_OK) return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no Metal here, which is a part of macOS: %s", why.text);
        o->handle_count++;
    }
    return FND_OK;
}

/* Every pointer of the table is of one size: what POSIX means by dlsym. */
static fnd_status fill(opened *o, fnd_error *err) {
    fnd_metal_api *m = &o->api;
    for (size_t i = 0; i < FND_COUNT(functions); i++) {
        void *address = find(o, functions[i].name);
        if (!address) return fnd_fail(err, FND_ERR_UNSUPPORTED, "this system is too old for Metal's part of Foundry: it has no %s; macOS 13 or newer is needed", functions[i].name);
        memcpy((char *)m + functions[i].offset, &address, sizeof address);
    }
    m->send_struct = m->send;
#ifdef __x86_64__
    void *other = find(o, "objc_msgSend_stret");
    if (other) memcpy(&m->send_struct, &other, sizeof other);
#endif
    m->stack_block = find(o, "_NSConcreteStackBlock");
    for (size_t i = 0; i < FND_MTL_METHODS; i++) m->selectors[i] = m->register_selector(rows[i].selector);
    m->string_class = m->get_class(class_name("STRING_CLASS"));
    m->options_class = m->get_class(class_name("COMPILE_OPTIONS"));
    m->descriptor_class = m->get_class(class_name("PIPELINE_DESCRIPTOR"));
    if (m->stack_block && m->string_class && m->options_class && m->descriptor_class) return FND_OK;
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "this system is too old for Metal's part of Foundry: a class is missing; macOS 13 or newer is needed");
}

static bool is_of(const opened *o, const char *library) { return library && o->library ? strcmp(library, o->library) == 0 : library == o->library; }

fnd_status fnd_metal_api_open(const char *library, const fnd_metal_api **out, fnd_error *err) {
    fnd_status status = FND_OK;
    pthread_mutex_lock(&lock);
    opened *o = all;
    while (o && !is_of(o, library)) o = o->next;
    if (!o) {
        o = fnd_alloc_zeroed(1, sizeof *o);
        if (o && library) o->library = fnd_alloc_string(library, strlen(library));
        if (o && (!library || o->library)) {
            if (open_libraries(o, &o->why_not) == FND_OK) (void)fill(o, &o->why_not);
            o->next = all;
            all = o;
        } else {
            fnd_free_memory(o);
            o = NULL;
            status = fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening Metal");
        }
    }
    if (o && o->why_not.status != FND_OK) status = fnd_fail(err, o->why_not.status, "%s", o->why_not.text);
    *out = o ? &o->api : NULL;
    pthread_mutex_unlock(&lock);
    return status;
}

/* ---- texts ---- */

fnd_id fnd_metal_string(const fnd_metal_api *m, const char *text) {
    fnd_id string = fnd_mtl_string_from(m, m->string_class, text);
    return string ? string : fnd_mtl_string_from(m, m->string_class, "?"); /* not UTF-8 */
}

void fnd_metal_error_text(const fnd_metal_api *m, fnd_id error, char *out, size_t bytes) {
    fnd_id domain = error ? fnd_mtl_error_domain(m, error) : NULL, text = error ? fnd_mtl_error_text(m, error) : NULL;
    if (!error) {
        snprintf(out, bytes, "Metal failed and said nothing");
        return;
    }
    const char *name = domain ? fnd_mtl_string_text(m, domain) : NULL, *says = text ? fnd_mtl_string_text(m, text) : NULL;
    snprintf(out, bytes, "%s %lld: %s", name ? name : "?", (long long)fnd_mtl_error_code(m, error), says ? says : "?");
}

/* ---- comparing the rows with the system ---- */

void fnd_metal_plain_encoding(const char *encoding, char *out, size_t bytes) {
    size_t used = 0;
    bool in_struct = false;
    for (const char *p = encoding; *p && used + 1 < bytes; p++) {
        if (*p == '{') in_struct = true;
        if (*p == '}') in_struct = false;
        if (!in_struct && strchr("rnNoORV0123456789", *p)) continue;
        if (*p == '"') { /* a class's name behind an object */
            const char *end = strchr(p + 1, '"');
            if (end) p = end;
            continue;
        }
        out[used++] = *p == 'c' ? 'B' : *p;            /* BOOL is a signed char on x86-64 */
        if (*p == '@' && p[1] == '?' && p[2] == '<') { /* a block's own encoding */
            int depth = 0;
            if (used + 1 < bytes) out[used++] = '?';
            for (p += 2; *p; p++) {
                depth += (*p == '<') - (*p == '>');
                if (depth == 0) break;
            }
            if (!*p) break;
        }
    }
    out[used] = '\0';
}

enum { MAX_OWNERS = 32 };

typedef struct sample {
    const char *owner;
    fnd_id object;
    bool owned;
} sample;

typedef struct samples {
    sample list[MAX_OWNERS];
    size_t count;
} samples;

static void add(samples *s, const char *owner, fnd_id object, bool owned) {
    if (s->count < MAX_OWNERS) s->list[s->count++] = (sample){ owner, object, owned };
}

/* One object of each kind. A text of two lines is enough for a library and a pipeline. */
static void make_samples(const fnd_metal_api *m, fnd_id device, samples *s) {
    fnd_id error = NULL, none = NULL, text = fnd_metal_string(m, "kernel void foundry_sample(device int *a) { a[0] = 1; }");
    fnd_id options = fnd_mtl_new_object(m, m->options_class), descriptor = fnd_mtl_new_object(m, m->descriptor_class);
    fnd_mtl_options_fast_math(m, options, false);
    fnd_mtl_options_language(m, options, FND_MTL_LANGUAGE_3_0);
    fnd_id library = fnd_mtl_device_library(m, device, text, options, &error);
    fnd_id function = library ? fnd_mtl_library_function(m, library, fnd_metal_string(m, "foundry_sample")) : NULL;
    if (function) fnd_mtl_descriptor_function(m, descriptor, function);
    fnd_id pipeline = function ? fnd_mtl_device_pipeline(m, device, descriptor, 0, NULL, &error) : NULL;
    fnd_id buffer = fnd_mtl_device_buffer(m, device, 16, FND_MTL_STORAGE_SHARED), queue = fnd_mtl_device_queue(m, device);
    fnd_id commands = queue ? fnd_mtl_queue_commands(m, queue) : NULL;
    fnd_id compute = commands ? fnd_mtl_commands_compute(m, commands, FND_MTL_DISPATCH_CONCURRENT) : NULL;
    if (compute) fnd_mtl_compute_finish(m, compute);
    fnd_id blit = commands ? fnd_mtl_commands_blit(m, commands) : NULL;
    if (blit) fnd_mtl_blit_finish(m, blit);
    error = NULL;
    none = fnd_mtl_device_library(m, device, fnd_metal_string(m, "this is no text"), options, &error);
    if (none) fnd_mtl_release(m, none);
    fnd_id devices = m->all_devices();
    add(s, "OBJECT", device, false);
    add(s, "CLASS", m->class_of(m->options_class), false);
    add(s, "STRING_CLASS", m->class_of(m->string_class), false);
    add(s, "STRING", text, false);
    add(s, "ARRAY", devices, true);
    add(s, "ERROR", error, false);
    add(s, "DEVICE", device, false);
    add(s, "COMPILE_OPTIONS", options, true);
    add(s, "LIBRARY", library, true);
    add(s, "PIPELINE_DESCRIPTOR", descriptor, true);
    add(s, "PIPELINE", pipeline, true);
    add(s, "BUFFER", buffer, true);
    add(s, "QUEUE", queue, true);
    add(s, "COMMANDS", commands, false);
    add(s, "COMPUTE", compute, false);
    add(s, "BLIT", blit, false);
    if (function) fnd_mtl_release(m, function);
}

/* Classes stand in the list as the class of the class, where its own methods are. */
static fnd_id class_to_ask(const fnd_metal_api *m, const sample *s) {
    return strstr(s->owner, "CLASS") ? s->object : m->class_of(s->object);
}

/* A sentence about the row when it is not the same. */
static bool compare_row(const fnd_metal_api *m, const samples *s, size_t index, fnd_text *said) {
    const row *r = &rows[index];
    char has[128];
    size_t i = 0;
    while (i < s->count && strcmp(s->list[i].owner, r->owner) != 0) i++;
    fnd_id object = i < s->count ? s->list[i].object : NULL, of = object ? class_to_ask(m, &s->list[i]) : NULL;
    void *method = of ? m->method_of(of, m->selectors[index]) : NULL;
    const char *encoding = method ? m->encoding_of(method) : NULL;
    fnd_metal_plain_encoding(encoding ? encoding : "", has, sizeof has);
    if (method && strcmp(has, r->encoding) == 0) return true;
    if (said->bytes) fnd_text_str(said, "; ");
    if (!object)
        fnd_text_printf(said, "no object could be made whose %s could be asked for (%s)", r->selector, r->owner);
    else if (!method)
        fnd_text_printf(said, "%s has no %s here", m->class_name(of), r->selector);
    else
        fnd_text_printf(said, "%s of %s has the types %s here, and %s in Foundry's table", r->selector, m->class_name(of), has, r->encoding);
    return false;
}

fnd_status fnd_metal_api_compare(const fnd_metal_api *m, fnd_id device, uint32_t *compared, fnd_error *err) {
    samples s = { .count = 0 };
    fnd_text said = { 0 };
    void *pool = m->push_pool();
    *compared = 0;
    make_samples(m, device, &s);
    for (size_t i = 0; i < FND_MTL_METHODS; i++) *compared += compare_row(m, &s, i, &said);
    for (size_t i = 0; i < s.count; i++) {
        if (s.list[i].owned && s.list[i].object) fnd_mtl_release(m, s.list[i].object);
    }
    m->pop_pool(pool);
    fnd_status status = FND_OK;
    uint32_t others = FND_MTL_METHODS - *compared;
    if (others) status = fnd_fail(err, FND_ERR_DEVICE, "%u of %d methods differ: %s", others, FND_MTL_METHODS, fnd_text_get(&said));
    fnd_text_free(&said);
    return status;
}
