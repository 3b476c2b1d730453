/* test_shares.c - workers that take tiles over from others (gemv/share.cpu.h): every step of every share is
 * computed once, whoever comes late. By real threads that write plain memory, so that a step of two workers is also a
 * report by the thread sanitizer. */
#include "base/base.h"
#include "base/memory.h"
#include "base/team.h"
#include "test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "kernels/fnd_device.h"
#define FND_STEP_TILES 4
#include "kernels/gemv/share.cpu.h"
#pragma GCC diagnostic pop

enum { MOST = 16,
       LOOPS = 60,
       STEPS = 12000 }; /* of all shares of a loop: one of two workers has more than units */

typedef struct field {
    fnd_team *team;
    fnd_share *shares;
    uint32_t workers, loops, seed;
    uint32_t tiles[LOOPS];
    uint8_t *times[LOOPS];        /* [steps]: how often each was computed */
    uint32_t steps[MOST][LOOPS];  /* of each worker */
    uint32_t late;                /* which worker, if `halfway` or `before` */
    bool before, halfway;         /* comes to its first loop, or on with its first step, when the others are through */
    _Atomic uint32_t begun, done; /* the late one has claimed; so many others are through */
} field;

static uint32_t tile_of(const field *f, uint32_t loop, uint32_t worker) { return (uint32_t)((uint64_t)f->tiles[loop] * worker / f->workers); }
static uint32_t steps_of(const field *f, uint32_t loop, uint32_t worker) { return (tile_of(f, loop, worker + 1) - tile_of(f, loop, worker) + 3) / 4; }
/* Where the steps of a share begin. */
static uint32_t place_of(const field *f, uint32_t loop, uint32_t worker) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < worker; i++) at += steps_of(f, loop, i);
    return at;
}

static void wait_for_others(field *f) {
    while (atomic_load(&f->done) + 1 < f->workers) sched_yield();
}

static void work_field(void *arg, uint32_t worker) {
    field *f = arg;
    uint32_t noise = f->seed + 77 * worker;
    bool late = (f->before || f->halfway) && worker == f->late, waits = late && f->halfway;
    fnd_thread t = { .group = worker, .groups = f->workers, .shares = f->workers > 1 ? f->shares : NULL };
    if (late && f->before) wait_for_others(f);
    while (f->halfway && !late && !atomic_load(&f->begun)) sched_yield();
    for (uint32_t loop = 0; loop < f->loops; loop++) {
        for (fnd_claim c = fnd_claim_begin(t, f->tiles[loop]); fnd_claim_next(&c);) {
            uint8_t *times = f->times[loop] + place_of(f, loop, c.owner);
            if (waits) {
                atomic_store(&f->begun, 1);
                wait_for_others(f);
                waits = false;
            }
            for (uint32_t i = c.first; i < c.end; i++) {
                times[i]++;
                f->steps[worker][loop]++;
                noise = noise * 1664525 + 1013904223;
                for (volatile uint32_t k = 0; noise >> 26 == worker && k < 20000; k++) continue;
            }
        }
        if ((loop * 7 + f->seed) % 3 == 0 && !f->before && !f->halfway) fnd_team_barrier(f->team, worker);
    }
    atomic_fetch_add(&f->done, 1);
}

static bool open_field(field *f, uint32_t workers) {
    fnd_error err = { 0 };
    *f = (field){ .workers = workers };
    f->shares = fnd_alloc_aligned(MOST * sizeof *f->shares, _Alignof(fnd_share));
    if (!f->shares) abort();
    memset(f->shares, 0, MOST * sizeof *f->shares);
    for (uint32_t i = 0; i < LOOPS; i++) {
        f->times[i] = malloc(STEPS);
        if (!f->times[i]) abort();
    }
    fnd_status status = fnd_team_open(workers, &f->team, &err);
    CHECK_MSG(status == FND_OK, "%s", err.text);
    return status == FND_OK;
}

static void close_field(field *f) {
    fnd_team_close(f->team);
    fnd_free_memory(f->shares);
    for (uint32_t i = 0; i < LOOPS; i++) free(f->times[i]);
}

/* Run its loops, and look whether all was done once. */
static void play(field *f) {
    uint32_t wrong = 0;
    memset(f->steps, 0, sizeof f->steps);
    for (uint32_t i = 0; i < f->loops; i++) memset(f->times[i], 0, STEPS);
    atomic_store(&f->done, 0);
    atomic_store(&f->begun, 0);
    fnd_team_run(f->team, f->workers, work_field, f);
    for (uint32_t i = 0; i < f->loops; i++) {
        uint32_t all = place_of(f, i, f->workers);
        for (uint32_t k = 0; k < STEPS; k++) wrong += f->times[i][k] != (k < all);
    }
    CHECK_MSG(wrong == 0, "%u workers, seed %u: %u steps were not computed once", f->workers, f->seed, wrong);
}

TEST(shares_are_computed_once) {
    static const uint32_t sizes[] = { 1, 2, 3, 8, 12, MOST };
    for (size_t n = 0; n < FND_COUNT(sizes); n++) {
        field f;
        if (!open_field(&f, sizes[n])) return;
        f.loops = LOOPS;
        for (f.seed = 0; f.seed < 10; f.seed++) { /* words are left as the last run left them */
            for (uint32_t i = 0; i < LOOPS; i++) f.tiles[i] = (i + f.seed) % 5 ? (i * 97 + f.seed * 31) % 900 : (i * 131 + f.seed * 37) % 40 * sizes[n];
            f.tiles[7] = 4 * (STEPS - MOST);
            play(&f);
        }
        close_field(&f);
    }
}

/* Who comes to no loop before the others are through all of them finds nothing left; through three loops without a
 * barrier, the second of which has shares that are not worth it. */
TEST(shares_of_who_comes_late_are_taken_over) {
    static const uint32_t sizes[] = { 2, 3, 8 };
    for (size_t n = 0; n < FND_COUNT(sizes); n++) {
        field f;
        if (!open_field(&f, sizes[n])) return;
        f.loops = 3;
        f.before = true;
        for (f.late = 0; f.late < f.workers; f.late++) {
            f.tiles[0] = 40 * f.workers + 1;
            f.tiles[1] = f.workers;
            f.tiles[2] = 333 * f.workers;
            play(&f);
            const uint32_t *steps = f.steps[f.late];
            CHECK_MSG(steps[0] == 0 && steps[1] == 1 && steps[2] == 0, "worker %u of %u computed %u, %u and %u steps", f.late, f.workers, steps[0], steps[1], steps[2]);
        }
        close_field(&f);
    }
}

/* Who is held up in its first step keeps what it had claimed, half of its share, and no more. */
TEST(shares_of_who_is_held_up_are_taken_over) {
    static const uint32_t sizes[] = { 2, 5, 8 };
    for (size_t n = 0; n < FND_COUNT(sizes); n++) {
        field f;
        if (!open_field(&f, sizes[n])) return;
        f.loops = 2;
        f.halfway = true;
        for (f.late = 0; f.late < f.workers; f.late++) {
            f.tiles[0] = f.tiles[1] = 90 * f.workers + 2;
            play(&f);
            const uint32_t *steps = f.steps[f.late], half = (steps_of(&f, 0, f.late) + 1) / 2;
            CHECK_MSG(steps[0] == half && steps[1] == 0, "worker %u of %u computed %u and %u steps, not %u and 0", f.late, f.workers, steps[0], steps[1], half);
        }
        close_field(&f);
    }
}
