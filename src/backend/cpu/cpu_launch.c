/* cpu_launch.c - code, and running it on the worker team.
 *
 * SAFETY: an entry point is called through the type that the dialect gives every entry point
 * (FND_KERNEL in kernels/dialect/c.h); fnd_thread comes from the same header that the text was
 * flattened from, and the disk cache's key covers that header, so both sides agree on its layout. The
 * library stays open as long as its code object. Worker i gets memory of its own: block i of the
 * scratch, which no launch outgrows because it is grown before the team starts. */
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/dynlib.h"
#include "base/memory.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "kernels/fnd_device.h"
#pragma GCC diagnostic pop

enum {
    REDUCE_FLOATS = 32,
    SCRATCH_ALIGNMENT = 128, /* two lines: neighbouring workers' lines are fetched in pairs */
};

typedef struct code {
    fnd_dynlib *library; /* NULL: compiled into this program */
    fnd_cpu_entry *entry;
} code;

/* ---- code ------------------------------------------------------------------------------------ */
static fnd_status new_code(fnd_dynlib *library, fnd_cpu_entry *entry, void **out, fnd_error *err) {
    code *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while loading code");
    *c = (code){ .library = library, .entry = entry };
    *out = c;
    return FND_OK;
}

fnd_status fnd_cpu_code_from_entry(fnd_cpu_entry *entry, void **out, fnd_error *err) {
    *out = NULL;
    return new_code(NULL, entry, out, err);
}

fnd_status fnd_cpu_load(void *self, const char *entry, const void *blob, size_t bytes, void **out, fnd_error *err) {
    (void)self;
    *out = NULL;
    fnd_dynlib *library;
    FND_TRY(fnd_dynlib_from_bytes(entry, blob, bytes, &library, err));
    void *address = fnd_dynlib_find(library, entry);
    fnd_status status;
    if (address) {
        fnd_cpu_entry *function;
        memcpy(&function, &address, sizeof function); /* what POSIX means by dlsym, said without a cast */
        status = new_code(library, function, out, err);
    } else {
        status = fnd_fail(err, FND_ERR_DEVICE, "the library that was built for %s has no such entry point", entry);
    }
    if (status != FND_OK) fnd_dynlib_close(library);
    return status;
}

void fnd_cpu_unload(void *self, void *loaded) {
    (void)self;
    code *c = loaded;
    if (!c) return;
    fnd_dynlib_close(c->library);
    fnd_free_memory(c);
}

/* ---- launches -------------------------------------------------------------------------------- */
typedef struct job {
    const fnd_cpu *cpu;
    const fnd_launch *launch;
    fnd_cpu_entry *entry;
    uint32_t groups;
    size_t scratch_stride;
} job;

static u64 now(void) { return fnd_now_ns(); }

static void work(void *ctx, uint32_t worker) {
    const job *j = ctx;
    _Alignas(SCRATCH_ALIGNMENT) f32 reduce[REDUCE_FLOATS];
    fnd_thread thread = {
        .group = worker,
        .groups = j->groups,
        .reduce = reduce,
        .scratch = j->cpu->scratch.data + worker * j->scratch_stride,
        .team = j->cpu->team,
        .shared_scratch = j->cpu->shared_scratch.data,
        .unit_from = j->cpu->unit_from,
        .shares = j->groups > 1 ? j->cpu->shares : NULL,
        .team_barrier = fnd_team_barrier,
        .now = now,
    };
    j->entry(j->launch->args, &thread);
}

static fnd_status grow(fnd_cpu_scratch *scratch, size_t bytes, const char *label, fnd_error *err) {
    if (bytes <= scratch->bytes) return FND_OK;
    uint8_t *larger = fnd_alloc_aligned(bytes, 4096);
    if (!larger) return fnd_fail(err, FND_ERR_MEMORY, "%s: out of memory for %zu bytes of scratch", label, bytes);
    fnd_free_memory(scratch->data);
    *scratch = (fnd_cpu_scratch){ .data = larger, .bytes = bytes };
    return FND_OK;
}

/* When the device is opened: launches allocate nothing but scratch. */
fnd_status fnd_cpu_alloc_shares(fnd_cpu *cpu, fnd_error *err) {
    if (cpu->threads < 2) return FND_OK;
    cpu->shares = fnd_alloc_aligned(cpu->threads * sizeof *cpu->shares, _Alignof(fnd_share));
    return cpu->shares ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the shares of %u workers", cpu->threads);
}

/* All groups of a launch have come through as many loops, as the next one takes for granted: where others take part than
 * the last time, their words begin anew. */
static void prepare_shares(fnd_cpu *cpu, uint32_t groups) {
    if (groups < 2 || groups == cpu->share_groups) return;
    memset(cpu->shares, 0, cpu->threads * sizeof *cpu->shares);
    cpu->share_groups = groups;
}

static fnd_status prepare(fnd_cpu *cpu, const fnd_launch *launch, job *j, fnd_error *err) {
    const char *label = launch->label ? launch->label : "launch";
    const code *c = launch->code;
    if (!c) return fnd_fail(err, FND_ERR_USAGE, "%s: there is no code to launch", label);
    if (launch->warps > 1) return fnd_fail(err, FND_ERR_USAGE, "%s: groups of %u warps; here a group is one worker, 1 warp of 1 lane", label, launch->warps);
    *j = (job){ .cpu = cpu, .launch = launch, .entry = c->entry };
    j->groups = launch->groups && launch->groups < cpu->threads ? launch->groups : cpu->threads;
    size_t all;
    bool fits = launch->scratch_bytes <= SIZE_MAX - SCRATCH_ALIGNMENT;
    j->scratch_stride = fits ? fnd_round_up(launch->scratch_bytes, SCRATCH_ALIGNMENT) : 0;
    if (!fits || !fnd_mul_size(j->scratch_stride, cpu->threads, &all)) {
        return fnd_fail(err, FND_ERR_MEMORY, "%s: out of memory for %zu bytes of scratch in each of %u groups", label, launch->scratch_bytes, cpu->threads);
    }
    prepare_shares(cpu, j->groups);
    FND_TRY(grow(&cpu->scratch, all, label, err));
    return grow(&cpu->shared_scratch, launch->shared_scratch_bytes, label, err);
}

/* The team is done when this returns: later launches see what this one wrote, and wait has nothing to
 * wait for. After a failure nothing is run until wait has told of it, since it would read what the
 * failed launch did not write. */
fnd_status fnd_cpu_launch(void *self, const fnd_launch *launch, fnd_error *err) {
    fnd_cpu *cpu = self;
    job j;
    if (cpu->failure.status == FND_OK && prepare(cpu, launch, &j, &cpu->failure) == FND_OK) {
        fnd_team_run(cpu->team, j.groups, work, &j);
        return FND_OK;
    }
    return fnd_fail(err, cpu->failure.status, "%s", cpu->failure.text);
}

fnd_status fnd_cpu_wait(void *self, fnd_error *err) {
    fnd_cpu *cpu = self;
    fnd_status status = cpu->failure.status;
    if (status == FND_OK) return FND_OK;
    fnd_fail(err, status, "%s", cpu->failure.text);
    cpu->failure = (fnd_error){ 0 };
    return status;
}
