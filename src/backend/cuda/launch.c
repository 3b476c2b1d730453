/* launch.c - code, and running it on the stream.
 *
 * SAFETY: an entry point gets the four parameters that kernels/dialect/cuda.h gives it: a kernel its
 * argument struct by value, a program the address of its table on the device; then the scratch memory
 * how much of it a group has, and scratch memory of all groups. The cache's key covers that header, so both sides agree. The stream
 * runs launches in order, so memory of one launch may be reused by the next. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"

enum { SCRATCH_ALIGNMENT = 256 };

/* ---- code ---- */

static fnd_status look_at(const fnd_cuda *c, fnd_cuda_code *code, const char *entry, fnd_error *err) {
    FND_TRY(fnd_cuda_check(c->cu, c->cu->module_function(&code->function, code->module, entry), "finding an entry point", err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->function_attribute(&code->registers, FND_CU_FUNCTION_REGISTERS, code->function), "asking for registers", err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->function_attribute(&code->local_bytes, FND_CU_FUNCTION_LOCAL_BYTES, code->function), "asking for local memory", err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->function_attribute(&code->max_threads, FND_CU_FUNCTION_MAX_THREADS, code->function), "asking for threads", err));
    return fnd_cuda_check(c->cu, c->cu->function_attribute(&code->shared_bytes, FND_CU_FUNCTION_SHARED_BYTES, code->function), "asking for group memory", err);
}

fnd_status fnd_cuda_load(void *self, const char *entry, const void *blob, size_t bytes, void **out, fnd_error *err) {
    fnd_cuda *c = self;
    *out = NULL;
    if (bytes < 64 || memcmp(blob, "\177ELF", 4) != 0) return fnd_fail(err, FND_ERR_DEVICE, "%s: what should be machine code for the GPU is something else", entry);
    FND_TRY(fnd_cuda_enter(c, err));
    fnd_cuda_code *code = fnd_alloc_zeroed(1, sizeof *code);
    if (!code) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while loading code");
    fnd_status status = fnd_cuda_check(c->cu, c->cu->module_load(&code->module, blob), entry, err);
    if (status == FND_OK) status = look_at(c, code, entry, err);
    code->told = fnd_cuda_usage_read(blob, bytes, &code->usage);
    if (status != FND_OK) {
        fnd_cuda_unload(c, code);
        return status;
    }
    *out = code;
    return FND_OK;
}

void fnd_cuda_unload(void *self, void *loaded) {
    fnd_cuda *c = self;
    fnd_cuda_code *code = loaded;
    fnd_error ignored = { 0 };
    if (!code) return;
    if (code->module && fnd_cuda_enter(c, &ignored) == FND_OK) {
        (void)fnd_cuda_await(c, NULL, "unloading", &ignored);
        if (fnd_cuda_watch_check(c, &ignored) == FND_OK) c->cu->module_unload(code->module);
    }
    fnd_free_memory(code);
}

/* The driver's figures; spills are the compiler's, who alone tells them from other memory of threads. */
bool fnd_cuda_usage_of(void *self, const void *loaded, fnd_code_usage *out) {
    const fnd_cuda_code *code = loaded;
    (void)self;
    if (!code) return false;
    *out = (fnd_code_usage){
        .max_threads = (uint32_t)code->max_threads,
        .registers = (uint32_t)code->registers,
        .local_bytes = (uint32_t)code->local_bytes,
        .shared_bytes = (uint32_t)code->shared_bytes,
        .spill_store_bytes = code->told ? code->usage.spill_store_bytes : (uint32_t)code->local_bytes,
        .spill_load_bytes = code->told ? code->usage.spill_load_bytes : (uint32_t)code->local_bytes,
    };
    return true;
}

/* ---- launches ---- */

/* Device memory of at least `bytes`; what it held is lost. */
static fnd_status grow(fnd_cuda *c, fnd_cu_address *at, size_t *have, size_t bytes, const char *label, fnd_error *err) {
    if (bytes <= *have) return FND_OK;
    FND_TRY(fnd_cuda_await(c, NULL, label, err));
    if (*at) c->cu->release(*at);
    *at = 0;
    *have = 0;
    FND_TRY(fnd_cuda_check(c->cu, c->cu->alloc(at, bytes), label, err));
    *have = bytes;
    return FND_OK;
}

