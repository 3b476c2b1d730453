/* test_kernels_tokens.c - many tokens at once are computed as single ones are, to the last bit, for formats with
 * codes: what a prompt makes likely must not depend on how it was cut. */
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

enum { TOKENS = 16,
       ROWS = 21 };

static void run(kernel_bench *b, fnd_format format, uint64_t cols, const void *w, const float *x, uint32_t tokens, double *y) {
    bench_in_copy(b, "x", FND_F32, fnd_shape2(tokens, cols), x);
    bench_tensor *weight = bench_in_copy(b, "w", format, fnd_shape2(ROWS, cols), w);
    bench_to_tiles(b, weight);
    const bench_tensor *out = bench_out(b, "y", FND_F32, fnd_shape2(tokens, ROWS));
    bench_run(b, "linear");
    memcpy(y, out->v, out->count * sizeof *y);
    bench_clear(b);
}

static void check(kernel_bench *b, fnd_format format, uint64_t cols) {
    static double together[TOKENS * ROWS], alone[ROWS];
    size_t bytes;
    double *values;
    float *x = calloc(TOKENS * cols, sizeof *x);
    unsigned char *w = bench_blocks(format, ROWS, cols, &bytes, &values);
    for (size_t i = 0; i < TOKENS * cols; i++) x[i] = bench_uniform();
    for (uint32_t tokens = 2; tokens <= TOKENS; tokens += tokens < 10 ? 1 : 2) {
        run(b, format, cols, w, x, tokens, together);
        for (uint32_t m = 0; m < tokens; m++) {
            run(b, format, cols, w, x + m * cols, 1, alone);
            CHECK_MSG(memcmp(alone, together + m * ROWS, sizeof alone) == 0, "%s %s: token %u of %u", b->label, fnd_format_get(format)->name, m, tokens);
        }
    }
    free(x);
    free(w);
    free(values);
}

TEST(kernels_tokens_together_are_those_alone) {
    kernel_bench b;
    if (!bench_open(&b, &(bench_device){ "cpu", NULL, false })) return;
    if (b.tile_rows) {
        check(&b, FND_Q4_1, 96);
        check(&b, FND_Q6_K, 256);
    }
    bench_close(&b);
}
