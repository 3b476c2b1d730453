/* run.c - scheduling the threads of a group, and what they call. */
#include "backend/sim/run.h"
#include "base/base.h"

#include <stdio.h>

/* Texts call without saying for which launch: it is the one that this system thread executes. */
static _Thread_local fnd_sim_run *current;

/* ---- scheduling ------------------------------------------------------------------------------ */
static void enqueue(fnd_sim_run *run, uint32_t thread) {
    run->queue[(run->queue_first + run->queue_count++) % FND_SIM_MAX_THREADS] = thread;
}

/* The next that can go on becomes the running one. */
static const fnd_fiber *take_next(fnd_sim_run *run) {
    fnd_sim_check *c = &run->check;
    uint32_t next = run->queue[run->queue_first];
    run->queue_first = (run->queue_first + 1) % FND_SIM_MAX_THREADS;
    run->queue_count--;
    run->running = c->thread = next;
    c->stack = (uint64_t)(uintptr_t)fnd_fiber_stack(&run->stacks, next);
    c->stack_bytes = run->stacks.stride - run->stacks.guard;
    return &run->fibers[next].fiber;
}

/* Leave the running thread: for the next one, or when nobody can go on or all are given up, for good. */
FND_SWITCHES static void leave(fnd_sim_run *run) {
    fnd_fiber *from = &run->fibers[run->running].fiber;
    fnd_fiber_switch(from, run->queue_count && !run->check.failure.fault ? take_next(run) : &run->main);
}

/* The running thread has failed: it goes no further, and neither does anyone else. (Never resumed;
 * but a compiler that knew would have sanitizers wipe a stack they take for the system's.) */
FND_SWITCHES static void abandon(fnd_sim_run *run, fnd_sim_fault fault) {
    fnd_sim_failure *f = &run->check.failure;
    f->fault = fault;
    f->group = run->check.group;
    f->thread = run->running;
    do leave(run);
    while (f->fault);
}

FND_SWITCHES static void fiber_main(void *argument) {
    fnd_sim_fiber *fiber = argument;
    fnd_sim_run *run = fiber->run;
    run->entry(run->args, &run->threads[fiber - run->fibers]);
    fiber->waits_for = FND_SIM_DONE;
    run->done++;
    for (;;) leave(run);
}

static const char *meeting_text(fnd_sim_meeting m) {
    switch (m) {
    case FND_SIM_LANE_SUM:
        return "a lane sum";
    case FND_SIM_LANE_MAX:
        return "a lane maximum";
    case FND_SIM_LANE_GET:
        return "a lane get";
    case FND_SIM_PRODUCT:
        return "a product of matrices";
    case FND_SIM_BARRIER:
        return "a group barrier";
    default:
        return "";
    }
}

static bool same_meeting(const fnd_sim_fiber *a, const fnd_sim_fiber *b) {
    if (a->waits_for != b->waits_for) return false;
    if (a->waits_for < FND_SIM_LANE_SUM || a->waits_for > FND_SIM_BARRIER) return true;
    return a->line == b->line && (a->file == b->file || strcmp(a->file, b->file) == 0);
}

/* Say where the threads first .. first + count - 1 are, those at one place together. */
static void describe(fnd_sim_run *run, uint32_t first, uint32_t count) {
    size_t used = 0;
    const fnd_sim_fiber *f = run->fibers + first;
    run->text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0;
        bool told = false;
        for (uint32_t k = 0; k < i && !told; k++) told = same_meeting(&f[k], &f[i]);
        for (uint32_t k = i; k < count && !told; k++) same += same_meeting(&f[k], &f[i]);
        if (told || used >= sizeof run->text) continue;
        used += (size_t)snprintf(run->text + used, sizeof run->text - used, "%s%u %s", used ? "; " : "", same, same == 1 ? "thread" : "threads");
        if (used >= sizeof run->text) continue;
        uint32_t at = first + i;
        used += (size_t)snprintf(run->text + used, sizeof run->text - used, " (first: warp %u, lane %u) ", at / FND_SIM_LANES, at % FND_SIM_LANES);
        if (used >= sizeof run->text) continue;
        size_t left = sizeof run->text - used;
        if (f[i].waits_for == FND_SIM_DONE)
            used += (size_t)snprintf(run->text + used, left, "finished");
        else if (f[i].waits_for == FND_SIM_RUNS)
            used += (size_t)snprintf(run->text + used, left, "had not come to a stop");
        else
            used += (size_t)snprintf(run->text + used, left, "at %s (%s:%u)", meeting_text(f[i].waits_for), f[i].file, f[i].line);
    }
}

static void diverged(fnd_sim_run *run, uint32_t first, uint32_t count) {
    describe(run, first, count);
    fnd_sim_failure *f = &run->check.failure;
    f->fault = FND_SIM_DIVERGED;
    f->group = run->check.group;
    f->thread = first;
    f->text = run->text;
}

