/* launch.c - from the arguments of a launch to the regions that its threads may touch. */
#include "backend/sim/report.h"
#include "backend/sim/state.h"
#include "base/base.h"
#include "base/memory.h"

/* Make *block hold at least `count` things; what it held is lost. */
static fnd_status grow(void **block, size_t *capacity, size_t count, size_t bytes_each, fnd_error *err) {
    if (count <= *capacity) return FND_OK;
    size_t bytes;
    fnd_free_memory(*block);
    *block = fnd_mul_size(count, bytes_each, &bytes) ? fnd_alloc_aligned(bytes, 64) : NULL;
    *capacity = *block ? count : 0;
    return *block ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory while preparing a launch");
}

static fnd_status check_launch(const fnd_sim *sim, const fnd_launch *l, fnd_error *err) {
    const fnd_sim_code *code = l->code;
    if (!l->groups) return fnd_fail(err, FND_ERR_USAGE, "%s: launched with no groups", l->label);
    if (l->warps != code->warps) return fnd_fail(err, FND_ERR_USAGE, "%s: compiled for groups of %u warps, launched with %u", l->label, code->warps, l->warps);
    for (size_t i = 0; i < l->buffer_count; i++) {
        const fnd_launch_buffer *b = &l->buffers[i];
        if (!b->bytes) continue;
        const fnd_sim_memory *m = fnd_sim_find_memory(sim, b->address, b->bytes);
        if (!m) return fnd_fail(err, FND_ERR_USAGE, "%s: argument %s (%llu bytes) is not memory of this device", l->label, b->name, (unsigned long long)b->bytes);
        if (b->writes && !m->mapping) return fnd_fail(err, FND_ERR_USAGE, "%s: argument %s is written, but its memory may only be read", l->label, b->name);
    }
    return FND_OK;
}

static void add_region(fnd_sim_check *c, fnd_sim_region region) { c->regions[c->fixed_count++] = region; }

static void add_regions(fnd_sim *sim, const fnd_launch *l) {
    fnd_sim_check *c = &sim->run.check;
    const fnd_sim_code *code = l->code;
    c->fixed_count = 0;
    for (size_t i = 0; i < l->buffer_count; i++) {
        const fnd_launch_buffer *b = &l->buffers[i];
        if (!b->bytes) continue;
        /* In order of address, so that those which overlap are neighbours. */
        size_t at = c->fixed_count++;
        for (; at > 0 && c->regions[at - 1].address > b->address; at--) c->regions[at] = c->regions[at - 1];
        c->regions[at] = (fnd_sim_region){ .name = b->name ? b->name : "?", .kind = FND_SIM_BUFFER, .reads = b->reads || !b->writes, .writes = b->writes, .address = b->address, .bytes = b->bytes };
    }
    add_region(c, (fnd_sim_region){ .name = "scratch", .kind = FND_SIM_SCRATCH, .reads = true, .writes = true, .address = (uint64_t)(uintptr_t)sim->run.scratch, .bytes = l->scratch_bytes });
    add_region(c, (fnd_sim_region){ .name = "the arguments", .kind = FND_SIM_FIXED, .reads = true, .address = (uint64_t)(uintptr_t)sim->args, .bytes = l->args_bytes });
    add_region(c, (fnd_sim_region){ .name = "fnd_thread", .kind = FND_SIM_FIXED, .reads = true, .address = (uint64_t)(uintptr_t)sim->run.threads, .bytes = FND_SIM_MAX_THREADS * sizeof(fnd_sim_thread) });
    add_region(c, (fnd_sim_region){ .name = "the text's constants", .kind = FND_SIM_FIXED, .reads = true, .address = code->image, .bytes = code->image_bytes });
}

/* Give cells to every run of overlapping regions in which one may be written. With cells NULL: only
 * count them. */
static size_t place_cells(fnd_sim_check *c, fnd_sim_cell *cells) {
    size_t used = 0;
    for (size_t first = 0, next; first < c->fixed_count; first = next) {
        const fnd_sim_region *r = c->regions;
        uint64_t start = r[first].address, end = start + r[first].bytes;
        bool writes = r[first].writes;
        for (next = first + 1; next < c->fixed_count && r[next].kind == FND_SIM_BUFFER && r[next].address < end; next++) {
            if (r[next].address + r[next].bytes > end) end = r[next].address + r[next].bytes;
            writes |= r[next].writes;
        }
        if (!writes) continue;
        for (size_t i = first; cells && i < next; i++) c->regions[i].cells = cells + used + (r[i].address - start);
        used += end - start;
    }
    return used;
}

