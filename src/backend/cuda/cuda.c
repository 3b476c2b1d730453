/* cuda.c - opening an NVIDIA GPU, and the table of calls. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* One resident group on every multiprocessor: the prologue is computed once there, and a barrier over
 * all groups has the fewest words to wait for. */
enum { GROUPS_PER_PROCESSOR = 1,
       WARPS = 16,
       STREAM_WARPS = 15, /* and one that brings weights: 16 have 128 registers a thread */
       TILE_TOKENS = 32,  /* of which on the matrix unit works */
       SPAN_TOKENS = 8,   /* more do not fit into registers */
       OLDEST_CAPABILITY = 75,
       STREAM_CAPABILITY = 90 }; /* bulk copies, barriers that count bytes */

fnd_status fnd_cuda_check(const fnd_cuda_api *cu, int result, const char *what, fnd_error *err) {
    const char *name = NULL, *text = NULL;
    if (result == 0) return FND_OK;
    if (cu->error_name(result, &name) != 0 || !name) name = "unknown error";
    if (cu->error_text(result, &text) != 0 || !text) text = "?";
    return fnd_fail(err, result == FND_CU_OUT_OF_MEMORY ? FND_ERR_MEMORY : FND_ERR_DEVICE, "%s: the NVIDIA driver says %s (%s, %d)", what, text, name, result);
}

fnd_status fnd_cuda_enter(fnd_cuda *c, fnd_error *err) {
    FND_TRY(fnd_cuda_watch_check(c, err));
    return fnd_cuda_check(c->cu, c->cu->context_set(c->context), "entering the GPU's context", err);
}

/* ---- opening ---- */

static fnd_status find_device(fnd_cuda *c, uint32_t index, fnd_error *err) {
    int count = 0, result = c->cu->init(0);
    if (result == FND_CU_NO_DEVICE) return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is an NVIDIA driver but no GPU that it can use");
    if (result != 0) {
        fnd_error why = { 0 };
        return fnd_cuda_check(c->cu, result, "starting the driver", &why) == FND_OK ? FND_OK : fnd_fail(err, FND_ERR_UNSUPPORTED, "%s", why.text);
    }
    FND_TRY(fnd_cuda_check(c->cu, c->cu->device_count(&count), "counting GPUs", err));
    if (count == 0) return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is an NVIDIA driver but no GPU that it can use");
    if (index >= (uint32_t)count) return fnd_fail(err, FND_ERR_UNSUPPORTED, "there is no GPU %u: this machine has %d, counted from 0", index, count);
    FND_TRY(fnd_cuda_check(c->cu, c->cu->device_get(&c->device, (int)index), "choosing a GPU", err));
    return fnd_cuda_check(c->cu, c->cu->device_name(c->name, sizeof c->name, c->device), "asking for the GPU's name", err);
}

typedef struct facts {
    int major, minor, processors, shared_bytes, cooperative, virtual_memory;
} facts;

static fnd_status ask(const fnd_cuda *c, facts *f, fnd_error *err) {
    const struct {
        int attribute, *to;
    } questions[] = {
        { FND_CU_CAPABILITY_MAJOR, &f->major },
        { FND_CU_CAPABILITY_MINOR, &f->minor },
        { FND_CU_MULTIPROCESSOR_COUNT, &f->processors },
        { FND_CU_MAX_SHARED_PER_BLOCK, &f->shared_bytes },
        { FND_CU_COOPERATIVE_LAUNCH, &f->cooperative },
        { FND_CU_VIRTUAL_MEMORY, &f->virtual_memory },
    };
    for (size_t i = 0; i < FND_COUNT(questions); i++) {
        FND_TRY(fnd_cuda_check(c->cu, c->cu->device_attribute(questions[i].to, questions[i].attribute, c->device), "asking the GPU for its properties", err));
    }
    int capability = 10 * f->major + f->minor;
    if (capability < OLDEST_CAPABILITY) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s has compute capability %d.%d; 7.5 and up are supported", c->name, f->major, f->minor);
    if (!f->cooperative || !f->virtual_memory) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s offers no %s here", c->name, f->cooperative ? "virtual memory" : "cooperative launches");
    return FND_OK;
}

/* The newest target that the compiler knows and this GPU runs: its own, or the newest before it. */
static void choose_arch(fnd_cuda *c, int capability) {
    int list[64] = { 0 }, count = 0, best = OLDEST_CAPABILITY;
    if (c->nvrtc && c->nvrtc->arch_count(&count) == 0 && count <= 64 && c->nvrtc->archs(list) == 0) {
        for (int i = 0; i < count; i++) {
            if (list[i] <= capability && list[i] > best) best = list[i];
        }
    } else {
        best = capability;
    }
    snprintf(c->arch, sizeof c->arch, "sm_%d%s", best, best == capability && capability >= 90 ? "a" : "");
}

/* FND_PANEL_BYTES of kernels/gemv/panel_bytes.cuda.h, which the compiler's target decides. */
static uint64_t panel_bytes(const fnd_cuda *c) {
    int arch = atoi(c->arch + 3);
    if (arch < 80) return 49152;
    return arch == 86 || arch == 89 || arch >= 120 ? 65536 : arch >= 90 ? 196608
                                                                        : 147456;
}

