/* test_file_rows.c - weights as the file has them, on devices that want them in tiles: the same results to the
 * last bit, by texts of the device and not by portable ones. */
#include "backend/cpu/baked.h"
#include "base/cpuinfo.h"
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

static const fnd_format formats[] = {
#define FORMAT(id, name, ggml, weights, bytes) FND_##id,
    FND_FORMATS(FORMAT)
#undef FORMAT
};
enum { FORMATS = sizeof formats / sizeof *formats };

static uint64_t width_of(fnd_format format, uint64_t blocks) {
    uint64_t block = fnd_format_get(format)->block_weights;
    return block > 1 ? blocks * block : blocks * 64 + 5; /* with a rest */
}

/* Run twice, `w` in rows and then in tiles. */
static void compare_layouts(kernel_bench *b, const char *kernel, bench_tensor **w, size_t count, const bench_tensor *y, const char *what) {
    size_t bytes = y->count * sizeof *y->v;
    double *rows = malloc(bytes);
    bool ran = bench_run(b, kernel);
    memcpy(rows, y->v, bytes);
    for (size_t i = 0; i < count; i++) bench_to_tiles(b, w[i]);
    ran = ran && bench_run(b, kernel);
    size_t i = 0;
    while (ran && i < y->count && rows[i] == y->v[i]) i++;
    CHECK_MSG(!ran || i == y->count, "%s %s: value %zu is %.9g of rows and %.9g of tiles", b->label, what, i, rows[i], y->v[i]);
    free(rows);
}

static void check_linear(kernel_bench *b, fnd_format format, uint64_t rows, uint64_t cols, uint64_t tokens) {
    char what[96];
    snprintf(what, sizeof what, "linear %s, %u x %u, %u tokens", fnd_format_get(format)->name, (unsigned)rows, (unsigned)cols, (unsigned)tokens);
    bench_in(b, "x", FND_F32, fnd_shape2(tokens, cols));
    bench_tensor *w[] = { bench_in(b, "w", format, fnd_shape2(rows, cols)) };
    compare_layouts(b, "linear", w, 1, bench_out(b, "y", FND_F32, fnd_shape2(tokens, rows)), what);
    bench_clear(b);
}

/* Two heads of two formats, joined. */
static void check_joined(kernel_bench *b, fnd_format first, fnd_format second, uint64_t tokens) {
    char what[96];
    uint64_t cols = 256, rows = 35;
    snprintf(what, sizeof what, "norm_gate_up %s and %s, %u tokens", fnd_format_get(first)->name, fnd_format_get(second)->name, (unsigned)tokens);
    bench_in(b, "x", FND_F32, fnd_shape2(tokens, cols));
    bench_in(b, "gamma", FND_F32, fnd_shape1(cols));
    bench_f32(b, "eps", 1e-6f);
    bench_tensor *w[] = { bench_in(b, "w_gate", first, fnd_shape2(rows, cols)), bench_in(b, "w_up", second, fnd_shape2(rows, cols)) };
    compare_layouts(b, "norm_gate_up", w, 2, bench_out(b, "y", FND_F32, fnd_shape2(tokens, rows)), what);
    bench_clear(b);
}

/* Every level that runs here; by the library's kernels, which cost no compiling. */
TEST(file_rows_give_the_same_bits_at_every_level) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    kernel_bench b;
    if (!fnd_baked_kernel_count) fnd_test_skip("the library was built without kernels");
    for (size_t i = 0; i < count && fnd_baked_kernel_count; i++) {
        if (levels[i].bakes == FND_CPU_BAKES_NONE || levels[i].bf16_prompts || !levels[i].vec || !fnd_cpu_may_use(levels[i].needs)) continue; /* prompts of rows are never bf16 */
        if (!bench_open(&b, &(bench_device){ "cpu", levels[i].name, true })) continue;
        for (size_t f = 0; f < FORMATS; f++) {
            static const struct {
                uint64_t rows, blocks, tokens;
            } shapes[] = { { 35, 3, 1 }, { 16, 1, 1 }, { 1, 2, 1 }, { 35, 2, 2 }, { 19, 1, 8 }, { 35, 3, 9 }, { 3, 2, 17 }, { 35, 2, 50 } };
            for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) check_linear(&b, formats[f], shapes[k].rows, width_of(formats[f], shapes[k].blocks), shapes[k].tokens);
            check_joined(&b, formats[f], formats[(f + 5) % FORMATS], 1);
            check_joined(&b, formats[f], formats[(f + 5) % FORMATS], f % 2 ? 11 : 49);
        }
        bench_close(&b);
    }
}

/* Compiled now, where every format is a text of its own. */
TEST(file_rows_give_the_same_bits_compiled_now) {
    static const fnd_format some[] = { FND_F16, FND_Q6_K };
    kernel_bench b;
    if (!bench_open(&b, &(bench_device){ "cpu", NULL, false })) return;
    for (size_t f = 0; b.tile_rows && f < sizeof some / sizeof *some; f++) {
        check_linear(&b, some[f], 35, width_of(some[f], 2), 1);
        check_linear(&b, some[f], 35, width_of(some[f], 2), 21);
    }
    if (b.tile_rows) check_joined(&b, FND_Q5_0, FND_Q4_K, 13);
    bench_close(&b);
}
