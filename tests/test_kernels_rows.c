/* test_kernels_rows.c - kernels of rows, of heads, of single values, of the embedding, of sampling, and repacking: as
 * test_kernels.c. */
#include "kernel_bench.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

static const fnd_format weight_formats[] = {
#define FORMAT(id, name, ggml, weights, bytes) FND_##id,
    FND_FORMATS(FORMAT)
#undef FORMAT
};
enum { FORMATS = sizeof weight_formats / sizeof *weight_formats };

static fnd_format format_at(size_t i) { return weight_formats[i % FORMATS]; }
static bool has_codes(fnd_format format) { return fnd_format_get(format)->block_weights > 1; }

/* ---- rows ---- */

static const fnd_format act_pairs[][2] = { { FND_F32, FND_F32 }, { FND_F16, FND_BF16 }, { FND_BF16, FND_Q8_0 }, { FND_Q8_0, FND_F16 }, { FND_F32, FND_Q8_0 } };
enum { ACT_PAIRS = sizeof act_pairs / sizeof *act_pairs };

static ref_val *softmax_ref(const double *x, size_t tokens, size_t cols) {
    ref_val *rows = ref_vals(tokens * cols);
    for (size_t m = 0; m < tokens; m++) {
        double most = -INFINITY, total = 0.0;
        for (size_t k = 0; k < cols; k++) most = fmax(most, x[m * cols + k]);
        for (size_t k = 0; k < cols; k++) total += exp(x[m * cols + k] - most);
        for (size_t k = 0; k < cols; k++) {
            double v = exp(x[m * cols + k] - most) / total;
            rows[m * cols + k] = (ref_val){ v, 2e-6 * v };
        }
    }
    return rows;
}

static void check_rows(kernel_bench *b, const char *kernel, const fnd_format formats[2], uint64_t tokens, uint64_t cols) {
    char what[96];
    bool blocks = formats[0] == FND_Q8_0 || formats[1] == FND_Q8_0;
    if (blocks && cols % 32) cols = (cols + 31) / 32 * 32;
    snprintf(what, sizeof what, "%s %s to %s, %u x %u", kernel, fnd_format_get(formats[0])->name, fnd_format_get(formats[1])->name, (unsigned)tokens, (unsigned)cols);
    const bench_tensor *x = bench_in(b, "x", formats[0], fnd_shape2(tokens, cols));
    ref_val *want;
    if (strcmp(kernel, "rmsnorm") == 0) {
        const bench_tensor *gamma = bench_in(b, "gamma", FND_F32, fnd_shape1(cols));
        bench_f32(b, "eps", 1e-6f);
        want = ref_rmsnorm(x->v, gamma->v, (double)1e-6f, tokens, cols);
    } else if (strcmp(kernel, "softmax") == 0) {
        want = softmax_ref(x->v, tokens, cols);
    } else {
        want = ref_vals(tokens * cols);
        for (size_t i = 0; i < tokens * cols; i++) want[i] = ref_exact(x->v[i]);
    }
    const bench_tensor *y = bench_out(b, "y", formats[1], fnd_shape2(tokens, cols));
    if (bench_run(b, kernel)) bench_compare(b, y, want, what);
    free(want);
    bench_clear(b);
}

TEST(kernels_rows) {
    static const char *const kernels[] = { "rmsnorm", "copy", "softmax" };
    static const uint64_t shapes[][2] = { { 1, 1 }, { 3, 31 }, { 9, 33 }, { 5, 896 } };
    ON_EVERY_DEVICE(b) {
        for (size_t k = 0; k < 3; k++) {
            for (size_t p = 0; p < ACT_PAIRS; p++) {
                for (size_t s = 0; s < 4; s++) check_rows(&b, kernels[k], act_pairs[p], shapes[s][0], shapes[s][1]);
            }
        }
    }
}

/* ---- elementwise ---- */

static ref_val element_ref(const char *kernel, double a, double c) {
    ref_val x = ref_exact(a), y = ref_exact(c);
    if (strcmp(kernel, "silu") == 0) return ref_silu(x);
    if (strcmp(kernel, "gelu") == 0) return ref_gelu(x);
    if (strcmp(kernel, "add") == 0) return ref_add(x, y);
    return ref_mul(ref_silu(x), y);
}

