/* device.c - the device, and what it makes: buffers, libraries, pipelines. */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SELF(type) ((type *)(void *)self)

STANDIN_EXPORT void *_NSConcreteStackBlock[32];
void *_NSConcreteStackBlock[32];

/* ---- the device ---- */

STANDIN_EXPORT object *MTLCreateSystemDefaultDevice(void);
STANDIN_EXPORT object *MTLCreateSystemDefaultDevice(void) {
    standin_lock();
    bool none = standin_set.no_device || standin_set.no_default;
    standin_unlock();
    return none ? NULL : standin_new(&class_StandinDevice);
}
STANDIN_EXPORT object *MTLCopyAllDevices(void);
STANDIN_EXPORT object *MTLCopyAllDevices(void) {
    array_object *array = (array_object *)(void *)standin_new(&class_NSArray);
    standin_lock();
    bool none = standin_set.no_device;
    standin_unlock();
    if (!none) array->items[array->count++] = standin_new(&class_StandinDevice);
    return &array->base;
}

static long allocated;

object *mtl_device_name(object *self, selector s) { return (void)self, (void)s, standin_autorelease(standin_string("Apple stand-in")); }
uint64_t mtl_device_registry_id(object *self, selector s) { return (void)self, (void)s, 4242; }
bool mtl_device_family(object *self, selector s, int64_t family) {
    (void)self, (void)s;
    if (family != 2002 && !(family >= 1001 && family <= 1010) && family != 5001) standin_violation("supportsFamily: %lld is no MTLGPUFamily", (long long)family);
    return family == 2002 || family == 5001 || (!standin_set.old_device && family >= 1001 && family <= 1007);
}
bool mtl_device_unified(object *self, selector s) { return (void)self, (void)s, standin_set.unified != 0; }
uint64_t mtl_device_max_buffer(object *self, selector s) { return (void)self, (void)s, (uint64_t)standin_set.max_buffer; }
uint64_t mtl_device_group_bytes(object *self, selector s) { return (void)self, (void)s, (uint64_t)standin_set.group_bytes; }
size3 mtl_device_max_threads(object *self, selector s) { return (void)self, (void)s, (size3){ (uint64_t)standin_set.max_threads, (uint64_t)standin_set.max_threads, (uint64_t)standin_set.max_threads }; }
uint64_t mtl_device_working_set(object *self, selector s) { return (void)self, (void)s, 1ull << 33; }
uint64_t mtl_device_allocated(object *self, selector s) { return (void)self, (void)s, (uint64_t)allocated; }
object *mtl_device_queue(object *self, selector s) { return (void)self, (void)s, standin_new(&class_StandinQueue); }

/* ---- buffers ---- */

enum { MODE_MASK = 15 << 4,
       MODE_SHARED = 0,
       MODE_PRIVATE = 2 << 4 };

static bool options_fit(const char *what, uint64_t options) {
    uint64_t mode = options & MODE_MASK;
    if ((mode == MODE_SHARED || mode == MODE_PRIVATE) && !(options & ~(uint64_t)MODE_MASK)) return true;
    standin_violation("%s: options %#llx", what, (unsigned long long)options);
    return false;
}

static object *new_buffer(const char *what, uint64_t length, uint64_t options, void *over) {
    if (!options_fit(what, options)) return NULL;
    if (length == 0) {
        standin_violation("%s: a length of 0", what);
        return NULL;
    }
    if (length > (uint64_t)standin_set.max_buffer) {
        standin_violation("%s: %llu bytes, more than maxBufferLength", what, (unsigned long long)length);
        return NULL;
    }
    if (standin_hits(&standin_set.fail_buffer)) return NULL;
    buffer_object *b = (buffer_object *)(void *)standin_new(&class_StandinBuffer);
    b->length = length;
    b->options = options;
    atomic_fetch_add(&standin_count.private, (options & MODE_MASK) == MODE_PRIVATE);
    if (!standin_memory(b, over)) {
        standin_release(&b->base);
        return NULL;
    }
    standin_lock();
    allocated += (long)length;
    standin_unlock();
    return &b->base;
}

