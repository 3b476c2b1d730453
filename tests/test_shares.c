/* test_shares.c - workers that take tiles over from others (gemv/share.cpu.h): every step of every share is
 * computed once, whoever comes late, and the results of kernels have the same bits. */
#include "base/base.h"
#include "base/memory.h"
#include "base/team.h"
#include "foundry/kernel.h"
#include "kernel_bench.h"
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

/* ---- steps, by real threads: plain memory is written, so a step of two workers is also a report by the thread
 * sanitizer ---- */

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

/* ---- kernels ---- */

/* A group that comes late, and tiles that take long. */
static const char *const late_text =
    "#ifndef LATE_H\n#define LATE_H\n#include \"gemv/x.h\"\n"
    "#define LATE_ARGS(X) X(VAL, u32, late, \"\", \"which group\")\n"
    "FND_STAGE(come_late, LATE_ARGS, PROLOGUE, ROWS, ROWS, OWN, \"keep a group from its tiles\")\n"
    "FND_INLINE void come_late(fnd_thread t, FND_GPU f32 *row, u32 m, u32 late) {\n"
    "    (void)row;\n"
    "    for (volatile u32 i = 0; t.group == late && m == 0 && i < 400000; i++) continue;\n"
    "}\n"
    "#define SLOW_ARGS(X) X(VAL, u32, slow, \"\", \"which row\")\n"
    "FND_STAGE(slow_row, SLOW_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"take long over a row\")\n"
    "FND_INLINE fnd_val slow_row(fnd_val v, fnd_at at, u32 slow) {\n"
    "    for (volatile u32 i = 0; at.row <= slow && slow < at.row + FND_VALS && i < 400000; i++) continue;\n"
    "    return v;\n"
    "}\n"
    "#endif\n";

static const fnd_kernel_desc added = { .name = "late_added", .stages = { { "rows", NULL }, { "come_late", NULL }, { "dot", NULL }, { "slow_row", NULL }, { "residual", NULL }, { "store", NULL } } };
static const fnd_kernel_desc joined = { .name = "late_joined", .stages = { { "rows", NULL }, { "come_late", NULL }, { "dot", "gate" }, { "dot", "up" }, { "swiglu", NULL }, { "slow_row", NULL }, { "store", NULL } } };

enum { ROWS = 2051,
       COLS = 256 };

typedef struct late_case {
    fnd_format format;
    uint64_t tokens;
    uint32_t late, slow;
} late_case;

/* Results of both kernels, [2][tokens, rows]; the first added to in place. NULL: something failed. */
static float *compute(const char *isa, uint32_t threads, const late_case *c) {
    kernel_bench b;
    fnd_kernel *k[2];
    size_t count = c->tokens * ROWS;
    float *y = calloc(2 * count, sizeof *y);
    bool fine = false;
    if (!y) abort();
    if (!bench_open_threads(&b, &(bench_device){ "cpu", isa, false }, threads)) return free(y), NULL;
    bench_seed(5 + c->tokens);
    fnd_shape shape = fnd_shape2(c->tokens, ROWS);
    bench_tensor *x = bench_in(&b, "x", FND_F32, fnd_shape2(c->tokens, COLS)), *sum = bench_in(&b, "residual", FND_F32, shape), *out = bench_out(&b, "y", FND_F32, shape);
    bench_tensor *w[2] = { bench_weight(&b, "w", c->format, ROWS, COLS), bench_weight(&b, "w_up", c->format, ROWS, COLS) };
    const fnd_tensor *tiles[2];
    for (int i = 0; i < 2; i++) tiles[i] = w[i]->tiles.t.rank ? &w[i]->tiles.t : &w[i]->t;
    const fnd_binding in_place[] = { fnd_bind_in("x", &x->t), fnd_bind_in("w", tiles[0]), fnd_bind_in("residual", &sum->t), fnd_bind_out("y", &sum->t), fnd_bind_u32("late", c->late), fnd_bind_u32("slow", c->slow) };
    const fnd_binding beside[] = { fnd_bind_in("x", &x->t), fnd_bind_in("w_gate", tiles[0]), fnd_bind_in("w_up", tiles[1]), fnd_bind_out("y", &out->t), fnd_bind_u32("late", c->late), fnd_bind_u32("slow", c->slow) };
    if (fnd_register_text(b.f, "test/late.h", late_text, &b.err) == FND_OK && fnd_kernel_make(b.f, &added, &k[0], &b.err) == FND_OK && fnd_kernel_make(b.f, &joined, &k[1], &b.err) == FND_OK &&
        fnd_run(b.f, k[0], in_place, FND_COUNT(in_place), &b.err) == FND_OK && fnd_run(b.f, k[1], beside, FND_COUNT(beside), &b.err) == FND_OK &&
        fnd_tensor_read(b.f, &sum->t, 0, y, 4 * count, &b.err) == FND_OK && fnd_tensor_read(b.f, &out->t, 0, y + count, 4 * count, &b.err) == FND_OK) fine = true;
    CHECK_MSG(fine, "%s, %u threads: %s", b.label, threads, b.err.text);
    bench_close(&b);
    if (fine) return y;
    free(y);
    return NULL;
}

static void check_bits(const char *isa) {
    static const late_case cases[] = { { FND_Q4_0, 1, 0, 3 }, { FND_F16, 1, 1, ROWS - 1 }, { FND_Q6_K, 1, 4, 700 }, { FND_Q4_0, 3, 1, 1100 }, { FND_F16, 9, 0, 0 }, { FND_Q8_0, 60, 1, 5 } };
    static const uint32_t threads[] = { 2, 3, 5, MOST };
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        const late_case *c = &cases[i];
        float *alone = compute(isa, 1, c);
        for (size_t n = 0; alone && n < FND_COUNT(threads); n++) {
            float *y = compute(isa, threads[n], c);
            CHECK_MSG(y && memcmp(alone, y, 2 * c->tokens * ROWS * sizeof *y) == 0, "%s, %u tokens: %u threads give other bits than one", fnd_format_get(c->format)->name, (unsigned)c->tokens, threads[n]);
            free(y);
        }
        free(alone);
    }
}

TEST(shares_taken_over_give_the_same_bits) { check_bits(NULL); }
TEST(shares_in_portable_texts_give_the_same_bits) { check_bits("generic"); }
