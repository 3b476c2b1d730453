/* libcuda.c - stands in for NVIDIA's driver where there is none: an H100 as far as questions go, whose memory
 * is the host's and whose launches do nothing. Programs are printed and compiled for it as for the real one,
 * and the backend's ways to fail are tried.
 *
 * CUDA_STANDIN holds words: "no-device", "old" (capability 7.0), "memory=N" (bytes that can be had), "lost"
 * (every wait fails), "bad-image" (no code loads). */
#include "backend/cuda/api.h"
#include "cubin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0,
       INVALID = 1,
       BAD_IMAGE = 200,
       NOT_FOUND = 500,
       LOST = 719,
       PAGE = 2 << 20 };

static size_t taken; /* bytes of the device's memory */

static const char *word(const char *name) {
    const char *words = getenv("CUDA_STANDIN");
    return words ? strstr(words, name) : NULL;
}
static size_t limit(void) {
    const char *memory = word("memory=");
    return memory ? strtoull(memory + strlen("memory="), NULL, 10) : (size_t)1 << 40;
}

#define CALL(name, ...) \
    int name(__VA_ARGS__); \
    int name(__VA_ARGS__)

CALL(cuInit, unsigned flags) { return flags ? INVALID : word("no-device") ? FND_CU_NO_DEVICE
                                                                          : OK; }
CALL(cuGetErrorName, int error, const char **name) {
    *name = error == FND_CU_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : error == LOST    ? "CUDA_ERROR_LAUNCH_FAILED"
                                                                     : error == BAD_IMAGE ? "CUDA_ERROR_INVALID_IMAGE"
                                                                                          : "CUDA_ERROR_UNKNOWN";
    return OK;
}
CALL(cuGetErrorString, int error, const char **text) {
    *text = error == FND_CU_OUT_OF_MEMORY ? "out of memory" : error == LOST    ? "unspecified launch failure"
                                                          : error == BAD_IMAGE ? "device kernel image is invalid"
                                                                               : "unknown error";
    return OK;
}
CALL(cuDeviceGetCount, int *count) { return *count = 1, OK; }
CALL(cuDeviceGet, int *device, int ordinal) { return *device = ordinal, OK; }
CALL(cuDeviceGetName, char *name, int bytes, int device) { return (void)device, snprintf(name, (size_t)bytes, "stand-in for an H100"), OK; }
CALL(cuDeviceGetAttribute, int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case FND_CU_MULTIPROCESSOR_COUNT:
        return *value = 132, OK;
    case FND_CU_MAX_SHARED_PER_BLOCK:
        return *value = 232448, OK;
    case FND_CU_CAPABILITY_MAJOR:
        return *value = word("old") ? 7 : 9, OK;
    case FND_CU_CAPABILITY_MINOR:
        return *value = 0, OK;
    default:
        return *value = 1, OK;
    }
}
CALL(cuDevicePrimaryCtxRetain, fnd_cu_context *context, int device) { return (void)device, *context = (fnd_cu_context)&taken, OK; }
CALL(cuDevicePrimaryCtxRelease_v2, int device) { return (void)device, OK; }
CALL(cuCtxSetCurrent, fnd_cu_context context) { return context == (fnd_cu_context)&taken ? OK : INVALID; }
CALL(cuMemGetInfo_v2, size_t *available, size_t *all) { return *all = limit(), *available = *all - taken, OK; }

/* NVRTC asks the driver, where there is one, for a table of private calls, and takes none of one this small. */
CALL(cuGetExportTable, const void **table, const void *which) {
    static const size_t bytes = sizeof bytes;
    return (void)which, *table = &bytes, OK;
}

/* ---- memory: the host's, with its size in front ---- */

static int take(size_t bytes, void **out) {
    if (bytes > limit() - taken) return FND_CU_OUT_OF_MEMORY;
    size_t *p = aligned_alloc(256, (bytes + 256 + 255) / 256 * 256);
    if (!p) return FND_CU_OUT_OF_MEMORY;
    p[0] = bytes;
    taken += bytes;
    *out = (char *)p + 256;
    return OK;
}
static int give(void *p) {
    size_t *block = (size_t *)((char *)p - 256);
    taken -= block[0];
    free(block);
    return OK;
}
CALL(cuMemAlloc_v2, fnd_cu_address *address, size_t bytes) {
    void *p = NULL;
    int result = take(bytes, &p);
    *address = (fnd_cu_address)(uintptr_t)p;
    return result;
}
CALL(cuMemFree_v2, fnd_cu_address address) { return give((void *)(uintptr_t)address); }
CALL(cuMemHostAlloc, void **address, size_t bytes, unsigned flags) { return (void)flags, *address = calloc(1, bytes), *address ? OK : FND_CU_OUT_OF_MEMORY; }
CALL(cuMemFreeHost, void *address) { return free(address), OK; }
CALL(cuMemsetD8Async, fnd_cu_address to, unsigned char value, size_t bytes, fnd_cu_stream s) { return (void)s, memset((void *)(uintptr_t)to, value, bytes), OK; }
CALL(cuMemcpyHtoDAsync_v2, fnd_cu_address to, const void *from, size_t bytes, fnd_cu_stream s) { return (void)s, memcpy((void *)(uintptr_t)to, from, bytes), OK; }
CALL(cuMemcpyDtoHAsync_v2, void *to, fnd_cu_address from, size_t bytes, fnd_cu_stream s) { return (void)s, memcpy(to, (void *)(uintptr_t)from, bytes), OK; }

