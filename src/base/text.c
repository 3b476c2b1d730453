/* text.c - a growing string. */
#include "base/text.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool reserve(fnd_text *t, size_t more) {
    size_t need;
    if (__builtin_add_overflow(t->bytes, more, &need) || __builtin_add_overflow(need, 1, &need)) t->failed = true;
    if (t->failed) return false;
    if (need <= t->capacity) return true;
    size_t capacity = t->capacity ? t->capacity : 128;
    while (capacity < need) {
        if (__builtin_mul_overflow(capacity, 2, &capacity)) capacity = need;
    }
    char *data = fnd_alloc_resized(t->data, capacity, 1);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->capacity = capacity;
    return true;
}

void fnd_text_add(fnd_text *t, const char *bytes, size_t count) {
    if (!count || !reserve(t, count)) return;
    memcpy(t->data + t->bytes, bytes, count);
    t->bytes += count;
    t->data[t->bytes] = '\0';
}

void fnd_text_str(fnd_text *t, const char *string) { fnd_text_add(t, string, strlen(string)); }

void fnd_text_printf(fnd_text *t, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) t->failed = true;
    if (length > 0 && reserve(t, (size_t)length)) {
        vsnprintf(t->data + t->bytes, (size_t)length + 1, format, again);
        t->bytes += (size_t)length;
    }
    va_end(again);
}

void fnd_text_clear(fnd_text *t) {
    t->bytes = 0;
    if (t->data) t->data[0] = '\0';
}

void fnd_text_free(fnd_text *t) {
    fnd_free_memory(t->data);
    *t = (fnd_text){ 0 };
}

const char *fnd_text_get(const fnd_text *t) { return t->data && t->bytes ? t->data : ""; }

fnd_status fnd_text_check(const fnd_text *t, fnd_error *err) {
    return t->failed ? fnd_fail(err, FND_ERR_MEMORY, "out of memory while building a text of %zu bytes", t->bytes) : FND_OK;
}

size_t fnd_text_mark(const char *text, size_t bytes) { return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; }
