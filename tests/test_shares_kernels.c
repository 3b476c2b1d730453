/* test_shares_kernels.c - kernels of which one group comes late, or has tiles that take long, so that others take
 * over (gemv/share.cpu.h): the same bits as by one thread. */
#include "base/base.h"
#include "foundry/kernel.h"
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

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

static void check_bits(const char *isa, size_t step) {
    static const late_case cases[] = { { FND_Q4_0, 1, 0, 3 }, { FND_F16, 1, 1, ROWS - 1 }, { FND_Q6_K, 1, 4, 700 }, { FND_Q4_0, 3, 1, 1100 }, { FND_F16, 9, 0, 0 }, { FND_Q8_0, 60, 1, 5 } };
    static const uint32_t threads[] = { 2, 3, 5, 16 };
    for (size_t i = 0; i < FND_COUNT(cases); i += step) {
        const late_case *c = &cases[i];
        float *alone = compute(isa, 1, c);
        for (size_t n = 0; alone && n < FND_COUNT(threads); n += step) {
            float *y = compute(isa, threads[n], c);
            CHECK_MSG(y && memcmp(alone, y, 2 * c->tokens * ROWS * sizeof *y) == 0, "%s, %u tokens: %u threads give other bits than one", fnd_format_get(c->format)->name, (unsigned)c->tokens, threads[n]);
            free(y);
        }
        free(alone);
    }
}

TEST(shares_taken_over_give_the_same_bits) { check_bits(NULL, 1); }
TEST(shares_in_portable_texts_give_the_same_bits) { check_bits("generic", 3); }