/* Address space is memory from the start; pieces are counted only. */
CALL(cuMemGetAllocationGranularity, size_t *bytes, const fnd_cu_allocation_prop *prop, int option) { return (void)prop, (void)option, *bytes = PAGE, OK; }
CALL(cuMemAddressReserve, fnd_cu_address *address, size_t bytes, size_t alignment, fnd_cu_address at, uint64_t flags) {
    (void)alignment, (void)at, (void)flags;
    void *p = calloc(1, bytes);
    *address = (fnd_cu_address)(uintptr_t)p;
    return p ? OK : FND_CU_OUT_OF_MEMORY;
}
CALL(cuMemAddressFree, fnd_cu_address address, size_t bytes) { return (void)bytes, free((void *)(uintptr_t)address), OK; }
CALL(cuMemCreate, fnd_cu_allocation *allocation, size_t bytes, const fnd_cu_allocation_prop *prop, uint64_t flags) {
    (void)prop, (void)flags;
    if (bytes > limit() - taken) return FND_CU_OUT_OF_MEMORY;
    taken += bytes;
    return *allocation = bytes, OK;
}
CALL(cuMemRelease, fnd_cu_allocation allocation) { return taken -= allocation, OK; }
CALL(cuMemMap, fnd_cu_address at, size_t bytes, size_t offset, fnd_cu_allocation allocation, uint64_t flags) { return (void)at, (void)offset, (void)flags, bytes == allocation ? OK : INVALID; }
CALL(cuMemUnmap, fnd_cu_address at, size_t bytes) { return (void)at, (void)bytes, OK; }
CALL(cuMemSetAccess, fnd_cu_address at, size_t bytes, const fnd_cu_access *access, size_t count) { return (void)at, (void)bytes, access && count ? OK : INVALID; }

/* ---- streams, events, code ---- */

CALL(cuStreamCreate, fnd_cu_stream *stream, unsigned flags) { return (void)flags, *stream = (fnd_cu_stream)&taken, OK; }
CALL(cuStreamDestroy_v2, fnd_cu_stream stream) { return (void)stream, OK; }
CALL(cuStreamSynchronize, fnd_cu_stream stream) { return (void)stream, word("lost") ? LOST : OK; }
CALL(cuEventCreate, fnd_cu_event *event, unsigned flags) { return (void)flags, *event = (fnd_cu_event)&taken, OK; }
CALL(cuEventDestroy_v2, fnd_cu_event event) { return (void)event, OK; }
CALL(cuEventRecord, fnd_cu_event event, fnd_cu_stream stream) { return (void)event, (void)stream, OK; }
CALL(cuEventSynchronize, fnd_cu_event event) { return (void)event, word("lost") ? LOST : OK; }
CALL(cuEventElapsedTime, float *milliseconds, fnd_cu_event start, fnd_cu_event end) { return (void)start, (void)end, *milliseconds = 0, OK; }
/* A module is a copy of what the one function in it takes, with the image until it is asked for. */
typedef struct code {
    const void *image;
    cubin_facts facts;
} code;
CALL(cuModuleLoadData, fnd_cu_module *module, const void *image) {
    code *c = calloc(1, sizeof *c);
    *module = (fnd_cu_module)(void *)c;
    if (!c || word("bad-image")) {
        free(c);
        return *module = NULL, c ? BAD_IMAGE : FND_CU_OUT_OF_MEMORY;
    }
    c->image = image;
    return OK;
}
CALL(cuModuleUnload, fnd_cu_module module) { return free(module), OK; }
CALL(cuModuleGetFunction, fnd_cu_function *function, fnd_cu_module module, const char *name) {
    code *c = (code *)(void *)module;
    *function = (fnd_cu_function)(void *)c;
    return cubin_read(c->image, name, &c->facts) ? OK : NOT_FOUND;
}
CALL(cuFuncGetAttribute, int *value, int attribute, fnd_cu_function function) {
    const cubin_facts *f = &((const code *)(const void *)function)->facts;
    *value = attribute == FND_CU_FUNCTION_REGISTERS     ? f->registers
             : attribute == FND_CU_FUNCTION_LOCAL_BYTES ? f->local_bytes
             : attribute == FND_CU_FUNCTION_MAX_THREADS ? f->max_threads
                                                        : f->shared_bytes;
    return OK;
}
CALL(cuFuncSetAttribute, fnd_cu_function function, int attribute, int value) { return (void)function, (void)attribute, (void)value, OK; }
CALL(cuLaunchKernel, fnd_cu_function f, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz, unsigned shared, fnd_cu_stream s, void **params, void **extra) {
    (void)f, (void)y, (void)z, (void)by, (void)bz, (void)shared, (void)s, (void)params, (void)extra;
    return x && bx && bx <= 1024 ? OK : INVALID;
}
CALL(cuLaunchCooperativeKernel, fnd_cu_function f, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz, unsigned shared, fnd_cu_stream s, void **params) {
    return cuLaunchKernel(f, x, y, z, bx, by, bz, shared, s, params, NULL);
}
