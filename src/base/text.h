/* text.h - a growing string. A failed allocation is remembered; check fnd_text_ok at the end. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "foundry/status.h"

typedef struct fnd_text {
    char  *data; /* NUL-terminated once anything was added; NULL when empty */
    size_t bytes, capacity;
    bool   failed;
} fnd_text;

void fnd_text_add(fnd_text *t, const char *bytes, size_t count);
void fnd_text_str(fnd_text *t, const char *string);
void fnd_text_printf(fnd_text *t, const char *format, ...) FND_PRINTF_(2, 3);
void fnd_text_clear(fnd_text *t); /* empties, keeps the memory */
void fnd_text_free(fnd_text *t);
const char *fnd_text_get(const fnd_text *t); /* never NULL */
FND_USE_RESULT fnd_status fnd_text_check(const fnd_text *t, fnd_error *err);

/* Bytes of the byte order mark of UTF-8 that a text begins with; 0: it begins with none. */
size_t fnd_text_mark(const char *text, size_t bytes);

#endif
