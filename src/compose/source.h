/* source.h - the kernel texts: embedded in the binary, overridden from a folder, or registered by the
 * user; and flattening, which makes one text of a text and all it includes. */
#ifndef COMPOSE_SOURCE_H
#define COMPOSE_SOURCE_H

#include "base/hash.h"
#include "base/text.h"

typedef struct fnd_sources fnd_sources;

typedef struct fnd_source {
    const char *path; /* "norm/rmsnorm.h", relative to the kernel folder */
    const char *text; /* of embedded files both are the embedded ones */
    char       *own_path, *own_text; /* of others, and of replaced texts */
} fnd_source;

/* All embedded files. With override_dir (may be NULL), a file that exists there replaces its
 * embedded twin, and files only found there can be included too. */
FND_USE_RESULT fnd_status fnd_sources_open(const char *override_dir, fnd_sources **out, fnd_error *err);
void fnd_sources_close(fnd_sources *sources);

/* A file of kernel text that a user names, to be freed with fnd_free_memory: without a byte order mark, of 4 MiB at
 * most; one with a NUL byte is FND_ERR_FORMAT. */
FND_USE_RESULT fnd_status fnd_source_read(const char *file, char **text, fnd_error *err);

/* Add (or replace) a file under a path of the caller's choice. Texts are copied. */
FND_USE_RESULT fnd_status fnd_sources_add(fnd_sources *sources, const char *path, const char *text, fnd_error *err);

/* A hash of all embedded files: two builds that differ in any of them differ in it. */
fnd_hash128 fnd_sources_fingerprint(void);

/* The embedded file that a file of this path would be taken instead of: the same, or that without the
 * suffix of a machine. NULL when there is none. */
const char *fnd_sources_shipped(const char *path);

/* The file that `path` means for a machine with `suffix` ("" = portable only): "gemv/dot.h" becomes
 * "gemv/dot.cpu.h" where that exists. NULL when there is none. */
const fnd_source *fnd_sources_find(fnd_sources *sources, const char *path, const char *suffix);

size_t fnd_sources_count(const fnd_sources *sources);
const fnd_source *fnd_sources_at(const fnd_sources *sources, size_t index);

/* Append `text` to `out` with every #include "x" replaced by the file x: once if x has an include
 * guard, each time if it has none (a template). #line keeps compilers' messages true. <...> is left
 * alone. `name` is what #line calls the text itself. */
FND_USE_RESULT fnd_status fnd_sources_flatten(fnd_sources *sources, const char *suffix, const char *name, const char *text, fnd_text *out, fnd_error *err);

#endif
