/* sim.c - the table of calls of the simulated device. */
#include "backend/sim/sim.h"
#include "backend/sim/state.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

/* Few groups, so that tests are quick; an odd number, so that work does not divide evenly. */
enum { GROUPS = 3,
       WARPS = 4,
       CUDA_WARPS = 16, /* as on the GPU: its texts share work out by warps */
       METAL_TILE_TOKENS = 16 /* two matrices */,
       CUDA_TILE_TOKENS = 32,
       CUDA_PANEL_BYTES = 147456, /* as gemv/panel_bytes.cuda.h has them */
       CUDA_FLASH_BYTES = 137216 };

static void sim_close(void *self) {
    fnd_sim *sim = self;
    if (!sim) return;
    fnd_sim_run *run = &sim->run;
    fnd_sim_release_all(sim);
    fnd_fiber_stacks_close(&run->stacks);
    void *const blocks[] = { run->fibers, run->threads, run->order, run->queue, run->group_memory, run->scratch, run->check.regions, sim->args, sim->group_order };
    for (size_t i = 0; i < FND_COUNT(blocks); i++) fnd_free_memory(blocks[i]);
    fnd_free_memory(sim);
}

static fnd_status make_threads(fnd_sim_run *run, fnd_error *err) {
    run->fibers = fnd_alloc_zeroed(FND_SIM_MAX_THREADS, sizeof *run->fibers);
    run->threads = fnd_alloc_zeroed(FND_SIM_MAX_THREADS, sizeof *run->threads);
    run->order = fnd_alloc_zeroed(FND_SIM_MAX_THREADS, sizeof *run->order);
    run->queue = fnd_alloc_zeroed(FND_SIM_MAX_THREADS, sizeof *run->queue);
    run->group_memory = fnd_alloc_aligned(FND_SIM_GROUP_SPACE, 64);
    if (!run->fibers || !run->threads || !run->order || !run->queue || !run->group_memory) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the simulator's threads");
    return fnd_fiber_stacks_open(FND_SIM_MAX_THREADS, &run->stacks, err);
}

static fnd_status sim_open(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err) {
    *self = NULL;
    bool metal = desc && desc->isa && strcmp(desc->isa, "metal") == 0, cuda = desc && desc->isa && strcmp(desc->isa, "cuda") == 0;
    *info = (fnd_device_info){ .suffix = metal ? ".metal" : cuda ? ".cuda"
                                                                 : "",
                               .groups = GROUPS,
                               .lanes = FND_SIM_LANES,
                               .warps = cuda ? CUDA_WARPS : WARPS,
                               .max_threads = FND_SIM_MAX_THREADS,
                               .tile_tokens = metal ? METAL_TILE_TOKENS : 4,
                               .group_bytes = FND_SIM_GROUP_BYTES,
                               .host_memory = true };
    if (cuda) {
        info->tile_rows = 1;
        info->tile_tokens = CUDA_TILE_TOKENS;
        info->panel_tokens = 1;
        info->panel_bytes = CUDA_PANEL_BYTES;
        info->flash_bytes = CUDA_FLASH_BYTES;
    }
    if (desc && desc->device) return fnd_fail(err, FND_ERR_UNSUPPORTED, "sim has one device; there is no device %u", desc->device);
    fnd_sim *sim = fnd_alloc_zeroed(1, sizeof *sim);
    if (!sim) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    fnd_status status = make_threads(&sim->run, err);
    if (status != FND_OK) {
        sim_close(sim);
        return status;
    }
    snprintf(info->name, sizeof info->name, "simulated GPU (%d groups of %d warps of %d lanes)", GROUPS, WARPS, FND_SIM_LANES);
    fnd_sim_find_compiler(sim, desc, info);
    *self = sim;
    return FND_OK;
}

/* Launches are executed at once, so that there is nothing to wait for but the news. */
static fnd_status sim_wait(void *self, fnd_error *err) {
    fnd_sim *sim = self;
    fnd_error failure = sim->failure;
    sim->failure = (fnd_error){ 0 };
    return failure.status == FND_OK ? FND_OK : fnd_fail(err, failure.status, "%s", failure.text);
}

void fnd_sim_set_order(void *self, uint64_t order) { ((fnd_sim *)self)->order = order; }

const fnd_backend fnd_backend_sim = {
    .name = "sim",
    .doc = "a GPU's geometry executed and checked on the processor: for tests",
    .open = sim_open,
    .close = sim_close,
    .alloc = fnd_sim_alloc,
    .reserve = fnd_sim_reserve,
    .commit = fnd_sim_commit,
    .release = fnd_sim_release,
    .adopt = fnd_sim_adopt,
    .upload = fnd_sim_upload,
    .download = fnd_sim_download,
    .build = fnd_sim_build,
    .load = fnd_sim_load,
    .unload = fnd_sim_unload,
    .launch = fnd_sim_launch,
    .wait = sim_wait,
};