static fnd_status put_table(fnd_cuda *c, const fnd_launch *l, fnd_error *err) {
    FND_TRY(grow(c, &c->table, &c->table_bytes, fnd_round_up(l->args_bytes ? l->args_bytes : 1, 65536), l->label, err));
    fnd_memory table = { .address = c->table, .bytes = c->table_bytes };
    return fnd_cuda_upload(c, &table, 0, l->args, l->args_bytes, err);
}

/* Scratch memory for every group: in its own fast memory where that is large enough (then *scratch is
 * 0 and *shared the size), else on the device. */
static fnd_status place_scratch(fnd_cuda *c, fnd_cuda_code *code, const fnd_launch *l, uint64_t *scratch, uint64_t *stride, unsigned *shared, fnd_error *err) {
    size_t each = fnd_round_up(l->scratch_bytes, SCRATCH_ALIGNMENT), all;
    if (each < l->scratch_bytes || !fnd_mul_size(each, l->groups, &all)) return fnd_fail(err, FND_ERR_MEMORY, "%s: %zu bytes of scratch in each of %u groups cannot be had", l->label, l->scratch_bytes, l->groups);
    *stride = each;
    *shared = 0;
    if (each + (size_t)code->shared_bytes > c->group_bytes) {
        if (l->shared_scratch_bytes) return fnd_fail(err, FND_ERR_LIMIT, "%s: a group needs %zu bytes of its own memory, and this GPU has %zu", l->label, each + (size_t)code->shared_bytes, c->group_bytes);
        FND_TRY(grow(c, &c->scratch, &c->scratch_bytes, all, l->label, err));
        *scratch = c->scratch;
        return FND_OK;
    }
    if (each > code->dynamic_bytes) FND_TRY(fnd_cuda_check(c->cu, c->cu->function_set(code->function, FND_CU_FUNCTION_MAX_DYNAMIC_SHARED_BYTES, (int)each), l->label, err));
    code->dynamic_bytes = fnd_max_size(code->dynamic_bytes, each);
    *scratch = 0;
    *shared = (unsigned)each;
    return FND_OK;
}

/* A program whose text has a weight stream is compiled for exactly one warp more. */
static bool streams(const fnd_cuda_code *code, const fnd_launch *l) { return l->is_program && (unsigned)code->max_threads == (l->warps + 1) * 32; }

/* Scratch memory in front, the stream's ring in all that is left. */
static fnd_status place_ring(fnd_cuda *c, fnd_cuda_code *code, const fnd_launch *l, uint64_t *stride, unsigned *shared, fnd_error *err) {
    size_t room = c->group_bytes - fnd_min_size(c->group_bytes, (size_t)code->shared_bytes);
    *stride = fnd_round_up(l->scratch_bytes, SCRATCH_ALIGNMENT);
    *shared = (unsigned)(room / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT);
    if (*stride + fnd_max_size(l->ring_bytes, 1) > *shared) {
        return fnd_fail(err, FND_ERR_LIMIT, "%s is not run: it would wait for ever for its weights, which need a ring of %zu bytes in a group's memory; of %zu bytes, %llu are left", l->label, l->ring_bytes, room, (unsigned long long)(*stride < *shared ? *shared - *stride : 0));
    }
    if (code->dynamic_bytes < *shared) FND_TRY(fnd_cuda_check(c->cu, c->cu->function_set(code->function, FND_CU_FUNCTION_MAX_DYNAMIC_SHARED_BYTES, (int)*shared), l->label, err));
    code->dynamic_bytes = *shared;
    return FND_OK;
}

