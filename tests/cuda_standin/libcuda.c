/* libcuda.c - stands in for NVIDIA's driver where there is none: an H100 as far as questions go, whose memory
 * is the host's and whose launches do nothing. Programs are printed and compiled for it as for the real one,
 * and the backend's ways to fail are tried.
 *
 * CUDA_STANDIN holds words: "no-device", "old" (capability 7.0), "memory=N" (bytes that can be had), "lost"
 * (every wait fails), "bad-image" (no code loads), "crowded" (no group of code finds room), "hang=NAME" (the kernel
 * of that name never ends), "stamps" (programs leave the times of their calls). CUDA_STANDIN_LOG names a file for all that is launched (run.c). */
#include "standin.h"

enum { PAGE = 2 << 20 };

static size_t taken; /* bytes of the device's memory */

const char *word(const char *name) {
    const char *words = getenv("CUDA_STANDIN");
    return words ? strstr(words, name) : NULL;
}
static size_t limit(void) {
    const char *memory = word("memory=");
    return memory ? strtoull(memory + strlen("memory="), NULL, 10) : (size_t)1 << 40;
}

CALL(cuInit, unsigned flags) { return flags ? INVALID : word("no-device") ? FND_CU_NO_DEVICE
                                                                          : OK; }
static const struct {
    int error;
    const char *name, *text;
} errors[] = {
    { FND_CU_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { BAD_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
    { BAD_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle" },
    { BAD_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state" },
    { LOST, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
    { TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch" },
    { CAPTURES, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing" },
};
static size_t error_at(int error) {
    size_t i = 0;
    while (i < sizeof errors / sizeof *errors && errors[i].error != error) i++;
    return i;
}
CALL(cuGetErrorName, int error, const char **name) {
    size_t i = error_at(error);
    *name = i < sizeof errors / sizeof *errors ? errors[i].name : "CUDA_ERROR_UNKNOWN";
    return OK;
}
CALL(cuGetErrorString, int error, const char **text) {
    size_t i = error_at(error);
    *text = i < sizeof errors / sizeof *errors ? errors[i].text : "unknown error";
    return OK;
}
CALL(cuDeviceGetCount, int *count) { return *count = 1, OK; }
CALL(cuDeviceGet, int *device, int ordinal) { return *device = ordinal, OK; }
CALL(cuDeviceGetName, char *name, int bytes, int device) { return (void)device, snprintf(name, (size_t)bytes, "stand-in for an H100"), OK; }
CALL(cuDeviceGetAttribute, int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case FND_CU_MULTIPROCESSOR_COUNT:
        return *value = PROCESSORS, OK;
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
CALL(cuDevicePrimaryCtxRelease_v2, int device) {
    (void)device;
    would_block("releasing a context");
    check_left();
    return OK;
}
CALL(cuCtxSetCurrent, fnd_cu_context context) { return context == (fnd_cu_context)&taken ? OK : INVALID; }
CALL(cuMemGetInfo_v2, size_t *available, size_t *all) { return *all = limit(), *available = *all - taken, OK; }

/* NVRTC asks the driver, where there is one, for a table of private calls, and takes none of one this small. */
CALL(cuGetExportTable, const void **table, const void *which) {
    static const size_t bytes = sizeof bytes;
    return (void)which, *table = &bytes, OK;
}

/* ---- where memory is, for the log: by number, since addresses are others in every run ---- */

static struct {
    uintptr_t at;
    size_t bytes;
    unsigned number;
} places[4096];
static unsigned place_count, numbers;

static void note_place(const void *p, size_t bytes) {
    unsigned i = 0;
    while (i < place_count && places[i].bytes) i++;
    if (i == sizeof places / sizeof *places) return;
    if (i == place_count) place_count++;
    places[i].at = (uintptr_t)p;
    places[i].bytes = bytes ? bytes : 1;
    places[i].number = ++numbers;
}
static void forget_place(const void *p) {
    for (unsigned i = 0; i < place_count; i++) {
        if (places[i].at == (uintptr_t)p) places[i].bytes = 0;
    }
}
unsigned place_of(uint64_t address, uint64_t *offset) {
    for (unsigned i = 0; i < place_count; i++) {
        *offset = address - places[i].at;
        if (address >= places[i].at && *offset < places[i].bytes) return places[i].number;
    }
    return 0;
}

/* ---- clocks that a program writes (FND_STAMPS in src/kernels/dialect/) ---- */

static struct {
    fnd_cu_address to;
    size_t bytes;
} last_upload;

/* As if every call took 2,000 ticks of half a nanosecond and the groups waited 100, 110, .. of them at each barrier. The
 * table, uploaded last, ends with where the clocks are: as many for each group as there is room for. */
void write_stamps(fnd_cu_address table) {
    enum { CALL_TICKS = 2000,
           LEAST_WAIT = 100,
           WAIT_STEP = 10 };
    fnd_cu_address at;
    if (!word("stamps") || table != last_upload.to) return;
    memcpy(&at, (const char *)(uintptr_t)(table + last_upload.bytes - sizeof at), sizeof at);
    uint64_t *stamps = (uint64_t *)(uintptr_t)at;
    size_t count = ((const size_t *)(const void *)((const char *)stamps - 256))[0] / sizeof *stamps / PROCESSORS;
    for (size_t g = 0; g < PROCESSORS; g++) {
        uint64_t *row = stamps + g * count, clock = 5000 * (g + 1);
        row[0] = 1000000;
        for (size_t i = 1; i + 1 < count; i++) {
            row[i] = clock;
            clock += i % 2 ? CALL_TICKS : LEAST_WAIT + WAIT_STEP * (g * 7 % PROCESSORS);
        }
        row[count - 1] = row[0] + (row[count - 2] - row[1]) / 2;
    }
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
    if (result == OK) note_place(p, bytes);
    return capturing() ? CAPTURES : result;
}
CALL(cuMemFree_v2, fnd_cu_address address) {
    would_block("freeing memory");
    forget_place((void *)(uintptr_t)address);
    return give((void *)(uintptr_t)address);
}
CALL(cuMemHostAlloc, void **address, size_t bytes, unsigned flags) { return (void)flags, *address = calloc(1, bytes), *address ? OK : FND_CU_OUT_OF_MEMORY; }
CALL(cuMemFreeHost, void *address) {
    would_block("freeing pinned memory");
    free(address);
    return OK;
}
CALL(cuMemsetD8Async, fnd_cu_address to, unsigned char value, size_t bytes, fnd_cu_stream s) { return (void)s, memset((void *)(uintptr_t)to, value, bytes), OK; }
CALL(cuMemcpyHtoDAsync_v2, fnd_cu_address to, const void *from, size_t bytes, fnd_cu_stream s) {
    (void)s;
    last_upload.to = to;
    last_upload.bytes = bytes;
    memcpy((void *)(uintptr_t)to, from, bytes);
    return OK;
}
CALL(cuMemcpyDtoHAsync_v2, void *to, fnd_cu_address from, size_t bytes, fnd_cu_stream s) { return (void)s, memcpy(to, (void *)(uintptr_t)from, bytes), OK; }

/* Address space is memory from the start; pieces are counted only. */
CALL(cuMemGetAllocationGranularity, size_t *bytes, const fnd_cu_allocation_prop *prop, int option) { return (void)prop, (void)option, *bytes = PAGE, OK; }
CALL(cuMemAddressReserve, fnd_cu_address *address, size_t bytes, size_t alignment, fnd_cu_address at, uint64_t flags) {
    (void)alignment, (void)at, (void)flags;
    void *p = calloc(1, bytes);
    *address = (fnd_cu_address)(uintptr_t)p;
    if (p) note_place(p, bytes);
    return p ? OK : FND_CU_OUT_OF_MEMORY;
}
CALL(cuMemAddressFree, fnd_cu_address address, size_t bytes) {
    (void)bytes;
    forget_place((void *)(uintptr_t)address);
    free((void *)(uintptr_t)address);
    return OK;
}
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