static void begin_threads(fnd_sim_run *run, uint32_t group) {
    run->queue_first = run->queue_count = run->done = run->at_barrier = 0;
    memset(run->at_lane, 0, sizeof run->at_lane);
    for (uint32_t i = 0; i < run->thread_count; i++) {
        run->fibers[i] = (fnd_sim_fiber){ .run = run };
        run->threads[i].group = group;
        fnd_fiber_start(&run->fibers[i].fiber, &run->stacks, i, fiber_main, &run->fibers[i]);
        enqueue(run, run->order[i]);
    }
}

/* `reduce` is group memory that every text has, whether it asks for it or not. */
static void begin_group_memory(fnd_sim_run *run) {
    uint32_t warps = run->thread_count / FND_SIM_LANES;
    run->group_used = run->group_bytes = 0;
    run->array_count = 0;
    float *reduce = fnd_sim_run_table.group_array(UINT32_MAX, (uint32_t)sizeof(float) * (warps + 1), "reduce");
    for (uint32_t i = 0; i < run->thread_count; i++) run->threads[i].reduce = reduce;
    if (run->scratch_bytes) memset(run->scratch, 0xFF, run->scratch_bytes);
}

FND_SWITCHES bool fnd_sim_run_group(fnd_sim_run *run, uint32_t group) {
    current = run;
    fnd_sim_check *c = &run->check;
    fnd_sim_begin_group(c, group);
    begin_group_memory(run);
    begin_threads(run, group);
    fnd_fiber_switch(&run->main, take_next(run)); /* until nobody can go on */
    current = NULL;
    if (c->failure.fault == FND_SIM_NO_FAULT && run->done < run->thread_count) diverged(run, 0, run->thread_count);
    return c->failure.fault == FND_SIM_NO_FAULT;
}

/* ---- meetings -------------------------------------------------------------------------------- */
/* The running thread waits until the last one comes. True in that one, which does not wait. */
static fnd_sim_fiber *arrive(fnd_sim_run *run, fnd_sim_meeting meeting, const char *file, uint32_t line) {
    fnd_sim_fiber *me = &run->fibers[run->running];
    me->waits_for = meeting;
    me->file = file;
    me->line = line;
    return me;
}

/* All of first .. first + count - 1 have arrived: the others may go on too, if they are at one place. */
FND_SWITCHES static void release(fnd_sim_run *run, uint32_t first, uint32_t count) {
    const fnd_sim_fiber *me = &run->fibers[run->running];
    for (uint32_t i = first; i < first + count; i++) {
        if (same_meeting(&run->fibers[i], me)) continue;
        diverged(run, first, count);
        for (;;) leave(run);
    }
    for (uint32_t i = first; i < first + count; i++) {
        run->fibers[i].waits_for = FND_SIM_RUNS;
        if (i != run->running) enqueue(run, i);
    }
}

FND_SWITCHES static void group_barrier(const char *file, uint32_t line) {
    fnd_sim_run *run = current;
    (void)arrive(run, FND_SIM_BARRIER, file, line);
    if (++run->at_barrier < run->thread_count) {
        leave(run);
        return;
    }
    run->at_barrier = 0;
    release(run, 0, run->thread_count);
    fnd_sim_group_met(&run->check);
}

/* sum += a b of 8 x 8, in steps along the columns of a. Lane l has two of row l / 4. */
static void multiply(fnd_sim_fiber *lanes) {
    float a[8][8], b[8][8];
    for (uint32_t i = 0; i < FND_SIM_LANES; i++) {
        memcpy(&a[i / 4][i % 4 * 2], lanes[i].a, sizeof lanes[i].a);
        memcpy(&b[i / 4][i % 4 * 2], lanes[i].b, sizeof lanes[i].b);
    }
    for (uint32_t i = 0; i < FND_SIM_LANES; i++) {
        for (uint32_t k = 0; k < 8; k++) {
            for (uint32_t e = 0; e < 2; e++) lanes[i].sum[e] += a[i / 4][k] * b[k][i % 4 * 2 + e];
        }
    }
}

/* The value of every lane is in its fiber: replace it by the result, in the order of a butterfly. */
static void combine(fnd_sim_fiber *lanes) {
    float v[FND_SIM_LANES];
    if (lanes->waits_for == FND_SIM_PRODUCT) {
        multiply(lanes);
        return;
    }
    for (uint32_t i = 0; i < FND_SIM_LANES; i++) v[i] = lanes[i].value;
    if (lanes->waits_for == FND_SIM_LANE_GET) {
        for (uint32_t i = 0; i < FND_SIM_LANES; i++) lanes[i].value = v[lanes[i].lane];
        return;
    }
    for (uint32_t half = FND_SIM_LANES / 2; half; half /= 2) {
        for (uint32_t i = 0; i < half; i++) {
            float other = v[i + half];
            if (lanes->waits_for == FND_SIM_LANE_SUM)
                v[i] += other;
            else
                v[i] = v[i] > other ? v[i] : other;
        }
    }
    for (uint32_t i = 0; i < FND_SIM_LANES; i++) lanes[i].value = v[0];
}