/* Groups that wait for each other must all be on the GPU at once. */
static fnd_status check_resident(const fnd_cuda *c, fnd_cuda_code *code, const fnd_cuda_config *config, const fnd_launch *l, fnd_error *err) {
    if (code->resident_threads != config->threads || code->resident_shared != config->shared) {
        int each = 0;
        FND_TRY(fnd_cuda_check(c->cu, c->cu->function_resident(&each, code->function, (int)config->threads, config->shared), l->label, err));
        code->resident = each > 0 ? (uint64_t)each * c->processors : 0;
        code->resident_threads = config->threads;
        code->resident_shared = config->shared;
    }
    if (code->resident >= config->groups) return FND_OK;
    return fnd_fail(err, FND_ERR_LIMIT, "%s is not run: its %u groups wait for each other, and %llu of them fit on %s at once (each takes %u threads of %d registers and %zu bytes of group memory)%s", l->label, config->groups,
                    (unsigned long long)code->resident, c->name, config->threads, code->registers, config->shared + (size_t)code->shared_bytes, l->is_program ? "; as launches (--program launch) most of its kernels wait for nobody" : "");
}

fnd_status fnd_cuda_configure(fnd_cuda *c, const fnd_launch *l, fnd_cuda_config *out, fnd_error *err) {
    fnd_cuda_code *code = l->code;
    if (!code) return fnd_fail(err, FND_ERR_USAGE, "%s: there is no code to launch", l->label);
    *out = (fnd_cuda_config){ .function = code->function, .groups = l->groups, .threads = l->warps * 32, .together = l->is_program || l->shared_scratch_bytes };
    if (streams(code, l)) {
        out->threads += 32;
        FND_TRY(place_ring(c, code, l, &out->stride, &out->shared, err));
    } else {
        FND_TRY(place_scratch(c, code, l, &out->scratch, &out->stride, &out->shared, err));
    }
    if (l->shared_scratch_bytes) FND_TRY(grow(c, &c->shared, &c->shared_bytes, l->shared_scratch_bytes, l->label, err));
    out->shared_scratch = c->shared;
    return out->together ? check_resident(c, code, out, l, err) : FND_OK;
}

fnd_status fnd_cuda_start(fnd_cuda *c, const fnd_cuda_config *config, const void *args, const char *label, fnd_error *err) {
    fnd_cuda_config g = *config;
    void *params[] = { (void *)(uintptr_t)args, &g.scratch, &g.stride, &g.shared_scratch };
    int result = g.together ? c->cu->launch_together(g.function, g.groups, 1, 1, g.threads, 1, 1, g.shared, c->stream, params)
                            : c->cu->launch(g.function, g.groups, 1, 1, g.threads, 1, 1, g.shared, c->stream, params, NULL);
    return fnd_cuda_check(c->cu, result, label, err);
}

static fnd_status start(fnd_cuda *c, const fnd_launch *l, fnd_error *err) {
    fnd_cuda_config config;
    FND_TRY(fnd_cuda_enter(c, err));
    if (l->graph) {
        FND_TRY(fnd_cuda_run_graph(c, l, err));
    } else {
        FND_TRY(fnd_cuda_configure(c, l, &config, err));
        if (l->is_program) FND_TRY(put_table(c, l, err));
        FND_TRY(fnd_cuda_start(c, &config, l->is_program ? (const void *)&c->table : l->args, l->label, err));
    }
    fnd_cuda_watch_launched(c, l->label);
    return FND_OK;
}

fnd_status fnd_cuda_launch(void *self, const fnd_launch *launch, fnd_error *err) {
    fnd_cuda *c = self;
    if (c->failure.status == FND_OK && start(c, launch, &c->failure) == FND_OK) return FND_OK;
    return fnd_fail(err, c->failure.status, "%s", c->failure.text);
}

fnd_status fnd_cuda_wait(void *self, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_error failure = c->failure;
    c->failure = (fnd_error){ 0 };
    FND_TRY(fnd_cuda_enter(c, err));
    fnd_status status = fnd_cuda_await(c, NULL, "waiting for the GPU", &failure);
    return status == FND_OK && failure.status == FND_OK ? FND_OK : fnd_fail(err, failure.status, "%s", failure.text);
}
