/* api.c - finding the driver and the run-time compiler. */
#include "backend/cuda/api.h"
#include "base/base.h"
#include "base/dynlib.h"

#include <glob.h>
#include <pthread.h>
#include <stdio.h>

/* One library: opened at the first request, kept for the life of the process. */
typedef struct library {
    fnd_dynlib *handle;
    bool asked;
    fnd_error why_not;
} library;

typedef struct symbol {
    const char *name;
    size_t offset; /* of its field in the table */
} symbol;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static library driver, compiler;
static fnd_cuda_api driver_calls;
static fnd_nvrtc_api compiler_calls;

/* Every pointer of a table is of one size: what POSIX means by dlsym. */
static fnd_status fill(fnd_dynlib *handle, const symbol *symbols, size_t count, void *table, const char *what, fnd_error *err) {
    for (size_t i = 0; i < count; i++) {
        void *address = fnd_dynlib_find(handle, symbols[i].name);
        if (!address) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s is too old: it has no %s; install a newer one", what, symbols[i].name);
        memcpy((char *)table + symbols[i].offset, &address, sizeof address);
    }
    return FND_OK;
}

static fnd_status open_pattern(const char *pattern, fnd_dynlib **out) {
    glob_t paths = { 0 };
    fnd_status status = FND_ERR_UNSUPPORTED;
    if (glob(pattern, 0, NULL, &paths) == 0) {
        for (size_t i = 0; i < paths.gl_pathc && status != FND_OK; i++) status = fnd_dynlib_open(paths.gl_pathv[i], out, NULL);
    }
    globfree(&paths);
    return status;
}

static fnd_status open_driver(fnd_error *err) {
    static const symbol symbols[] = {
#define SYMBOL(field, name, parameters) { name, offsetof(fnd_cuda_api, field) },
        FND_CUDA_CALLS(SYMBOL)
#undef SYMBOL
    };
    if (fnd_dynlib_open("libcuda.so.1", &driver.handle, NULL) != FND_OK && fnd_dynlib_open("libcuda.so", &driver.handle, NULL) != FND_OK) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no NVIDIA driver here (libcuda.so.1 is not found): install the driver of the GPU");
    }
    return fill(driver.handle, symbols, FND_COUNT(symbols), &driver_calls, "the NVIDIA driver", err);
}

static fnd_status open_compiler(fnd_error *err) {
    static const symbol symbols[] = {
#define SYMBOL(field, name, parameters) { name, offsetof(fnd_nvrtc_api, field) },
        FND_NVRTC_CALLS(SYMBOL)
#undef SYMBOL
    };
    static const char *const names[] = { "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so" };
    static const char *const patterns[] = {
        "/usr/local/cuda/lib64/libnvrtc.so.[0-9]*", "/usr/local/cuda*/lib64/libnvrtc.so.[0-9]*", "/usr/local/cuda*/targets/*/lib/libnvrtc.so.[0-9]*"
    };
    fnd_status status = FND_ERR_UNSUPPORTED;
    for (size_t i = 0; i < FND_COUNT(names) && status != FND_OK; i++) status = fnd_dynlib_open(names[i], &compiler.handle, NULL);
    for (size_t i = 0; i < FND_COUNT(patterns) && status != FND_OK; i++) status = open_pattern(patterns[i], &compiler.handle);
    if (status != FND_OK) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no NVRTC here (libnvrtc.so of CUDA 12 or 13 is neither on the library path nor under /usr/local/cuda): install CUDA's run-time compiler");
    }
    return fill(compiler.handle, symbols, FND_COUNT(symbols), &compiler_calls, "NVRTC", err);
}

static fnd_status open_once(library *l, fnd_status (*open)(fnd_error *err), fnd_error *err) {
    pthread_mutex_lock(&lock);
    if (!l->asked) (void)open(&l->why_not);
    l->asked = true;
    fnd_error why = l->why_not;
    pthread_mutex_unlock(&lock);
    return why.status == FND_OK ? FND_OK : fnd_fail(err, why.status, "%s", why.text);
}

fnd_status fnd_cuda_api_open(const fnd_cuda_api **out, fnd_error *err) {
    *out = &driver_calls;
    return open_once(&driver, open_driver, err);
}

fnd_status fnd_nvrtc_api_open(const fnd_nvrtc_api **out, fnd_error *err) {
    *out = &compiler_calls;
    return open_once(&compiler, open_compiler, err);
}