FND_SWITCHES static float meet_lanes(fnd_sim_meeting meeting, float v, uint32_t lane, const char *file, uint32_t line) {
    fnd_sim_run *run = current;
    fnd_sim_fiber *me = arrive(run, meeting, file, line);
    uint32_t warp = run->running / FND_SIM_LANES;
    me->value = v;
    me->lane = lane;
    if (++run->at_lane[warp] < FND_SIM_LANES) {
        leave(run);
        return me->value;
    }
    run->at_lane[warp] = 0;
    fnd_sim_fiber *lanes = &run->fibers[warp * FND_SIM_LANES];
    bool together = true;
    for (uint32_t i = 0; i < FND_SIM_LANES; i++) together &= same_meeting(&lanes[i], me);
    if (together) combine(lanes);
    release(run, warp * FND_SIM_LANES, FND_SIM_LANES);
    fnd_sim_warp_met(&run->check, warp);
    return me->value;
}

static float lane_sum(float v, const char *file, uint32_t line) { return meet_lanes(FND_SIM_LANE_SUM, v, 0, file, line); }
static float lane_max(float v, const char *file, uint32_t line) { return meet_lanes(FND_SIM_LANE_MAX, v, 0, file, line); }

FND_SWITCHES static void add_product(float *sum, const float *a, const float *b, const char *file, uint32_t line) {
    fnd_sim_fiber *me = &current->fibers[current->running];
    memcpy(me->sum, sum, sizeof me->sum);
    memcpy(me->a, a, sizeof me->a);
    memcpy(me->b, b, sizeof me->b);
    (void)meet_lanes(FND_SIM_PRODUCT, 0, 0, file, line);
    memcpy(sum, me->sum, sizeof me->sum);
}

FND_SWITCHES static float lane_get(float v, uint32_t lane, const char *file, uint32_t line) {
    if (lane >= FND_SIM_LANES) {
        fnd_sim_failure *f = &current->check.failure;
        f->number = lane;
        f->file = file;
        f->line = line;
        abandon(current, FND_SIM_BAD_LANE);
    }
    return meet_lanes(FND_SIM_LANE_GET, v, lane, file, line);
}

/* ---- memory ---------------------------------------------------------------------------------- */
FND_SWITCHES static void *group_array(uint32_t slot, uint32_t bytes, const char *name) {
    fnd_sim_run *run = current;
    fnd_sim_check *c = &run->check;
    for (uint32_t i = 0; i < run->array_count; i++) {
        if (run->array_slots[i] == slot) return (void *)(uintptr_t)c->regions[c->fixed_count + i].address;
    }
    if (run->array_count == FND_SIM_MAX_ARRAYS || bytes > FND_SIM_GROUP_BYTES - run->group_bytes) {
        fnd_sim_failure *f = &c->failure;
        f->text = name;
        f->number = bytes;
        f->limit = FND_SIM_GROUP_BYTES - run->group_bytes;
        abandon(run, FND_SIM_GROUP_FULL);
    }
    uint8_t *block = run->group_memory + run->group_used;
    c->regions[c->count++] = (fnd_sim_region){
        .name = name,
        .kind = FND_SIM_GROUP,
        .reads = true,
        .writes = true,
        .address = (uint64_t)(uintptr_t)block,
        .bytes = bytes,
        .cells = run->group_cells + run->group_used,
    };
    memset(block, 0xFF, bytes); /* NaN in every type of float */
    run->array_slots[run->array_count++] = slot;
    run->group_bytes += bytes;
    run->group_used += fnd_round_up(bytes, 64) + FND_SIM_ARRAY_GAP;
    return block;
}

FND_SWITCHES static void access_memory(const void *at, unsigned long long bytes, uint32_t how) {
    if (!fnd_sim_check_access(&current->check, (uint64_t)(uintptr_t)at, bytes, how)) abandon(current, current->check.failure.fault);
}

FND_SWITCHES static void bad_index(const char *file, uint32_t line, unsigned long long index, const char *type) {
    fnd_sim_failure *f = &current->check.failure;
    f->file = file;
    f->line = line;
    f->number = index;
    f->text = type;
    abandon(current, FND_SIM_BAD_INDEX);
}

FND_SWITCHES static void bad_division(const char *file, uint32_t line) {
    current->check.failure.file = file;
    current->check.failure.line = line;
    abandon(current, FND_SIM_BAD_DIVISION);
}

static uint32_t last_group(uint32_t place, uint32_t count) { return fnd_sim_comes_last(&current->check, place, count); }
static uint32_t lane(void) { return current->running % FND_SIM_LANES; }

const fnd_sim_table fnd_sim_run_table = {
    .lane_sum = lane_sum,
    .lane_max = lane_max,
    .lane_get = lane_get,
    .group_barrier = group_barrier,
    .group_array = group_array,
    .access = access_memory,
    .bad_index = bad_index,
    .bad_division = bad_division,
    .move = memmove,
    .set = memset,
    .lane = lane,
    .add_product = add_product,
    .last_group = last_group,
};
