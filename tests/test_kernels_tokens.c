/* test_kernels_tokens.c - many tokens at once are computed as single ones are, to the last bit: what a prompt makes
 * likely must not depend on how it was cut. */
#include "backend/cpu/baked.h"
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

enum { TOKENS = 50, /* the matrix unit takes 48 and more */
       ROWS = 21 };

static void run_rows(kernel_bench *b, fnd_format format, uint64_t rows, uint64_t cols, const void *w, const float *x, uint32_t tokens, double *y) {
    bench_in_copy(b, "x", FND_F32, fnd_shape2(tokens, cols), x);
    bench_tensor *weight = bench_in_copy(b, "w", format, fnd_shape2(rows, cols), w);
    bench_to_tiles(b, weight);
    const bench_tensor *out = bench_out(b, "y", FND_F32, fnd_shape2(tokens, rows));
    bench_run(b, "linear");
    memcpy(y, out->v, out->count * sizeof *y);
    bench_clear(b);
}

static void run(kernel_bench *b, fnd_format format, uint64_t cols, const void *w, const float *x, uint32_t tokens, double *y) { run_rows(b, format, ROWS, cols, w, x, tokens, y); }

static void check(kernel_bench *b, fnd_format format, uint64_t cols, uint32_t most) {
    static double together[TOKENS * ROWS], alone[TOKENS][ROWS];
    size_t bytes;
    double *values;
    float *x = calloc(TOKENS * cols, sizeof *x);
    unsigned char *w = bench_blocks(format, ROWS, cols, &bytes, &values);
    for (size_t i = 0; i < TOKENS * cols; i++) x[i] = bench_uniform();
    for (uint32_t m = 0; m < most; m++) run(b, format, cols, w, x + m * cols, 1, alone[m]);
    for (uint32_t tokens = 2; tokens <= most; tokens += tokens < 10 ? 1 : tokens < 16 ? 2
                                                                                      : 34) {
        run(b, format, cols, w, x, tokens, together);
        for (uint32_t m = 0; m < tokens; m++) {
            CHECK_MSG(memcmp(alone[m], together + m * ROWS, sizeof alone[m]) == 0, "%s %s: token %u of %u", b->label, fnd_format_get(format)->name, m, tokens);
        }
    }
    free(x);
    free(w);
    free(values);
}

/* Floats: several parts of 64 columns, and a rest. */
TEST(kernels_tokens_together_are_those_alone) {
    kernel_bench b;
    if (!bench_open(&b, &(bench_device){ "cpu", NULL, false })) return;
    if (b.tile_rows) {
        check(&b, FND_Q4_1, 96, 16);
        check(&b, FND_Q6_K, 256, 16);
    }
    check(&b, FND_F16, 469, 16);
    check(&b, FND_F32, 469, 16);
    bench_close(&b);
}

/* The weights of up to 16 tokens are several streams, those of more are one: with as many tiles for each worker as come out
 * even, and as leave some for the end, in the last of which rows are missing. All tokens are the same one. */
static void check_streams(kernel_bench *b, fnd_format format, uint64_t cols) {
    enum { MOST_TILES = 9,
           MOST_TOKENS = 17 };
    static const uint32_t counts[] = { 4, 12, MOST_TOKENS };
    size_t most = (size_t)MOST_TILES * b->tile_rows * b->groups, bytes;
    double *values, *alone = calloc(most, sizeof *alone), *together = calloc(MOST_TOKENS * most, sizeof *together);
    float *x = calloc(MOST_TOKENS * cols, sizeof *x);
    unsigned char *w = bench_blocks(format, most, cols, &bytes, &values);
    for (size_t i = 0; i < MOST_TOKENS * cols; i++) x[i] = i < cols ? bench_uniform() : x[i - cols];
    for (uint64_t tiles = 1; tiles <= MOST_TILES; tiles++) {
        uint64_t rows = tiles * b->tile_rows * b->groups - 3;
        run_rows(b, format, rows, cols, w, x, 1, alone);
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
            run_rows(b, format, rows, cols, w, x, counts[n], together);
            for (uint32_t m = 0; m < counts[n]; m++) {
                CHECK_MSG(memcmp(alone, together + m * rows, rows * sizeof *alone) == 0, "%s %s: %d rows, token %u of %u", b->label, fnd_format_get(format)->name, (int)rows, m, counts[n]);
            }
        }
    }
    free(x);
    free(w);
    free(values);
    free(alone);
    free(together);
}

TEST(kernels_of_few_tokens_take_every_tile) {
    kernel_bench b;
    if (!bench_open(&b, &(bench_device){ "cpu", NULL, false })) return;
    if (b.tile_rows) {
        check_streams(&b, FND_Q4_1, 96);
        check_streams(&b, FND_Q6_K, 256);
        check_streams(&b, FND_F16, 85);
    }
    bench_close(&b);
}

TEST(kernels_tokens_together_are_those_alone_in_the_library) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    kernel_bench b;
    if (!fnd_baked_kernel_count) fnd_test_skip("the library was built without kernels");
    for (size_t i = 0; i < count && fnd_baked_kernel_count; i++) {
        if (levels[i].bakes == FND_CPU_BAKES_NONE || levels[i].bf16_prompts || !fnd_cpu_may_use(levels[i].needs)) continue; /* bf16 prompts are not what tokens are alone */
        if (!bench_open(&b, &(bench_device){ "cpu", levels[i].name, true })) continue;
        for (fnd_format f = FND_F32; f < FND_FORMAT_COUNT; f++) {
            const fnd_format_info *info = fnd_format_get(f);
            if (info->is_weight) check(&b, f, info->block_weights > 1 ? 2 * info->block_weights : 469, TOKENS);
        }
        bench_close(&b);
    }
}
