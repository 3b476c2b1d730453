/* new_file.c - files written in pieces, by several threads, that nobody ever sees half of. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 1000 };

static fnd_status exists(const char *path, fnd_error *err) {
    return fnd_fail(err, FND_ERR_FILE, "%s exists already; choose another name, or have it replaced (--force)", path);
}

static fnd_status check_target(const char *path, bool replace, fnd_error *err) {
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT) return FND_OK;
        return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: it is not a regular file", path);
    return replace ? FND_OK : exists(path, err);
}

fnd_status fnd_new_file_open(fnd_new_file *f, const char *path, bool replace, fnd_file_readers readers, fnd_error *err) {
    size_t bytes = strlen(path) + 32;
    *f = (fnd_new_file){ .fd = -1, .replace = replace };
    if (path[0] == '\0') return fnd_fail(err, FND_ERR_USAGE, "the name of the file to write is empty");
    FND_TRY(check_target(path, replace, err));
    f->path = fnd_alloc_string(path, strlen(path));
    f->beside = fnd_alloc_zeroed(bytes, 1);
    if (!f->path || !f->beside) {
        fnd_new_file_drop(f);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the name of a file");
    }
    for (int i = 0; i < NAMES_TRIED && f->fd < 0; i++) {
        snprintf(f->beside, bytes, "%s.%ld" FND_NEW_FILE_END, path, (long)getpid() * NAMES_TRIED + i);
        f->fd = open(f->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, readers == FND_FILE_PRIVATE ? 0600 : 0666);
        if (f->fd < 0 && errno != EEXIST) break;
    }
    if (f->fd >= 0) return FND_OK;
    fnd_status status = fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    fnd_new_file_drop(f);
    return status;
}

fnd_status fnd_new_file_reserve(fnd_new_file *f, uint64_t bytes, fnd_error *err) {
    if (bytes > INT64_MAX) return fnd_fail(err, FND_ERR_LIMIT, "%s would have %llu bytes, more than a file can have", f->path, (unsigned long long)bytes);
    int failed = fnd_system_reserve_file(f->fd, bytes);
    if (!failed) return FND_OK;
    return fnd_fail(err, FND_ERR_FILE, "%s needs %.1f MB, which cannot be had: %s", f->path, 1e-6 * (double)bytes, strerror(failed));
}

fnd_status fnd_new_file_put(const fnd_new_file *f, uint64_t offset, const void *data, size_t bytes, fnd_error *err) {
    const char *from = data;
    while (bytes) {
        ssize_t n = pwrite(f->fd, from, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", f->path, n < 0 ? strerror(errno) : "nothing more is taken");
        from += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return FND_OK;
}

static fnd_status put_in_place(const fnd_new_file *f, fnd_error *err) {
    if (!f->replace) {
        int failed = fnd_system_rename_new(f->beside, f->path);
        if (!failed) return FND_OK;
        if (failed == EEXIST) return exists(f->path, err);
        if (failed != ENOSYS) return fnd_fail(err, FND_ERR_FILE, "cannot rename to %s: %s", f->path, strerror(failed));
    }
    FND_TRY(check_target(f->path, f->replace, err));
    if (rename(f->beside, f->path) != 0) return fnd_fail(err, FND_ERR_FILE, "cannot rename to %s: %s", f->path, strerror(errno));
    return FND_OK;
}

fnd_status fnd_new_file_keep(fnd_new_file *f, fnd_error *err) {
    fnd_status status = FND_OK;
    if (fsync(f->fd) != 0) status = fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", f->path, strerror(errno));
    if (close(f->fd) != 0 && status == FND_OK) status = fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", f->path, strerror(errno));
    f->fd = -1;
    if (status == FND_OK) status = put_in_place(f, err);
    if (status != FND_OK) unlink(f->beside);
    fnd_free_memory(f->beside);
    f->beside = NULL;
    fnd_new_file_drop(f);
    return status;
}

void fnd_new_file_drop(fnd_new_file *f) {
    if (f->beside && f->fd >= 0) {
        close(f->fd);
        unlink(f->beside);
    }
    fnd_free_memory(f->path);
    fnd_free_memory(f->beside);
    *f = (fnd_new_file){ .fd = -1 };
}