static void describe(fnd_cuda *c, const facts *f, const fnd_error *no_compiler, fnd_device_info *info) {
    int major = 0, minor = 0;
    if (c->nvrtc) (void)c->nvrtc->version(&major, &minor);
    c->group_bytes = (size_t)f->shared_bytes;
    c->processors = (uint32_t)f->processors;
    c->groups = c->processors * GROUPS_PER_PROCESSOR;
    *info = (fnd_device_info){
        .suffix = ".cuda",
        .groups = c->groups,
        .lanes = 32,
        .warps = WARPS,
        .max_threads = 1024,
        .tile_rows = 1,
        .tile_tokens = TILE_TOKENS,
        .span_tokens = SPAN_TOKENS,
        .panel_tokens = TILE_TOKENS,
        .panel_bytes = panel_bytes(c),
        .flash_bytes = panel_bytes(c) < 147456 ? 0 : 137216,
        .group_bytes = (uint64_t)f->shared_bytes,
        .runs_programs = true,
        .runs_graphs = true,
        .stream_warps = atoi(c->arch + strlen("sm_")) >= STREAM_CAPABILITY ? STREAM_WARPS : 0,
        .can_build = c->nvrtc != NULL,
    };
    snprintf(info->name, sizeof info->name, "%.60s (%d processors, %s)", c->name, f->processors, c->arch);
    snprintf(info->target, sizeof info->target, "cuda %s, %u groups, nvrtc %d.%d", c->arch, c->groups, major, minor);
    if (!c->nvrtc) snprintf(info->why_not_build, sizeof info->why_not_build, "%.159s", no_compiler->text);
}

static void cuda_close(void *self) {
    fnd_cuda *c = self;
    if (!c) return;
    fnd_error ignored = { 0 };
    bool inside = c->context && fnd_cuda_enter(c, &ignored) == FND_OK;
    if (inside && c->stream) (void)fnd_cuda_await(c, NULL, "closing", &ignored);
    bool lost = atomic_load(&c->watch.lost); /* then every call of the driver may hang */
    while (c->graphs) fnd_cuda_free_graph(c, c->graphs);
    if (inside && !lost) {
        fnd_cuda_watch_close(c);
        fnd_cuda_staging_close(c);
        fnd_cuda_submissions_close(c);
        if (c->scratch) c->cu->release(c->scratch);
        if (c->shared) c->cu->release(c->shared);
        if (c->table) c->cu->release(c->table);
        if (c->stream) c->cu->stream_destroy(c->stream);
    }
    if (!lost && c->context) c->cu->context_release(c->device);
    pthread_mutex_destroy(&c->watch.lock);
    fnd_free_memory(c);
}

static fnd_status open_device(fnd_cuda *c, uint32_t index, fnd_device_info *info, fnd_error *err) {
    facts f = { 0 };
    fnd_error no_compiler = { 0 };
    FND_TRY(fnd_cuda_api_open(&c->cu, err));
    FND_TRY(find_device(c, index, err));
    FND_TRY(ask(c, &f, err));
    if (fnd_nvrtc_api_open(&c->nvrtc, &no_compiler) != FND_OK) c->nvrtc = NULL;
    choose_arch(c, 10 * f.major + f.minor);
    FND_TRY(fnd_cuda_check(c->cu, c->cu->context_retain(&c->context, c->device), "opening the GPU", err));
    FND_TRY(fnd_cuda_enter(c, err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->stream_create(&c->stream, FND_CU_STREAM_NON_BLOCKING), "making a stream", err));
    FND_TRY(fnd_cuda_staging_open(c, err));
    describe(c, &f, &no_compiler, info);
    return FND_OK;
}

static fnd_status cuda_open(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err) {
    *self = NULL;
    fnd_cuda *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the cuda backend");
    c->watch.seconds = desc ? desc->watchdog_seconds : 0;
    pthread_mutex_init(&c->watch.lock, NULL);
    fnd_status status = open_device(c, desc ? desc->device : 0, info, err);
    if (status != FND_OK) {
        cuda_close(c);
        return status;
    }
    *self = c;
    return FND_OK;
}

const fnd_backend fnd_backend_cuda = {
    .name = "cuda",
    .doc = "an NVIDIA GPU, kernels by NVRTC",
    .open = cuda_open,
    .close = cuda_close,
    .alloc = fnd_cuda_alloc,
    .reserve = fnd_cuda_reserve,
    .commit = fnd_cuda_commit,
    .release = fnd_cuda_release,
    .upload = fnd_cuda_upload,
    .download = fnd_cuda_download,
    .build = fnd_cuda_build,
    .load = fnd_cuda_load,
    .usage = fnd_cuda_usage_of,
    .unload = fnd_cuda_unload,
    .launch = fnd_cuda_launch,
    .wait = fnd_cuda_wait,
    .free_graph = fnd_cuda_free_graph,
    .begin = fnd_cuda_begin,
    .submit = fnd_cuda_submit,
    .finish = fnd_cuda_finish,
};