/* splitmix64 */
static uint64_t scramble(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void permute(uint32_t *order, uint32_t count, uint64_t seed) {
    for (uint32_t i = 0; i < count; i++) order[i] = i;
    for (uint32_t i = count; seed && i > 1; i--) {
        uint32_t k = (uint32_t)(scramble(&seed) % i), swap = order[i - 1];
        order[i - 1] = order[k];
        order[k] = swap;
    }
}

static fnd_status prepare(fnd_sim *sim, const fnd_launch *l, fnd_error *err) {
    fnd_sim_run *run = &sim->run;
    FND_TRY(grow((void **)&sim->args, &sim->args_capacity, l->args_bytes, 1, err));
    FND_TRY(grow((void **)&run->scratch, &sim->scratch_capacity, l->scratch_bytes, 1, err));
    FND_TRY(grow((void **)&run->check.regions, &sim->region_capacity, l->buffer_count + FND_SIM_MAX_ARRAYS + 8, sizeof *run->check.regions, err));
    /* Three lists of groups in one block: the order, and two for the checker. */
    FND_TRY(grow((void **)&sim->group_order, &sim->group_capacity, l->groups, 3 * sizeof *sim->group_order, err));
    if (l->args_bytes) memcpy(sim->args, l->args, l->args_bytes);
    const fnd_sim_code *code = l->code;
    run->entry = code->entry;
    run->args = sim->args;
    run->groups = l->groups;
    run->thread_count = l->warps * FND_SIM_LANES;
    run->scratch_bytes = l->scratch_bytes;
    permute(sim->group_order, l->groups, sim->order);
    permute(run->order, run->thread_count, sim->order);
    for (uint32_t i = 0; i < run->thread_count; i++) {
        run->threads[i] = (fnd_sim_thread){ .groups = l->groups, .warp = i / FND_SIM_LANES, .lane = i % FND_SIM_LANES, .scratch = l->scratch_bytes ? run->scratch : NULL };
    }
    fnd_sim_region *regions = run->check.regions;
    run->check = (fnd_sim_check){ .regions = regions, .starts = sim->group_order + l->groups, .started = sim->group_order + 2 * (size_t)l->groups };
    add_regions(sim, l);
    return FND_OK;
}

static const char *elsewhere(const fnd_sim *sim) {
    const fnd_sim_failure *f = &sim->run.check.failure;
    const fnd_fiber_stacks *stacks = &sim->run.stacks;
    if (f->address - (uint64_t)(uintptr_t)stacks->base < stacks->count * stacks->stride) return "another thread's own memory";
    return fnd_sim_find_memory(sim, f->address, f->bytes) ? "device memory that is no argument of this launch" : NULL;
}

fnd_status fnd_sim_launch(void *self, const fnd_launch *l, fnd_error *err) {
    fnd_sim *sim = self;
    fnd_sim_check *c = &sim->run.check;
    if (sim->failure.status != FND_OK) return FND_OK; /* wait tells; what follows a failure is void */
    FND_TRY(check_launch(sim, l, err));
    FND_TRY(prepare(sim, l, err));
    size_t cell_bytes, cell_count = place_cells(c, NULL);
    size_t all = cell_count + FND_SIM_GROUP_SPACE;
    fnd_sim_cell *cells = fnd_mul_size(all, sizeof *cells, &cell_bytes) ? fnd_sim_map_zeros(cell_bytes) : NULL;
    if (!cells) return fnd_fail(err, FND_ERR_MEMORY, "%s: no address space to watch %zu bytes", l->label, all);
    sim->run.group_cells = cells;
    place_cells(c, cells + FND_SIM_GROUP_SPACE);
    bool good = true;
    for (uint32_t i = 0; i < l->groups && good; i++) good = fnd_sim_run_group(&sim->run, sim->group_order[i]);
    if (good) good = fnd_sim_check_outputs(c);
    if (!good) (void)fnd_sim_report(l->label, c, elsewhere(sim), &sim->failure);
    fnd_sim_unmap_zeros(cells, cell_bytes);
    return FND_OK;
}
