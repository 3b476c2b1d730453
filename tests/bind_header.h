/* bind_header.h - writes the typed bind structs of the shipped kernels: include/foundry/kernels*.h and
 * src/run/typed_list.h, from the list of shipped kernels and the argument lists of their stages.
 * `make bind-header` writes the files; a test compares them with what would be written now. */
#ifndef TESTS_BIND_HEADER_H
#define TESTS_BIND_HEADER_H

#include "base/text.h"

enum { BIND_HEADER_FILES = 5 };

typedef struct bind_header {
    const char *path; /* from the root of the project */
    fnd_text    text;
} bind_header;

FND_USE_RESULT fnd_status bind_headers(bind_header out[BIND_HEADER_FILES], fnd_error *err);
void bind_headers_free(bind_header files[BIND_HEADER_FILES]);

#endif