object *mtl_device_buffer(object *self, selector s, uint64_t length, uint64_t options) {
    (void)self, (void)s;
    return new_buffer("newBufferWithLength", length, options, NULL);
}
object *mtl_device_buffer_from(object *self, selector s, const void *bytes, uint64_t length, uint64_t options) {
    (void)self, (void)s;
    if ((options & MODE_MASK) != MODE_SHARED) standin_violation("newBufferWithBytes: private memory cannot be filled by the host");
    object *o = new_buffer("newBufferWithBytes", length, options, NULL);
    if (o) memcpy(((buffer_object *)(void *)o)->memory, bytes, length);
    return o;
}
object *mtl_device_buffer_over(object *self, selector s, void *bytes, uint64_t length, uint64_t options, void *deallocator) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    (void)self, (void)s;
    if (deallocator) standin_violation("newBufferWithBytesNoCopy: no deallocator is called here");
    if ((options & MODE_MASK) != MODE_SHARED) standin_violation("newBufferWithBytesNoCopy: the host's memory cannot be private to the GPU");
    if (!bytes || (uintptr_t)bytes % page || length % page) {
        standin_violation("newBufferWithBytesNoCopy: %p and %llu bytes are no whole pages", bytes, (unsigned long long)length);
        return NULL;
    }
    return new_buffer("newBufferWithBytesNoCopy", length, options, bytes);
}
void dealloc_StandinBuffer(object *self) {
    buffer_object *b = SELF(buffer_object);
    allocated -= b->memory ? (long)b->length : 0;
    standin_memory_free(b);
    standin_release(b->label);
}
void *mtl_buffer_contents(object *self, selector s) {
    (void)s;
    if ((SELF(buffer_object)->options & MODE_MASK) == MODE_SHARED) return SELF(buffer_object)->memory;
    standin_violation("contents of a private buffer");
    return NULL;
}
uint64_t mtl_buffer_length(object *self, selector s) { return (void)s, SELF(buffer_object)->length; }

/* ---- labels ---- */

static void put_label(object **at, object *label) {
    if (!standin_is(label, &class_NSString, "setLabel:")) return;
    standin_retain(label);
    standin_release(*at);
    *at = label;
}
void mtl_buffer_label(object *self, selector s, object *label) { (void)s, put_label(&SELF(buffer_object)->label, label); }
void mtl_library_label(object *self, selector s, object *label) { (void)s, put_label(&SELF(library_object)->label, label); }
void mtl_descriptor_label(object *self, selector s, object *label) { (void)s, put_label(&SELF(descriptor_object)->label, label); }
void mtl_queue_label(object *self, selector s, object *label) { (void)s, put_label(&SELF(queue_object)->label, label); }
void mtl_commands_label(object *self, selector s, object *label) { (void)s, put_label(&SELF(commands_object)->label, label); }
void dealloc_StandinQueue(object *self) { standin_release(SELF(queue_object)->label); }

/* ---- libraries ---- */

void mtl_options_fast_math(object *self, selector s, bool on) { (void)s, SELF(options_object)->ieee = !on; }
void mtl_options_language(object *self, selector s, uint64_t version) {
    (void)s;
    if (version < 1 << 16 || version > (3 << 16 | 2)) standin_violation("setLanguageVersion: %llu is no MTLLanguageVersion", (unsigned long long)version);
    SELF(options_object)->language = version;
}

static void put_error(object **error, const char *domain, int64_t code, const char *text) {
    if (error) *error = standin_autorelease(standin_error(domain, code, text));
}

static object *new_library(const char *text, object **error) {
    char says[4000], *entry = NULL;
    if (standin_hits(&standin_set.fail_compile)) {
        put_error(error, "MTLLibraryErrorDomain", 3, "program_source:7:3: error: planted: unknown type name 'planted'\nplanted x;\n^\n");
        return NULL;
    }
    if (!standin_compile(text, &entry, says, sizeof says)) {
        put_error(error, "MTLLibraryErrorDomain", 3, says);
        return NULL;
    }
    library_object *library = (library_object *)(void *)standin_new(&class_StandinLibrary);
    library->text = strdup(text);
    library->entry = entry;
    if (!library->text) abort();
    return &library->base;
}

object *mtl_device_library(object *self, selector s, object *source, object *options, object **error) {
    (void)self, (void)s;
    if (!standin_is(source, &class_NSString, "newLibraryWithSource")) return NULL;
    if (!options || standin_is(options, &class_MTLCompileOptions, "newLibraryWithSource: options")) {
        const options_object *told = (options_object *)(void *)options;
        if (!told || !told->ieee)
            standin_violation("newLibraryWithSource: fast math, with which the texts are not right");
        else if (!told->language)
            standin_violation("newLibraryWithSource: of no language version, which is then the system's newest");
    }
    return new_library(standin_text(source), error);
}

