/* program_stages.c - times inside a program that is one function: what its clocks say, call by call.
 *
 * The printed program reads a clock before and behind every call, in every group (FND_STAMPS in kernels/dialect/):
 * a row of a group is the time at its begin, two clocks for each call, the time at its end. Clocks of different groups
 * need not agree (those of a GPU's processors do not), so only differences within a group are used, and its two times
 * say how long a tick is.
 *
 * From one call's begin to the next one's is the same for all groups, as barriers are between them. The group that
 * waited least at the barrier came last: what it waited is the barrier's own time, and the rest the call's. */
#include "base/base.h"
#include "base/memory.h"
#include "run/profiler.h"
#include "run/program.h"

#include <stdio.h>

#define BARRIER "(barrier)"

/* Two times round the clocks of all calls. */
static uint64_t stamps_of(const fnd_program *p) { return 2ull * p->call_count + 2; }

fnd_status fnd_program_open_stages(fnd_program *p, fnd_error *err) {
    fnd_storage_ref ref;
    FND_TRY(fnd_alloc(p->f, FND_U32, fnd_shape2(p->f->info.groups, 2 * stamps_of(p)), FND_ZEROS, &p->stamps, err));
    fnd_tensor_set_name(&p->stamps.t, "stamps");
    FND_TRY(fnd_storage_bind(p->f, &p->stamps.t, true, FND_PLAIN_LAUNCH, &ref, err));
    memcpy(p->table + p->table_bytes - FND_STAMPS_BYTES, &ref.address, sizeof ref.address);
    return FND_OK;
}

static fnd_status check_row(const fnd_program *p, const uint64_t *row, uint32_t group, fnd_error *err) {
    uint64_t count = stamps_of(p);
    bool good = row[0] && row[count - 1] >= row[0] && row[count - 2] > row[1];
    for (uint64_t i = 2; i + 1 < count && good; i++) good = row[i] >= row[i - 1];
    return good ? FND_OK : fnd_fail(err, FND_ERR_DEVICE, "program %s: the times that group %u left of its calls are not in order, so there is no profile of it", p->name, group);
}

typedef struct stage {
    double begin_ns, call_ns, barrier_ns; /* since the first call's begin */
} stage;

static fnd_status measure(const fnd_program *p, const uint64_t *stamps, stage *stages, fnd_error *err) {
    uint64_t count = stamps_of(p);
    uint32_t groups = p->f->info.groups;
    for (uint32_t g = 0; g < groups; g++) {
        const uint64_t *row = stamps + g * count, *clock = row + 1;
        FND_TRY(check_row(p, row, g, err));
        double tick_ns = (double)(row[count - 1] - row[0]) / (double)(clock[2 * p->call_count - 1] - clock[0]);
        for (uint32_t i = 0; i < p->call_count; i++) {
            bool last = i + 1 == p->call_count;
            uint64_t begin = clock[2 * i], end = clock[2 * i + 1], next = last ? end : clock[2 * i + 2];
            double waited = (double)(next - end) * tick_ns;
            stages[i].begin_ns += (double)(begin - clock[0]) * tick_ns / groups;
            stages[i].call_ns += (double)(next - begin) * tick_ns / groups;
            if (g == 0 || waited < stages[i].barrier_ns) stages[i].barrier_ns = waited;
        }
    }
    for (uint32_t i = 0; i < p->call_count; i++) {
        if (stages[i].barrier_ns > stages[i].call_ns) stages[i].barrier_ns = stages[i].call_ns;
        stages[i].call_ns -= stages[i].barrier_ns;
    }
    return FND_OK;
}

static void record(fnd_program *p, const stage *stages, uint64_t start_ns) {
    for (uint32_t i = 0; i < p->call_count; i++) {
        fnd_traffic traffic = fnd_program_call_traffic(p, i);
        uint64_t begin = start_ns + (uint64_t)stages[i].begin_ns, duration = (uint64_t)(stages[i].call_ns + 0.5);
        fnd_profile_record(&p->f->profiler, &(fnd_profile_event){ .kernel = p->calls[i].bound.kernel->composition.name, .start_ns = begin, .duration_ns = duration, .bytes_read = traffic.bytes_read, .bytes_written = traffic.bytes_written, .ops = traffic.ops, .unit_ops = traffic.unit_ops });
        if (i + 1 < p->call_count && p->calls[i + 1].barrier) {
            fnd_profile_record(&p->f->profiler, &(fnd_profile_event){ .kernel = BARRIER, .start_ns = begin + duration, .duration_ns = (uint64_t)(stages[i].barrier_ns + 0.5) });
        }
    }
}

fnd_status fnd_program_run_stages(fnd_program *p, const fnd_dispatch *d, fnd_error *err) {
    uint64_t bytes = 8 * stamps_of(p) * p->f->info.groups;
    uint64_t *stamps = fnd_alloc_zeroed(bytes, 1);
    stage *stages = fnd_alloc_zeroed(p->call_count, sizeof *stages);
    fnd_storage_ref ref;
    uint64_t start_ns = fnd_now_ns();
    fnd_status status = stamps && stages ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the times of program %s", p->name);
    if (status == FND_OK) status = fnd_storage_bind(p->f, &p->stamps.t, true, FND_PLAIN_LAUNCH, &ref, err);
    if (status == FND_OK) status = fnd_dispatch_unseen(p->f, d, err);
    if (status == FND_OK) status = fnd_tensor_read(p->f, &p->stamps.t, 0, stamps, bytes, err);
    if (status == FND_OK) status = measure(p, stamps, stages, err);
    if (status == FND_OK) record(p, stages, start_ns);
    fnd_free_memory(stamps);
    fnd_free_memory(stages);
    return status;
}
