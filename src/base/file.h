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
/* Let go of the memory its pages take; what is read again comes again. */
void fnd_map_forget(const fnd_map *map);

/* Read a whole file ("-" = standard input) into a NUL-terminated block to be freed with
 * fnd_free_memory. More than limit_bytes is FND_ERR_LIMIT. */
FND_USE_RESULT fnd_status fnd_file_read(const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err);

/* The same of a text: a byte order mark at its start, which Windows' editors write, is left out. UTF-16 is
 * FND_ERR_FORMAT. */
FND_USE_RESULT fnd_status fnd_file_read_text(const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err);

/* A file written in pieces beside its target and renamed over it when it is whole: a target
 * that exists is whole. What is beside it is called "<target>.<number>.partial". */
#define FND_NEW_FILE_END ".partial"
typedef struct fnd_new_file {
    int   fd;
    char *path, *beside;
    bool  replace;
} fnd_new_file;

/* Who may read it: whoever the umask of the process lets, as of any program's output, or its owner alone, whatever
 * the mode of the file was that it replaces. */
typedef enum fnd_file_readers { FND_FILE_AS_USUAL, FND_FILE_PRIVATE } fnd_file_readers;

/* FND_ERR_FILE: the target exists (unless `replace`), is no regular file, or cannot be made here. */
FND_USE_RESULT fnd_status fnd_new_file_open(fnd_new_file *f, const char *path, bool replace, fnd_file_readers readers, fnd_error *err);
/* Its size, known beforehand: a disk that has no room for it says so now. */
FND_USE_RESULT fnd_status fnd_new_file_reserve(fnd_new_file *f, uint64_t bytes, fnd_error *err);
/* Any thread, any order. */
FND_USE_RESULT fnd_status fnd_new_file_put(const fnd_new_file *f, uint64_t offset, const void *data, size_t bytes, fnd_error *err);
/* The file is whole: fsync, rename. Closes it, also on failure, when nothing is left of it. */
FND_USE_RESULT fnd_status fnd_new_file_keep(fnd_new_file *f, fnd_error *err);
/* Close it and leave nothing. A zeroed or closed one is fine. */
void fnd_new_file_drop(fnd_new_file *f);

/* A small file in this way, replacing what is there; a pipe or a device is written to as it is. What a user asked for,
 * and what concerns nobody else: kernels, figures of this machine. */
FND_USE_RESULT fnd_status fnd_file_write(const char *path, const void *data, size_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_file_write_private(const char *path, const void *data, size_t bytes, fnd_error *err);

bool fnd_is_dir(const char *path);

/* Make a directory and its parents (mode 0700 for what is made). */
FND_USE_RESULT fnd_status fnd_make_dirs(const char *path, fnd_error *err);

#endif
