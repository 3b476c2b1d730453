/* file.c - reading files, writing small ones, and the one place that calls mmap. */
#include "base/file.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

fnd_status fnd_map_open(const char *path, fnd_map *out, fnd_error *err) {
    *out = (fnd_map){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer is no file, and not to be waited for */
    if (fd < 0) return fnd_fail(err, FND_ERR_FILE, "cannot open %s: %s", path, strerror(errno));
    struct stat st;
    fnd_status status = FND_OK;
    if (fstat(fd, &st) != 0) {
        status = fnd_fail(err, FND_ERR_FILE, "cannot read %s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        status = fnd_fail(err, FND_ERR_FILE, "%s is not a regular file", path);
    } else if (st.st_size > 0) {
        /* SAFETY: the mapping is private and read-only; `bytes` is the size at this moment. A file
         * that another program truncates while it is mapped raises SIGBUS, as with every mmap. */
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = fnd_fail(err, FND_ERR_FILE, "cannot map %s: %s", path, strerror(errno));
        } else {
            *out = (fnd_map){ .data = data, .bytes = (size_t)st.st_size };
        }
    }
    close(fd);
    return status;
}

void fnd_map_close(fnd_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->bytes);
    *map = (fnd_map){ 0 };
}

void fnd_map_forget(const fnd_map *map) {
    /* SAFETY: nothing was ever written to these pages, so what is read next is the file's again. */
    if (map->data) madvise((void *)(uintptr_t)map->data, map->bytes, MADV_DONTNEED);
}

static fnd_status read_stream(FILE *f, const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err) {
    size_t capacity = 65536, used = 0;
    char *block = fnd_alloc_resized(NULL, capacity, 1);
    while (block) {
        used += fread(block + used, 1, capacity - 1 - used, f);
        if (used > limit_bytes) {
            fnd_free_memory(block);
            return fnd_fail(err, FND_ERR_LIMIT, "%s is larger than the %zu bytes allowed here", path, limit_bytes);
        }
        if (used < capacity - 1) break;
        char *larger = fnd_alloc_resized(block, capacity, 2);
        if (!larger) fnd_free_memory(block);
        block = larger;
        capacity *= 2;
    }
    if (!block) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while reading %s", path);
    if (ferror(f)) {
        fnd_free_memory(block);
        return fnd_fail(err, FND_ERR_FILE, "cannot read %s: %s", path, strerror(errno));
    }
    block[used] = '\0';
    *data = block;
    *bytes = used;
    return FND_OK;
}

fnd_status fnd_file_read(const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err) {
    *data = NULL;
    *bytes = 0;
    if (strcmp(path, "-") == 0) return read_stream(stdin, "standard input", limit_bytes, data, bytes, err);
    FILE *f = fopen(path, "rbe");
    if (!f) return fnd_fail(err, FND_ERR_FILE, "cannot open %s: %s", path, strerror(errno));
    fnd_status status = read_stream(f, path, limit_bytes, data, bytes, err);
    fclose(f);
    return status;
}

fnd_status fnd_file_read_text(const char *path, size_t limit_bytes, char **data, size_t *bytes, fnd_error *err) {
    FND_TRY(fnd_file_read(path, limit_bytes, data, bytes, err));
    if (*bytes >= 2 && (memcmp(*data, "\xff\xfe", 2) == 0 || memcmp(*data, "\xfe\xff", 2) == 0)) {
        fnd_free_memory(*data);
        *data = NULL;
        *bytes = 0;
        return fnd_fail(err, FND_ERR_FORMAT, "%s is a text in UTF-16; save it as UTF-8", strcmp(path, "-") == 0 ? "standard input" : path);
    }
    size_t mark = fnd_text_mark(*data, *bytes);
    *bytes -= mark;
    memmove(*data, *data + mark, *bytes + 1); /* with its NUL */
    return FND_OK;
}

static fnd_status write_all(int fd, const char *path, const char *data, size_t bytes, fnd_error *err) {
    while (bytes) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
        data += n;
        bytes -= (size_t)n;
    }
    return FND_OK;
}

/* A pipe or a device is written to, and never replaced by a file. */
static fnd_status write_through(const char *path, const void *data, size_t bytes, fnd_error *err) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    fnd_status status = write_all(fd, path, data, bytes, err);
    if (close(fd) != 0 && status == FND_OK) status = fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    return status;
}

static fnd_status write_file(const char *path, const void *data, size_t bytes, fnd_file_readers readers, fnd_error *err) {
    struct stat st;
    fnd_new_file f;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return write_through(path, data, bytes, err);
    FND_TRY(fnd_new_file_open(&f, path, true, readers, err));
    fnd_status status = fnd_new_file_put(&f, 0, data, bytes, err);
    if (status == FND_OK) return fnd_new_file_keep(&f, err);
    fnd_new_file_drop(&f);
    return status;
}

fnd_status fnd_file_write(const char *path, const void *data, size_t bytes, fnd_error *err) { return write_file(path, data, bytes, FND_FILE_AS_USUAL, err); }
fnd_status fnd_file_write_private(const char *path, const void *data, size_t bytes, fnd_error *err) { return write_file(path, data, bytes, FND_FILE_PRIVATE, err); }

bool fnd_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

fnd_status fnd_make_dirs(const char *path, fnd_error *err) {
    char partial[4096];
    size_t length = strlen(path);
    if (length >= sizeof partial) return fnd_fail(err, FND_ERR_FILE, "path too long: %s", path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0700) != 0 && errno != EEXIST) return fnd_fail(err, FND_ERR_FILE, "cannot make directory %s: %s", partial, strerror(errno));
    }
    return FND_OK;
}
