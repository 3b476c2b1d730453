/* file.h - files: mapped, read whole, written so that nobody ever sees half of one. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "foundry/status.h"

#include <stdint.h>

typedef struct fnd_map {
    const uint8_t *data; /* read-only, page-aligned; NULL for an empty file */
    size_t         bytes;
} fnd_map;

/* Map a regular file. Directories, devices and missing files are FND_ERR_FILE with the reason. */
FND_USE_RESULT fnd_status fnd_map_open(const char *path, fnd_map *out, fnd_error *err);
void fnd_map_close(fnd_map *map);

/* Read a whole file ("-" = standard input) into a NUL-terminated block to be freed with
 * fnd_free_memory. More than limit_bytes is FND_ERR_LIMIT. */
FND_USE_RESULT fnd_status fnd_file_read(const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err);

/* Write beside the target, fsync, rename over it. */
FND_USE_RESULT fnd_status fnd_file_write(const char *path, const void *data, size_t bytes, fnd_error *err);

bool fnd_is_dir(const char *path);

/* Make a directory and its parents (mode 0700 for what is made). */
FND_USE_RESULT fnd_status fnd_make_dirs(const char *path, fnd_error *err);

#endif