static void check_elements(kernel_bench *b, const char *kernel, fnd_format format, uint64_t tokens, uint64_t rows) {
    char what[96];
    fnd_shape shape = fnd_shape2(tokens, rows);
    bool swiglu = strcmp(kernel, "swiglu") == 0, add = strcmp(kernel, "add") == 0;
    snprintf(what, sizeof what, "%s %s, %u x %u", kernel, fnd_format_get(format)->name, (unsigned)tokens, (unsigned)rows);
    const bench_tensor *x = bench_in(b, swiglu ? "x_gate" : "x", format, shape), *second = NULL;
    if (swiglu || add) second = bench_in(b, swiglu ? "x_up" : "residual", format, shape);
    const bench_tensor *y = bench_out(b, "y", format == FND_Q8_0 ? FND_F32 : format, shape);
    ref_val *want = ref_vals(tokens * rows);
    for (size_t i = 0; i < tokens * rows; i++) want[i] = element_ref(kernel, x->v[i], second ? second->v[i] : 0.0);
    if (bench_run(b, kernel)) bench_compare(b, y, want, what);
    free(want);
    bench_clear(b);
}

TEST(kernels_elementwise) {
    static const char *const kernels[] = { "silu", "gelu", "add", "swiglu" };
    static const fnd_format formats[] = { FND_F32, FND_F16, FND_BF16, FND_Q8_0 };
    static const uint64_t shapes[][2] = { { 1, 1 }, { 3, 31 }, { 9, 33 }, { 2, 100 } };
    ON_EVERY_DEVICE(b) {
        for (size_t k = 0; k < 4; k++) {
            for (size_t f = 0; f < 4; f++) {
                if (formats[f] == FND_Q8_0) {
                    check_elements(&b, kernels[k], formats[f], 3, 96);
                } else if (f == 0 || k >= 2) {
                    for (size_t s = 0; s < 4; s++) check_elements(&b, kernels[k], formats[f], shapes[s][0], shapes[s][1]);
                }
            }
        }
    }
}

/* ---- embedding, repacking ---- */

static void check_embed(kernel_bench *b, fnd_format format, fnd_format y_format, uint64_t tokens, uint64_t dim) {
    enum { VOCAB = 37 };
    char what[96];
    uint32_t ids[16];
    for (size_t i = 0; i < 16; i++) ids[i] = i ? bench_below(VOCAB) : VOCAB - 1;
    const bench_tensor *w = bench_in(b, "w", format, fnd_shape2(VOCAB, dim));
    bench_in_copy(b, "ids", FND_U32, fnd_shape1(tokens), ids);
    const bench_tensor *y = bench_out(b, "y", y_format, fnd_shape2(tokens, dim));
    ref_val *want = ref_vals(tokens * dim);
    for (size_t i = 0; i < tokens * dim; i++) {
        double v = w->v[ids[i / dim] * dim + i % dim];
        want[i] = (ref_val){ v, 3e-7 * fabs(v) + 1e-6 * 4.0 }; /* scale * code + min, of weights up to 4 */
    }
    snprintf(what, sizeof what, "embed %s to %s, %u x %u", fnd_format_get(format)->name, fnd_format_get(y_format)->name, (unsigned)tokens, (unsigned)dim);
    if (bench_run(b, "embed")) bench_compare(b, y, want, what);
    free(want);
    bench_clear(b);
}

TEST(kernels_embed_in_every_format) {
    static const fnd_format outs[] = { FND_F32, FND_F16, FND_F32, FND_Q8_0 };
    ON_EVERY_DEVICE(b) {
        for (size_t f = 0; f < FORMATS; f++) {
            uint32_t block = fnd_format_get(format_at(f))->block_weights;
            fnd_format out = outs[f % 4];
            uint64_t ragged = block > 1 ? block : out == FND_Q8_0 ? 32
                                                                  : 33;
            check_embed(&b, format_at(f), out, 3, ragged);
            check_embed(&b, format_at(f), out, 9, block == 32 ? 96 : 512);
        }
    }
}

/* Tiles written with guards round them are those that matrix kernels are tested with; where there are
 * no tiles, repacking copies. */