/* What the stand-in for metallib writes: MTLB, then the text. */
object *mtl_device_library_data(object *self, selector s, object *o, object **error) {
    (void)self, (void)s;
    if (!standin_is(o, &class_OS_dispatch_data, "newLibraryWithData")) return NULL;
    data_object *data = (data_object *)(void *)o;
    if (!standin_set.refuse_libraries && data->count > 4 && memcmp(data->bytes, "MTLB", 4) == 0) return new_library((const char *)data->bytes + 4, error);
    put_error(error, "MTLLibraryErrorDomain", 1, "Invalid library file");
    return NULL;
}
void dealloc_StandinLibrary(object *self) {
    free(SELF(library_object)->text);
    free(SELF(library_object)->entry);
    standin_release(SELF(library_object)->label);
}

object *mtl_library_function(object *self, selector s, object *name) {
    (void)s;
    if (strcmp(standin_text(name), SELF(library_object)->entry) != 0) return NULL;
    function_object *function = (function_object *)(void *)standin_new(&class_StandinFunction);
    function->library = (library_object *)(void *)standin_retain(self);
    return &function->base;
}
void dealloc_StandinFunction(object *self) { standin_release(&SELF(function_object)->library->base); }

/* ---- pipelines ---- */

void mtl_descriptor_function(object *self, selector s, object *function) {
    (void)s;
    if (!standin_is(function, &class_StandinFunction, "setComputeFunction")) return;
    standin_retain(function);
    if (SELF(descriptor_object)->function) standin_release(&SELF(descriptor_object)->function->base);
    SELF(descriptor_object)->function = (function_object *)(void *)function;
}
void mtl_descriptor_threads(object *self, selector s, uint64_t threads) { (void)s, SELF(descriptor_object)->threads = threads; }
void mtl_descriptor_whole(object *self, selector s, bool whole) { (void)s, SELF(descriptor_object)->whole_warps = whole; }
void dealloc_MTLComputePipelineDescriptor(object *self) {
    if (SELF(descriptor_object)->function) standin_release(&SELF(descriptor_object)->function->base);
    standin_release(SELF(descriptor_object)->label);
}

object *mtl_device_pipeline(object *self, selector s, object *o, uint64_t options, object **reflection, object **error) {
    char says[4000];
    (void)self, (void)s;
    if (!standin_is(o, &class_MTLComputePipelineDescriptor, "newComputePipelineState")) return NULL;
    descriptor_object *d = (descriptor_object *)(void *)o;
    if (options || reflection) standin_violation("newComputePipelineState: no reflection is given here");
    if (!d->function) {
        standin_violation("newComputePipelineState: a descriptor without a function");
        return NULL;
    }
    if (d->threads > (uint64_t)standin_set.max_threads) standin_violation("newComputePipelineState: %llu threads, more than the device has", (unsigned long long)d->threads);
    if (standin_hits(&standin_set.fail_pipeline)) {
        put_error(error, "AGXMetal", 2, "Compute function exceeds available stack space");
        return NULL;
    }
    pipeline_object *p = (pipeline_object *)(void *)standin_new(&class_StandinPipeline);
    if (!standin_load(d->function->library->text, p, says, sizeof says)) {
        standin_release(&p->base);
        put_error(error, "AGXMetal", 3, says);
        return NULL;
    }
    p->threads = d->threads ? d->threads : (uint64_t)standin_set.max_threads / 2; /* its registers would allow no more */
    if (standin_set.pipeline_threads && (uint64_t)standin_set.pipeline_threads < p->threads) p->threads = (uint64_t)standin_set.pipeline_threads;
    p->label = standin_retain(d->label);
    return &p->base;
}
uint64_t mtl_pipeline_threads(object *self, selector s) { return (void)s, SELF(pipeline_object)->threads; }
uint64_t mtl_pipeline_width(object *self, selector s) { return (void)self, (void)s, (uint64_t)standin_set.width; }
uint64_t mtl_pipeline_group_bytes(object *self, selector s) { return (void)s, SELF(pipeline_object)->group_bytes; }
void dealloc_StandinPipeline(object *self) {
    standin_unload(SELF(pipeline_object));
    standin_release(SELF(pipeline_object)->label);
}
