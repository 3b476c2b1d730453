/* dynlib.c - the one place that calls dlopen.
 *
 * SAFETY: a library's constructors run when it is opened, so only names chosen by Foundry and bytes
 * that its own compiler run or its checksummed cache produced are passed in. What fnd_dynlib_find
 * returns is cast by the caller to the type that the library's text declares, and is not used after
 * fnd_dynlib_close: whoever holds such a pointer also holds the fnd_dynlib. */
#define _GNU_SOURCE
#include "base/dynlib.h"
#include "base/base.h"
#include "base/memory.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct fnd_dynlib {
    void *handle;
};

static fnd_status open_path(const char *path, const char *label, fnd_status status_if_not, fnd_dynlib **out, fnd_error *err) {
    fnd_dynlib *lib = fnd_alloc_zeroed(1, sizeof *lib);
    if (!lib) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while loading %s", label);
    lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib->handle) {
        const char *why = dlerror();
        fnd_free_memory(lib);
        return fnd_fail(err, status_if_not, "cannot load %s: %s", label, why ? why : "unknown reason");
    }
    *out = lib;
    return FND_OK;
}

fnd_status fnd_dynlib_open(const char *name, fnd_dynlib **out, fnd_error *err) {
    *out = NULL;
    return open_path(name, name, FND_ERR_UNSUPPORTED, out, err);
}

static bool write_bytes(int fd, const char *data, size_t count) {
    while (count) {
        ssize_t n = write(fd, data, count);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        count -= (size_t)n;
    }
    return true;
}

static int memory_file(const char *label) {
#ifdef __linux__
#ifdef MFD_EXEC
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_EXEC);
    if (fd >= 0 || errno != EINVAL) return fd;
#endif
    return memfd_create(label, MFD_CLOEXEC); /* kernels before 6.3 do not know MFD_EXEC */
#else
    (void)label;
    return -1;
#endif
}

/* The loader takes a path that it has seen for the library it has already loaded, and file
 * descriptors are reused: so each path is spelled differently, one bit of a counter per "/" or "/.". */
static void unique_path(int fd, char *path, size_t bytes) {
    static _Atomic uint32_t calls;
    size_t used = (size_t)snprintf(path, bytes, "/proc/self/fd");
    for (uint32_t bits = atomic_fetch_add(&calls, 1); bits; bits >>= 1) {
        used += (size_t)snprintf(path + used, bytes - used, bits & 1 ? "/." : "//");
    }
    snprintf(path + used, bytes - used, "/%d", fd);
}

fnd_status fnd_dynlib_from_bytes_by_file(const char *label, const void *bytes, size_t count, fnd_dynlib **out, fnd_error *err) {
    static const char *const templates[] = { "/tmp/foundry-XXXXXX", "/var/tmp/foundry-XXXXXX", "/dev/shm/foundry-XXXXXX" };
    *out = NULL;
    fnd_error last = { 0 };
    for (size_t i = 0; i < FND_COUNT(templates); i++) {
        char path[32];
        snprintf(path, sizeof path, "%s", templates[i]);
        int fd = mkstemp(path);
        if (fd < 0) continue;
        bool written = write_bytes(fd, bytes, count);
        close(fd);
        last = (fnd_error){ 0 }; /* a folder may be full or mounted noexec: the next may serve */
        fnd_status status = written ? open_path(path, label, FND_ERR_DEVICE, out, &last)
                                    : fnd_fail(&last, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
        unlink(path);
        if (status == FND_OK) return FND_OK;
    }
    if (last.status == FND_OK) return fnd_fail(err, FND_ERR_FILE, "cannot load %s: no temporary file can be created", label);
    return fnd_fail(err, last.status, "%s", last.text);
}

fnd_status fnd_dynlib_from_bytes(const char *label, const void *bytes, size_t count, fnd_dynlib **out, fnd_error *err) {
    *out = NULL;
    int fd = memory_file(label);
    if (fd >= 0) {
        char path[128];
        unique_path(fd, path, sizeof path);
        fnd_status status = write_bytes(fd, bytes, count) ? open_path(path, label, FND_ERR_DEVICE, out, NULL) : FND_ERR_FILE;
        close(fd);
        if (status == FND_OK) return FND_OK;
    }
    return fnd_dynlib_from_bytes_by_file(label, bytes, count, out, err);
}

void *fnd_dynlib_find(const fnd_dynlib *lib, const char *symbol) { return dlsym(lib->handle, symbol); }

void fnd_dynlib_close(fnd_dynlib *lib) {
    if (!lib) return;
    dlclose(lib->handle);
    fnd_free_memory(lib);
}