TEST(kernels_repack_writes_what_it_should) {
    ON_EVERY_DEVICE(b) {
        for (size_t f = 0; f < FORMATS; f++) {
            fnd_format format = format_at(f);
            uint64_t cols = has_codes(format) ? fnd_format_get(format)->block_weights : 33;
            bench_tensor *w = bench_in(&b, "w", format, fnd_shape2(33, cols));
            fnd_dedicated tiles = { 0 };
            uint64_t bytes = w->data_bytes;
            if (b.tile_rows) {
                CHECK_OK(fnd_alloc_tiled(b.f, format, fnd_shape2(33, cols), b.tile_rows, &tiles, &b.err), &b.err);
                bytes = fnd_tensor_bytes(&tiles.t);
            }
            const bench_tensor *out = bench_out(&b, "tiles", FND_U8, fnd_shape1(bytes));
            bool ran = bench_run(&b, "repack");
            for (size_t i = 0; ran && !b.tile_rows && i < bytes; i++) CHECK_MSG(out->v[i] == w->bytes[BENCH_GUARD + i], "%s %s: byte %zu", b.label, fnd_format_get(format)->name, i);
            fnd_tensor_free(b.f, &tiles, NULL);
            bench_clear(&b);
        }
    }
}

/* ---- heads ---- */

/* A head is a row of its own. */
static void check_head_norm(kernel_bench *b, uint64_t tokens, uint64_t heads, uint64_t head_dim) {
    bench_tensor *x = bench_inout(b, "x", FND_F32, fnd_shape3(tokens, heads, head_dim));
    bench_tensor *gamma = bench_in(b, "gamma", FND_F32, fnd_shape1(head_dim));
    bench_f32(b, "eps", 1e-6f);
    ref_val *want = ref_rmsnorm(x->v, gamma->v, (double)1e-6f, tokens * heads, head_dim);
    if (bench_run(b, "head_norm")) bench_compare(b, x, want, "head_norm");
    free(want);
    bench_clear(b);
}

TEST(kernels_head_norm) {
    ON_EVERY_DEVICE(b) {
        check_head_norm(&b, 1, 1, 16);
        check_head_norm(&b, 1, 5, 128);
        check_head_norm(&b, 7, 3, 80);
        check_head_norm(&b, 3, 2, 33);
    }
}

/* ---- sampling ---- */

static void check_argmax(kernel_bench *b, size_t tokens, size_t vocab, size_t slices) {
    float *logits = calloc(tokens * vocab, sizeof *logits), *value = calloc(tokens * slices, sizeof *value);
    uint32_t *id = calloc(tokens * slices, sizeof *id);
    if (!logits || !value || !id) abort();
    for (size_t i = 0; i < tokens * vocab; i++) logits[i] = bench_below(7) ? 0.25f * (float)bench_below(9) : bench_below(2) ? NAN
                                                                                                                            : -INFINITY;
    for (size_t m = 0; m < tokens; m++) logits[m * vocab + bench_below((uint32_t)vocab)] = 1.5f;
    bench_in_copy(b, "logits", FND_F32, fnd_shape2(tokens, vocab), logits);
    bench_tensor *best = bench_out(b, "best", FND_F32, fnd_shape2(tokens, slices)), *best_id = bench_out(b, "best_id", FND_U32, fnd_shape2(tokens, slices));
    bool ran = bench_run(b, "argmax_partial");
    for (size_t i = 0; i < tokens * slices; i++) {
        value[i] = (float)best->v[i];
        id[i] = (uint32_t)best_id->v[i];
    }
    bench_clear(b);
    bench_in_copy(b, "best", FND_F32, fnd_shape2(tokens, slices), value);
    bench_in_copy(b, "best_id", FND_U32, fnd_shape2(tokens, slices), id);
    const bench_tensor *chosen = bench_out(b, "id", FND_U32, fnd_shape1(tokens));
    ran = ran && bench_run(b, "argmax_pick");
    for (size_t m = 0; ran && m < tokens; m++) {
        size_t want = 0;
        while (isnan(logits[m * vocab + want])) want++;
        for (size_t i = want; i < vocab; i++) want = logits[m * vocab + i] > logits[m * vocab + want] ? i : want;
        CHECK_MSG(chosen->v[m] == (double)want, "%s argmax: %zu x %zu in %zu slices: chose %g instead of %zu", b->label, tokens, vocab, slices, chosen->v[m], want);
    }
    free(logits);
    free(value);
    free(id);
    bench_clear(b);
}

TEST(kernels_argmax) {
    ON_EVERY_DEVICE(b) {
        check_argmax(&b, 1, 1, 1);
        check_argmax(&b, 3, 33, 5);
        check_argmax(&b, 1, 1000, 64);
        check_argmax(&b, 2, 4864, 7);
    }
}
