/* foundation.c - strings, errors, arrays; data of libdispatch; numbers of the registry of devices. */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- NSObject ---- */
object *ns_retain(object *self, selector s) { return (void)s, standin_retain(self); }
void ns_release(object *self, selector s) { (void)s, standin_release(self); }
object *ns_autorelease(object *self, selector s) { return (void)s, standin_autorelease(self); }
object *ns_new(object *self, selector s) { return (void)s, standin_new((class_ *)(void *)self); }

/* ---- NSString ---- */
static bool is_utf8(const unsigned char *p) {
    while (*p) {
        int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1
                               : *p >= 0xe0 && *p < 0xf0   ? 2
                               : *p >= 0xf0 && *p < 0xf5   ? 3
                                                           : -1;
        if (more < 0) return false;
        for (p++; more > 0; more--, p++) {
            if ((*p & 0xc0) != 0x80) return false;
        }
    }
    return true;
}

object *standin_string(const char *text) {
    string_object *string = (string_object *)(void *)standin_new(&class_NSString);
    string->text = strdup(text);
    if (!string->text) abort();
    return &string->base;
}

const char *standin_text(object *string) { return standin_is(string, &class_NSString, "a string") ? ((string_object *)(void *)string)->text : ""; }

object *ns_string_with(object *self, selector s, const char *text) {
    (void)self, (void)s;
    if (!text) standin_violation("stringWithUTF8String: NULL");
    return text && is_utf8((const unsigned char *)text) ? standin_autorelease(standin_string(text)) : NULL;
}
const char *ns_string_utf8(object *self, selector s) { return (void)s, standin_text(self); }
void dealloc_NSString(object *self) { free(((string_object *)(void *)self)->text); }

/* ---- NSError ---- */
object *standin_error(const char *domain, int64_t code, const char *text) {
    error_object *error = (error_object *)(void *)standin_new(&class_NSError);
    error->domain = standin_string(domain);
    error->text = standin_string(text);
    error->code = code;
    return &error->base;
}
int64_t ns_error_code(object *self, selector s) { return (void)s, ((error_object *)(void *)self)->code; }
object *ns_error_domain(object *self, selector s) { return (void)s, ((error_object *)(void *)self)->domain; }
object *ns_error_text(object *self, selector s) { return (void)s, ((error_object *)(void *)self)->text; }
void dealloc_NSError(object *self) {
    error_object *error = (error_object *)(void *)self;
    standin_release(error->domain);
    standin_release(error->text);
}

/* ---- NSArray ---- */
uint64_t ns_array_count(object *self, selector s) { return (void)s, ((array_object *)(void *)self)->count; }
object *ns_array_at(object *self, selector s, uint64_t index) {
    array_object *array = (array_object *)(void *)self;
    (void)s;
    if (index < array->count) return array->items[index];
    standin_violation("objectAtIndex: %llu of an array of %zu", (unsigned long long)index, array->count);
    return NULL;
}
void dealloc_NSArray(object *self) {
    array_object *array = (array_object *)(void *)self;
    for (size_t i = 0; i < array->count; i++) standin_release(array->items[i]);
}

/* ---- libdispatch: data, which is an object too ---- */
STANDIN_EXPORT object *dispatch_data_create(const void *bytes, size_t count, void *queue, void *destructor);
STANDIN_EXPORT object *dispatch_data_create(const void *bytes, size_t count, void *queue, void *destructor) {
    if (queue || destructor) standin_violation("dispatch_data_create: only the default destructor, which copies, is known here");
    data_object *data = (data_object *)(void *)standin_new(&class_OS_dispatch_data);
    data->bytes = malloc(count + 1);
    if (!data->bytes) abort();
    memcpy(data->bytes, bytes, count);
    ((char *)data->bytes)[count] = '\0';
    data->count = count;
    return &data->base;
}
STANDIN_EXPORT void dispatch_release(object *data);
STANDIN_EXPORT void dispatch_release(object *data) { standin_release(data); }
void dealloc_OS_dispatch_data(object *self) { free(((data_object *)(void *)self)->bytes); }

/* ---- IOKit and CoreFoundation: one entry, whose one property is how many cores there are. Their objects are
 * counted with the others: strings and data stand for them. ---- */
enum { REGISTRY_ID = 4242,
       ENTRY = 77 };
static long entries_open;

STANDIN_EXPORT void *IORegistryEntryIDMatching(uint64_t id);
STANDIN_EXPORT void *IORegistryEntryIDMatching(uint64_t id) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    return standin_string(text);
}
/* Takes the dictionary's reference, found or not. */
STANDIN_EXPORT uint32_t IOServiceGetMatchingService(uint32_t port, object *matching);
STANDIN_EXPORT uint32_t IOServiceGetMatchingService(uint32_t port, object *matching) {
    if (port != 0) standin_violation("IOServiceGetMatchingService: port %u", port);
    bool found = strtoull(standin_text(matching), NULL, 10) == REGISTRY_ID;
    standin_release(matching);
    entries_open += found;
    return found ? ENTRY : 0;
}
STANDIN_EXPORT int IOObjectRelease(uint32_t entry);
STANDIN_EXPORT int IOObjectRelease(uint32_t entry) {
    if (entry != ENTRY || entries_open-- <= 0) standin_violation("IOObjectRelease of what is no entry, or was released");
    return 0;
}
STANDIN_EXPORT void *CFStringCreateWithCString(void *allocator, const char *text, uint32_t encoding);
STANDIN_EXPORT void *CFStringCreateWithCString(void *allocator, const char *text, uint32_t encoding) {
    if (allocator || encoding != 0x08000100) standin_violation("CFStringCreateWithCString: only UTF-8 and the default allocator are known here");
    return standin_string(text);
}
STANDIN_EXPORT void *IORegistryEntryCreateCFProperty(uint32_t entry, object *key, void *allocator, uint32_t options);
STANDIN_EXPORT void *IORegistryEntryCreateCFProperty(uint32_t entry, object *key, void *allocator, uint32_t options) {
    char text[32];
    if (entry != ENTRY || allocator || options) standin_violation("IORegistryEntryCreateCFProperty: entry %u, options %u", entry, options);
    if (strcmp(standin_text(key), "gpu-core-count") != 0 || !standin_set.cores) return NULL;
    snprintf(text, sizeof text, "%ld", standin_set.cores);
    return standin_string(text);
}
STANDIN_EXPORT uint8_t CFNumberGetValue(object *number, int64_t type, void *out);
STANDIN_EXPORT uint8_t CFNumberGetValue(object *number, int64_t type, void *out) {
    int32_t value = (int32_t)strtol(standin_text(number), NULL, 10);
    if (type != 3) standin_violation("CFNumberGetValue: type %lld", (long long)type);
    memcpy(out, &value, sizeof value);
    return 1;
}
STANDIN_EXPORT void CFRelease(object *o);
STANDIN_EXPORT void CFRelease(object *o) {
    if (!o) standin_violation("CFRelease of NULL");
    standin_release(o);
}
