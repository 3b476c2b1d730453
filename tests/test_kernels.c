/* test_kernels.c - every shipped kernel, with every weight format, on every backend, at ragged shapes,
 * against f64 references on dequantised weights. Outputs are poisoned with NaN; guards lie round
 * every tensor. Matrix kernels: linear_case below; the others one test each, those of rows and single
 * values in test_kernels_rows.c. */
#include "base/cpuinfo.h"
#include "compose/shipped.h"
#include "kernel_bench.h"
#include "kernels/attention/attention_ref.h"
#include "kv_cache.h"
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

static void *zeroed(size_t count, size_t bytes) {
    void *p = calloc(count, bytes);
    if (!p) abort();
    return p;
}

/* ---- matrix kernels ---- */

typedef struct linear_case {
    const char *kernel, *prologue; /* "rows", "rmsnorm", "attention_merge" */
    const char *heads[4];          /* "" alone: no suffix */
    bool bias, joined, residual;
    /* filled in by the test */
    uint32_t head_count;
    fnd_format formats[4], x_format, y_format;
    uint64_t rows[4], cols, tokens;
} linear_case;

static const linear_case linear_kernels[] = {
    { .kernel = "linear", .prologue = "rows", .heads = { "" } },
    { .kernel = "linear_bias", .prologue = "rows", .heads = { "" }, .bias = true },
    { .kernel = "linear_residual", .prologue = "rows", .heads = { "" }, .residual = true },
    { .kernel = "norm_qkv_bias", .prologue = "rmsnorm", .heads = { "q", "k", "v" }, .bias = true },
    { .kernel = "norm_qkv", .prologue = "rmsnorm", .heads = { "q", "k", "v" } },
    { .kernel = "norm_gate_up", .prologue = "rmsnorm", .heads = { "gate", "up" }, .joined = true },
    { .kernel = "norm_head", .prologue = "rmsnorm", .heads = { "" } },
    { .kernel = "merge_residual", .prologue = "attention_merge", .heads = { "" }, .residual = true },
};
enum { LINEAR_KERNELS = sizeof linear_kernels / sizeof *linear_kernels };

static const char *arg_name(char text[64], const char *arg, const char *head) {
    snprintf(text, 64, "%s%s%s", arg, head[0] ? "_" : "", head);
    return text;
}

/* Rows of activations after the prologue, before they become codes. */
static ref_val *rows_ref(const linear_case *c, const bench_tensor *x) {
    ref_val *rows = ref_vals(c->tokens * c->cols);
    for (size_t i = 0; i < c->tokens * c->cols; i++) rows[i] = ref_exact(x->v[i]);
    return rows;
}

/* What attention_decode leaves for one token: sums of values, maximum, sum of weights. */
typedef struct merge_shape {
    size_t tokens, heads, splits, head_dim;
} merge_shape;

static float *make_parts(merge_shape s) {
    size_t width = s.head_dim + 2;
    float *part = zeroed(s.tokens * s.heads * s.splits * width, sizeof *part);
    for (size_t i = 0; i < s.tokens * s.heads * s.splits; i++) {
        float *of = part + i * width;
        bool empty = i % s.splits > 0 && bench_below(3) == 0;
        for (size_t d = 0; d < s.head_dim; d++) of[d] = empty ? NAN : bench_uniform(); /* of an empty split nothing may be used */
        of[s.head_dim] = empty ? -3.0e38f : 4.0f * bench_uniform();
        of[s.head_dim + 1] = empty ? 0.0f : 0.5f + (float)bench_below(8);
    }
    return part;
}

static ref_val *merge_ref(const float *part, merge_shape s) {
    size_t width = s.head_dim + 2;
    ref_val *rows = ref_vals(s.tokens * s.heads * s.head_dim);
    for (size_t i = 0; i < s.tokens * s.heads; i++) {
        const float *of = part + i * s.splits * width;
        double most = -INFINITY, total = 0.0;
        for (size_t k = 0; k < s.splits; k++) {
            if (of[k * width + s.head_dim + 1] > 0.0f) most = fmax(most, (double)of[k * width + s.head_dim]);
        }
        for (size_t k = 0; k < s.splits; k++) {
            if (!(of[k * width + s.head_dim + 1] > 0.0f)) continue;
            double weight = exp((double)of[k * width + s.head_dim] - most);
            total += weight * (double)of[k * width + s.head_dim + 1];
            for (size_t d = 0; d < s.head_dim; d++) {
                double v = weight * (double)of[k * width + d];
                rows[i * s.head_dim + d].v += v;
                rows[i * s.head_dim + d].e += 2e-6 * fabs(v);
            }
        }
        for (size_t d = 0; d < s.head_dim; d++) {
            rows[i * s.head_dim + d].v /= total;
            rows[i * s.head_dim + d].e /= total;
        }
    }
    return rows;
}

static void check_merge(kernel_bench *b, size_t splits) {
    merge_shape s = { .tokens = 3, .heads = 4, .splits = splits, .head_dim = 16 };
    float *part = make_parts(s);
    ref_val *want = merge_ref(part, s);
    bench_in_copy(b, "part", FND_F32, fnd_shape4(s.tokens, s.heads, s.splits, s.head_dim + 2), part);
    bench_tensor *y = bench_out(b, "y", FND_F32, fnd_shape2(s.tokens, s.heads * s.head_dim));
    if (bench_run(b, "merge")) bench_compare(b, y, want, "merge");
    free(part);
    free(want);
    bench_clear(b);
}

static ref_val *prepare_rows(kernel_bench *b, const linear_case *c) {
    if (strcmp(c->prologue, "attention_merge") == 0) {
        merge_shape s = { .tokens = c->tokens, .head_dim = c->cols % 64 == 0 ? 64 : 16, .splits = 1 + bench_below(4) };
        s.heads = c->cols / s.head_dim;
        float *part = make_parts(s);
        bench_in_copy(b, "part", FND_F32, fnd_shape4(s.tokens, s.heads, s.splits, s.head_dim + 2), part);
        ref_val *rows = merge_ref(part, s);
        free(part);
        return rows;
    }
    const bench_tensor *x = bench_in(b, "x", c->x_format, fnd_shape2(c->tokens, c->cols));
    if (strcmp(c->prologue, "rows") == 0) return rows_ref(c, x);
    const bench_tensor *gamma = bench_in(b, "gamma", FND_F32, fnd_shape1(c->cols));
    bench_f32(b, "eps", 1e-5f);
    return ref_rmsnorm(x->v, gamma->v, (double)1e-5f, c->tokens, c->cols);
}

typedef struct format_rows {
    fnd_format format;
    uint64_t rows, cols;
} format_rows;

/* Weights of codes as f16 (gemv/dot_panel.cuda.h): scale, minimum and their sum are rounded, by what is largest in a
 * block; floats are exact but for subnormals. */
static void f16_weights_ref(format_rows shape, ref_val *weights) {
    size_t block = fnd_format_get(shape.format)->block_weights, count = shape.rows * shape.cols;
    for (size_t i = 0; i < count; i++) weights[i].e = ldexp(1.0, -25);
    if (block == 1) return;
    for (size_t first = 0; first < count; first += 32) {
        double most = 0.0;
        for (size_t i = 0; i < 32; i++) most = fmax(most, fabs(weights[first + i].v));
        for (size_t i = 0; i < 32; i++) weights[first + i].e = most * ldexp(1.5, -10);
    }
}

/* Products with many tokens where both sides are halves. F32 weights keep twice the digits. */
static void panel_ref(const kernel_bench *b, const double *w, format_rows shape, const ref_val *rows, uint64_t tokens, ref_val *out) {
    size_t count = shape.rows * shape.cols;
    ref_val *x = ref_vals(tokens * shape.cols), *weights = ref_vals(count);
    memcpy(x, rows, tokens * shape.cols * sizeof *x);
    for (size_t i = 0; i < count; i++) weights[i] = (ref_val){ w[i], 1e-6 * fabs(w[i]) };
    if (shape.format != FND_F32) {
        ref_halves(x, tokens * shape.cols, b->panel_digits);
        if (b->panel_digits == 11)
            f16_weights_ref(shape, weights);
        else
            ref_halves(weights, count, b->panel_digits);
    }
    for (size_t m = 0; m < tokens; m++) {
        for (size_t r = 0; r < shape.rows; r++) {
            ref_val sum = { 0, 0 };
            for (size_t k = 0; k < shape.cols; k++) {
                ref_val a = weights[r * shape.cols + k], c = x[m * shape.cols + k];
                sum.v += a.v * c.v;
                sum.e += fabs(a.v) * c.e + fabs(c.v) * a.e + a.e * c.e + 2e-5 * fabs(a.v * c.v);
            }
            out[m * shape.rows + r] = sum;
        }
    }
    free(x);
    free(weights);
}

/* Products of one head, with its bias. */
static ref_val *head_ref(kernel_bench *b, const linear_case *c, uint32_t h, const ref_val *rows) {
    char name[64];
    const double *w = bench_weight(b, arg_name(name, "w", c->heads[h]), c->formats[h], c->rows[h], c->cols)->v;
    const double *bias = c->bias ? bench_in(b, arg_name(name, "bias", c->heads[h]), FND_F32, fnd_shape1(c->rows[h]))->v : NULL;
    ref_val *seen = ref_vals(c->tokens * c->cols), *out = ref_vals(c->tokens * c->rows[h]);
    bool panels = c->tokens >= b->panels_from;
    memcpy(seen, rows, c->tokens * c->cols * sizeof *seen);
    if (panels) panel_ref(b, w, (format_rows){ c->formats[h], c->rows[h], c->cols }, rows, c->tokens, out);
    for (size_t m = 0; m < c->tokens; m++) {
        if (!panels && b->codes && has_codes(c->formats[h])) ref_codes(seen + m * c->cols, c->cols);
        for (size_t r = 0; r < c->rows[h]; r++) {
            ref_val v = panels ? out[m * c->rows[h] + r] : ref_dot(w + r * c->cols, seen + m * c->cols, c->cols);
            out[m * c->rows[h] + r] = bias ? ref_add(v, ref_exact(bias[r])) : v;
        }
    }
    free(seen);
    return out;
}

static void check_linear(kernel_bench *b, const linear_case *c) {
    char what[160], name[64];
    ref_val *rows = prepare_rows(b, c), *want[4] = { NULL };
    bench_tensor *y[4] = { NULL };
    uint32_t outs = c->joined ? 1 : c->head_count;
    for (uint32_t h = 0; h < c->head_count; h++) want[h] = head_ref(b, c, h, rows);
    for (uint32_t h = 0; h < outs; h++) {
        const char *head = c->joined ? "" : c->heads[h];
        size_t count = c->tokens * c->rows[h];
        const bench_tensor *residual = c->residual ? bench_in(b, arg_name(name, "residual", head), c->x_format, fnd_shape2(c->tokens, c->rows[h])) : NULL;
        for (size_t i = 0; i < count; i++) {
            if (c->joined) want[0][i] = ref_mul(ref_silu(want[0][i]), want[1][i]);
            if (residual) want[h][i] = ref_add(want[h][i], ref_exact(residual->v[i]));
        }
        y[h] = bench_out(b, arg_name(name, "y", head), c->y_format, fnd_shape2(c->tokens, c->rows[h]));
    }
    snprintf(what, sizeof what, "%s %s%s%s, %u x %u, %u tokens", c->kernel, fnd_format_get(c->formats[0])->name, c->head_count > 1 ? "+" : "",
             c->head_count > 1 ? fnd_format_get(c->formats[1])->name : "", (unsigned)c->rows[0], (unsigned)c->cols, (unsigned)c->tokens);
    bool ran = bench_run(b, c->kernel);
    for (uint32_t h = 0; ran && h < outs; h++) bench_compare(b, y[h], want[h], what);
    for (uint32_t h = 0; h < c->head_count; h++) free(want[h]);
    free(rows);
    bench_clear(b);
}

/* Columns that fit all formats of a case, ragged ones first. */
static uint64_t columns(const linear_case *c, size_t n) {
    static const uint64_t choices[3][3] = { { 31, 1, 33 }, { 96, 32, 896 }, { 256, 512, 256 } };
    bool merge = strcmp(c->prologue, "attention_merge") == 0;
    uint32_t block = 1;
    for (uint32_t h = 0; h < c->head_count; h++) {
        uint32_t of = fnd_format_get(c->formats[h])->block_weights;
        block = of > block ? of : block;
    }
    if (c->x_format == FND_Q8_0 && block == 1) block = 32;
    if (block == 1 && merge) return n % 2 ? 48 : 16;
    return choices[block == 1 ? 0 : block == 32 ? 1
                                                : 2][n % 3];
}

/* One kernel with formats f, f + 1 ... at a shape that n chooses. */
static void check_linear_at(kernel_bench *b, size_t kernel, size_t f, size_t n, uint64_t tokens) {
    static const uint64_t ragged[] = { 33, 100, 31, 1 };
    linear_case c = linear_kernels[kernel];
    while (c.head_count < 4 && c.heads[c.head_count]) c.head_count++;
    for (uint32_t h = 0; h < c.head_count; h++) {
        c.formats[h] = format_at(f + 5 * h);
        c.rows[h] = c.joined ? ragged[n % 4] : ragged[(n + h) % 4];
    }
    static const fnd_format acts[] = { FND_F32, FND_F16, FND_BF16, FND_Q8_0 };
    c.x_format = kernel == 0 && n >= 4 ? acts[n % 4] : FND_F32;
    c.y_format = kernel == 0 && n >= 4 ? acts[(n + 1) % 3] : FND_F32;
    c.cols = columns(&c, n);
    c.tokens = tokens;
    check_linear(b, &c);
}

/* make arm64: the processor is emulated, slowly, and texts for GPUs prove nothing of it. */
static bool emulated(void) { return getenv("FOUNDRY_TEST_EMULATED") != NULL; }
/* On the simulator as well: that it runs there, tests of rows, of single values and of sampling show. */
static bool simulated_beside_emulated(const kernel_bench *b) { return emulated() && strcmp(b->label, "sim") == 0; }

TEST(kernels_linear_in_every_format) {
    ON_EVERY_MATRIX_DEVICE(b) {
        if (simulated_beside_emulated(&b)) continue;
        for (size_t f = 0; f < FORMATS; f++) {
            check_linear_at(&b, 0, f, 0, 1);
            check_linear_at(&b, 0, f, 1, 9);
            check_linear_at(&b, 0, f, 2, 3);
            check_linear_at(&b, 0, f, 3, 1);
        }
    }
}

/* Prompts: panels of rows, and blocks of tokens, whole and ragged, with more columns than a panel has. */
static void check_many(kernel_bench *b, size_t step) {
    static const uint64_t tokens[] = { 33, 48, 31, 65 }, rows[] = { 100, 290, 33, 31 };
    for (size_t f = 0; f < FORMATS; f += step) {
        linear_case c = { .kernel = "linear_residual", .prologue = "rows", .heads = { "" }, .residual = true, .head_count = 1, .formats = { format_at(f) }, .x_format = FND_F32, .y_format = FND_F32 };
        c.rows[0] = rows[f % 4];
        c.tokens = tokens[(f + f / 4) % 4];
        c.cols = f % 3 ? fnd_format_get(format_at(f))->block_weights : fnd_format_get(format_at(f))->block_weights == 1 ? 531
                                                                                                                        : 768;
        check_linear(b, &c);
    }
    for (size_t kernel = 3; kernel < 6 && step == 1; kernel++) check_linear_at(b, kernel, kernel, kernel, 52);
    linear_case long_prompt = { .kernel = "linear", .prologue = "rows", .heads = { "" }, .head_count = 1, .formats = { FND_Q4_1 }, .x_format = FND_F32, .y_format = FND_F32, .rows = { 47 }, .cols = 64, .tokens = 290 };
    check_linear(b, &long_prompt);
}

/* A GPU that is here, or the simulator with the texts for NVIDIA's. */
static bool open_matrix_unit(kernel_bench *b) {
    static const bench_device simulated = { "sim", "cuda", false };
    if (emulated()) return false;
    return bench_open(b, getenv("FOUNDRY_TEST_GPU") ? bench_device_at(0) : &simulated);
}

TEST(kernels_linear_with_many_tokens_on_gpus) {
    kernel_bench b;
    if (!open_matrix_unit(&b)) return;
    check_many(&b, getenv("FOUNDRY_TEST_GPU") ? 1 : 4);
    bench_close(&b);
}

/* Of levels that are not the best here, some formats. */
TEST(kernels_linear_with_many_tokens) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *level;
    for (size_t i = 1; i <= count && !getenv("FOUNDRY_TEST_GPU"); i++) {
        kernel_bench b;
        bool baked = i == count, best = baked || levels[i].name == fnd_cpu_level_best()->name;
        fnd_error why = { 0 };
        if (!best && fnd_cpu_level_find(levels[i].name, &level, &why) != FND_OK) continue;
        if (!bench_open(&b, &(bench_device){ "cpu", baked ? NULL : levels[i].name, baked })) continue;
        check_many(&b, best ? 1 : 5);
        bench_close(&b);
    }
}

TEST(kernels_fused_in_every_format) {
    ON_EVERY_MATRIX_DEVICE(b) {
        if (simulated_beside_emulated(&b)) continue;
        for (size_t f = 0; f < FORMATS; f++) {
            for (size_t i = 0; i < 2; i++) { /* each kernel three formats or more, each format two */
                size_t kernel = 1 + (f * 2 + i) % (LINEAR_KERNELS - 1);
                check_linear_at(&b, kernel, f, f + i, (f + i) % 2 ? 9 : 1);
                check_linear_at(&b, kernel, f, f + i + 1, (f + i) % 2 ? 3 : 1);
            }
        }
    }
}

/* Of levels that the library never has: one token and more, and a matrix unit's prompt. */
TEST(kernels_fused_at_compiled_levels) {
    static const uint64_t tokens[] = { 1, 9, 52 };
    ON_EVERY_COMPILED_LEVEL(b) {
        for (size_t i = 0; i < 3; i++) check_linear_at(&b, 3 + i, 2 + i, i, tokens[i]);
        check_linear_at(&b, 5, 6, 1, 1);
        check_linear_at(&b, 7, 8, 2, 3);
    }
}

TEST(kernels_linear_with_every_activation) {
    ON_EVERY_MATRIX_DEVICE(b) {
        for (size_t n = 4; n < 8; n++) check_linear_at(&b, 0, n % 2 ? 0 : 4, n, n % 2 ? 1 : 9);
    }
}

/* ---- attention ---- */

typedef struct scene {
    size_t heads, kv_heads, head_dim, pos, tokens, blocks, pairs;
    unsigned pairing;
    float inv_freq[128];
    fnd_format format; /* of the caches */
} scene;

static kv_cache_layout layout_of(const scene *s, bool keys) { return (kv_cache_layout){ s->format, s->blocks, s->kv_heads, s->head_dim, keys }; }
static size_t row_at(const scene *s, size_t p, size_t head) { return (p * s->kv_heads + head) * s->head_dim; }

static scene make_scene(size_t n, fnd_format format, bool single) {
    static const size_t shapes[][4] = { { 4, 2, 16, 8 }, { 6, 2, 64, 32 }, { 2, 2, 32, 12 }, { 8, 1, 48, 24 }, { 6, 2, 96, 48 } }; /* heads, kv heads, dim, pairs */
    static const size_t places[][2] = { { 0, 1 }, { 5, 9 }, { 15, 3 }, { 130, 33 }, { 130, 51 } };
    const size_t *shape = shapes[n % 5], *place = places[n % 5];
    scene s = { .heads = shape[0], .kv_heads = shape[1], .head_dim = shape[2], .pairs = shape[3], .pos = place[0], .tokens = single ? 1 : place[1], .pairing = n % 2, .format = format };
    if (format == FND_Q8_0 && s.head_dim % 32) s.head_dim = 96;
    s.blocks = (s.pos + s.tokens + 15) / 16 + 1;
    for (size_t i = 0; i < s.pairs; i++) s.inv_freq[i] = (float)pow(10000.0, -2.0 * (double)i / (2.0 * (double)s.pairs));
    return s;
}

static void bench_rope(kernel_bench *b, const scene *s) {
    bench_in_copy(b, "inv_freq", FND_F32, fnd_shape1(s->pairs), s->inv_freq);
    bench_u32(b, "pairing", s->pairing);
    bench_f32(b, "mscale", 1.25f);
}
static rope_ref_params rope_of(const scene *s) { return (rope_ref_params){ s->inv_freq, s->pairs, s->pairing, 1.25 }; }

static double *copy_of(const bench_tensor *x) {
    double *v = zeroed(x->count, sizeof *v);
    memcpy(v, x->v, x->count * sizeof *v);
    return v;
}

/* A cache with random values at the first `filled` positions and NaN beyond. */
static bench_tensor *bench_cache(kernel_bench *b, const scene *s, size_t filled, bool keys, bool written) {
    kv_cache_layout c = layout_of(s, keys);
    unsigned char *cache = zeroed(kv_cache_bytes(&c), 1);
    kv_cache_poison(&c, cache);
    for (size_t i = 0; i < filled * s->kv_heads; i++) {
        double row[256];
        for (size_t d = 0; d < s->head_dim; d++) row[d] = (double)bench_uniform();
        kv_cache_put(&c, cache, i / s->kv_heads, i % s->kv_heads, row);
    }
    bench_tensor *(*make)(kernel_bench *, const char *, fnd_format, fnd_shape, const void *) = written ? bench_inout_copy : bench_in_copy;
    bench_tensor *x = make(b, keys ? "k_cache" : "v_cache", s->format, fnd_shape4(s->blocks, s->kv_heads, 16, s->head_dim), cache);
    free(cache);
    return x;
}

/* The block at which `gather` begins: a cache may be part of a pool. */
static size_t range_of_pool;

/* All values that a cache has now: [16 * blocks, kv_heads, head_dim]. */
static double *gather(kernel_bench *b, const scene *s, const bench_tensor *x, bool keys) {
    kv_cache_layout c = layout_of(s, keys);
    size_t bytes = kv_cache_bytes(&c), rows = 16 * s->blocks * s->kv_heads;
    double *out = zeroed(rows * s->head_dim, sizeof *out);
    unsigned char *cache = zeroed(bytes, 1);
    CHECK_OK(fnd_tensor_read(b->f, &x->t, range_of_pool * (bytes / s->blocks), cache, bytes, &b->err), &b->err);
    for (size_t i = 0; i < rows; i++) {
        for (size_t d = 0; d < s->head_dim; d++) out[i * s->head_dim + d] = kv_cache_get(&c, cache, i / s->kv_heads, i % s->kv_heads, d);
    }
    free(cache);
    return out;
}

/* Is a row what rounding may have made of `want`? */
static bool row_fits(const scene *s, const double *now, const double *want) {
    for (size_t d = 0; d < s->head_dim; d++) {
        if (!(fabs(now[d] - want[d]) <= kv_cache_rounding(s->format, want[d], kv_cache_most(s->format, want, d)))) return false;
    }
    return true;
}

/* The cache after a kernel wrote the new tokens; everything else is as it was. */
static void check_cache(kernel_bench *b, const scene *s, const bench_tensor *cache, const double *before, const double *x, bool keys, const char *what) {
    rope_ref_params rope = rope_of(s);
    double head[256], *all = gather(b, s, cache, keys);
    size_t changed = 0, wrong = 0;
    for (size_t p = 0; p < 16 * s->blocks; p++) {
        bool is_new = p >= s->pos && p < s->pos + s->tokens;
        for (size_t h = 0; h < s->kv_heads; h++) {
            const double *now = all + row_at(s, p, h), *was = before + row_at(s, p, h);
            for (size_t d = 0; is_new && d < s->head_dim; d++) head[d] = x[row_at(s, p - s->pos, h) + d];
            if (is_new && keys) rope_ref(&rope, head, (long)p);
            if (is_new && keys && s->format == FND_Q8_0) spread_ref(head, s->head_dim);
            wrong += is_new && !row_fits(s, now, head);
            for (size_t d = 0; !is_new && d < s->head_dim; d++) changed += !(now[d] == was[d] || (isnan(now[d]) && isnan(was[d])));
        }
    }
    CHECK_MSG(wrong == 0 && changed == 0, "%s %s %s: %zu rows of %s are wrong, %zu other places changed", b->label, what, fnd_format_get(s->format)->name, wrong, keys ? "keys" : "values", changed);
    free(all);
}

/* y [tokens, heads, head_dim] against the reference over the cache as it is now. */
static void check_attention(kernel_bench *b, const scene *s, const bench_tensor *q, const bench_tensor *k_cache, const bench_tensor *v_cache, const ref_val *y, const char *what) {
    size_t count = s->tokens * s->heads * s->head_dim, wrong = count;
    double *want = zeroed(count, sizeof *want), *weight = zeroed(count, sizeof *weight), *slack = zeroed(count, sizeof *slack);
    double *keys = gather(b, s, k_cache, true), *values = gather(b, s, v_cache, false);
    float *query = zeroed(count, sizeof *query);
    for (size_t i = 0; i < count; i++) query[i] = (float)q->v[i];
    attention_ref_desc d = { .q = query, .keys = keys, .values = values, .tokens = s->tokens, .heads = s->heads, .kv_heads = s->kv_heads, .head_dim = s->head_dim, .pos = s->pos, .scale = 0.125, .rope = rope_of(s), .spread = s->format == FND_Q8_0, .codes = b->query_codes && s->format == FND_Q8_0, .slack = slack };
    attention_ref(&d, want, weight);
    /* A matrix unit takes both sides in two bf16 each: what is left errs by 2^-16 or so, in scores too. */
    bool panels = b->panel_digits == 8 && s->format != FND_Q8_0 && s->head_dim % 32 == 0;
    double allowed = panels ? 6e-5 : 1e-5;
    for (size_t i = count; i-- > 0;) {
        if (!(fabs(y[i].v - want[i]) <= allowed * weight[i] + y[i].e + slack[i])) wrong = i;
    }
    CHECK_MSG(wrong == count, "%s %s %s: heads %zu/%zu of %zu, pos %zu: y[%zu] is %g instead of %g", b->label, what, fnd_format_get(s->format)->name, s->heads, s->kv_heads, s->head_dim, s->pos, wrong, wrong < count ? y[wrong].v : 0.0, wrong < count ? want[wrong] : 0.0);
    free(want);
    free(weight);
    free(slack);
    free(query);
    free(keys);
    free(values);
}

static void check_kv_write(kernel_bench *b, size_t n, fnd_format format) {
    scene s = make_scene(n, format, false);
    bench_tensor *k_cache = bench_cache(b, &s, s.pos, true, true), *v_cache = bench_cache(b, &s, s.pos, false, true);
    double *k_before = gather(b, &s, k_cache, true), *v_before = gather(b, &s, v_cache, false);
    const bench_tensor *k = bench_in(b, "k", FND_F32, fnd_shape2(s.tokens, s.kv_heads * s.head_dim)), *v = bench_in(b, "v", FND_F32, fnd_shape2(s.tokens, s.kv_heads * s.head_dim));
    bench_rope(b, &s);
    bench_u32(b, "pos", (uint32_t)s.pos);
    if (bench_run(b, "kv_write")) {
        check_cache(b, &s, k_cache, k_before, k->v, true, "kv_write");
        check_cache(b, &s, v_cache, v_before, v->v, false, "kv_write");
    }
    free(k_before);
    free(v_before);
    bench_clear(b);
}

static void check_prefill(kernel_bench *b, size_t n, fnd_format format) {
    scene s = make_scene(n, format, false);
    const bench_tensor *k_cache = bench_cache(b, &s, s.pos + s.tokens, true, false), *v_cache = bench_cache(b, &s, s.pos + s.tokens, false, false);
    const bench_tensor *q = bench_in(b, "q", FND_F32, fnd_shape2(s.tokens, s.heads * s.head_dim)), *y = bench_out(b, "y", FND_F32, fnd_shape2(s.tokens, s.heads * s.head_dim));
    bench_rope(b, &s);
    bench_u32(b, "pos", (uint32_t)s.pos);
    bench_f32(b, "scale", 0.125f);
    if (bench_run(b, "attention")) {
        ref_val *got = ref_vals(y->count);
        for (size_t i = 0; i < y->count; i++) got[i] = ref_exact(y->v[i]);
        check_attention(b, &s, q, k_cache, v_cache, got, "attention");
        free(got);
    }
    bench_clear(b);
}

static void check_decode_scene(kernel_bench *b, scene s, size_t splits) {
    bench_tensor *k_cache = bench_cache(b, &s, s.pos, true, true), *v_cache = bench_cache(b, &s, s.pos, false, true);
    double *k_before = gather(b, &s, k_cache, true), *v_before = gather(b, &s, v_cache, false);
    const bench_tensor *q = bench_in(b, "q", FND_F32, fnd_shape2(1, s.heads * s.head_dim));
    const bench_tensor *k = bench_in(b, "k", FND_F32, fnd_shape2(1, s.kv_heads * s.head_dim)), *v = bench_in(b, "v", FND_F32, fnd_shape2(1, s.kv_heads * s.head_dim));
    const bench_tensor *part = bench_out(b, "part", FND_F32, fnd_shape4(1, s.heads, splits, s.head_dim + 2));
    bench_rope(b, &s);
    bench_u32(b, "pos", (uint32_t)s.pos);
    bench_f32(b, "scale", 0.125f);
    if (bench_run(b, "attention_decode")) {
        float *parts = zeroed(part->count, sizeof *parts);
        for (size_t i = 0; i < part->count; i++) parts[i] = (float)part->v[i];
        ref_val *y = merge_ref(parts, (merge_shape){ 1, s.heads, splits, s.head_dim });
        check_cache(b, &s, k_cache, k_before, k->v, true, "attention_decode");
        check_cache(b, &s, v_cache, v_before, v->v, false, "attention_decode");
        check_attention(b, &s, q, k_cache, v_cache, y, "attention_decode");
        bench_clear(b);
        bench_in_copy(b, "part", FND_F32, fnd_shape4(1, s.heads, splits, s.head_dim + 2), parts);
        const bench_tensor *merged = bench_out(b, "y", FND_F32, fnd_shape2(1, s.heads * s.head_dim));
        if (bench_run(b, "merge")) bench_compare(b, merged, y, "merge of attention_decode");
        free(parts);
        free(y);
    }
    free(k_before);
    free(v_before);
    bench_clear(b);
}

static void check_decode(kernel_bench *b, size_t n, fnd_format format) { check_decode_scene(b, make_scene(n, format, true), 1 + n % 3 * 2); }

/* Three tokens of three sequences, whose caches are ranges of one pool in another order: each as attention_ref
 * says of its range alone, and nothing else is written. */
static void check_batch(kernel_bench *b, size_t n, fnd_format format) {
    enum { SEQUENCES = 3 };
    static const uint32_t positions[][SEQUENCES] = { { 0, 5, 16 }, { 15, 70, 0 }, { 130, 31, 64 }, { 3, 129, 200 } };
    scene all = make_scene(n, format, true), s = all;
    size_t splits = 1 + n % 3 * 2, each = 16, width = s.head_dim + 2;
    const uint32_t firsts[SEQUENCES] = { 16, 32, 0 };
    all.blocks = SEQUENCES * each;
    s.blocks = each;
    bench_tensor *k_cache = bench_cache(b, &all, 16 * all.blocks, true, true), *v_cache = bench_cache(b, &all, 16 * all.blocks, false, true);
    double *k_before = gather(b, &all, k_cache, true), *v_before = gather(b, &all, v_cache, false);
    const bench_tensor *q = bench_in(b, "q", FND_F32, fnd_shape2(SEQUENCES, s.heads * s.head_dim));
    const bench_tensor *k = bench_in(b, "k", FND_F32, fnd_shape2(SEQUENCES, s.kv_heads * s.head_dim)), *v = bench_in(b, "v", FND_F32, fnd_shape2(SEQUENCES, s.kv_heads * s.head_dim));
    const bench_tensor *part = bench_out(b, "part", FND_F32, fnd_shape4(SEQUENCES, s.heads, splits, width));
    bench_in_copy(b, "positions", FND_U32, fnd_shape1(SEQUENCES), positions[n % 4]);
    bench_in_copy(b, "firsts", FND_U32, fnd_shape1(SEQUENCES), firsts);
    bench_rope(b, &s);
    bench_u32(b, "keys", 1);
    bench_u32(b, "writes", 1);
    bench_f32(b, "scale", 0.125f);
    bool ran = bench_run(b, "attention_batch");
    for (size_t i = 0; ran && i < SEQUENCES; i++) {
        size_t at = row_at(&s, 16 * firsts[i], 0), parts_count = s.heads * splits * width;
        float *parts = zeroed(parts_count, sizeof *parts);
        for (size_t e = 0; e < parts_count; e++) parts[e] = (float)part->v[i * parts_count + e];
        ref_val *y = merge_ref(parts, (merge_shape){ 1, s.heads, splits, s.head_dim });
        s.pos = positions[n % 4][i];
        range_of_pool = firsts[i];
        check_cache(b, &s, k_cache, k_before + at, k->v + i * s.kv_heads * s.head_dim, true, "attention_batch");
        check_cache(b, &s, v_cache, v_before + at, v->v + i * s.kv_heads * s.head_dim, false, "attention_batch");
        bench_tensor query = *q;
        query.v += i * s.heads * s.head_dim;
        check_attention(b, &s, &query, k_cache, v_cache, y, "attention_batch");
        free(parts);
        free(y);
    }
    range_of_pool = 0;
    free(k_before);
    free(v_before);
    bench_clear(b);
}

/* Later positions move down, their keys turned back; the rest of the cache stays. */
static void check_kv_shift(kernel_bench *b, size_t n, fnd_format format) {
    static const size_t drops[][3] = { { 64, 0, 16 }, { 75, 3, 32 }, { 100, 17, 48 }, { 33, 16, 16 } }; /* pos, keep, drop */
    size_t pos = drops[n][0], keep = drops[n][1], drop = drops[n][2], changed = 0, wrong = 0;
    double head[256];
    scene s = make_scene(n, format, true);
    s.blocks = (pos + 15) / 16;
    bench_tensor *k_cache = bench_cache(b, &s, pos, true, true), *v_cache = bench_cache(b, &s, pos, false, true);
    double *k_before = gather(b, &s, k_cache, true), *v_before = gather(b, &s, v_cache, false);
    rope_ref_params rope = rope_of(&s);
    rope.mscale = 1;
    bench_in_copy(b, "inv_freq", FND_F32, fnd_shape1(s.pairs), s.inv_freq);
    bench_u32(b, "pairing", s.pairing);
    bench_u32(b, "pos", (uint32_t)pos);
    bench_u32(b, "keep", (uint32_t)keep);
    bench_u32(b, "drop", (uint32_t)drop);
    bool ran = bench_run(b, "kv_shift");
    double *keys = gather(b, &s, k_cache, true), *values = gather(b, &s, v_cache, false);
    for (size_t p = 0; ran && p < pos; p++) {
        size_t from = p >= keep && p < pos - drop ? p + drop : p;
        for (size_t h = 0; h < s.kv_heads; h++) {
            memcpy(head, k_before + row_at(&s, from, h), s.head_dim * sizeof *head);
            if (s.format == FND_Q8_0) spread_ref(head, s.head_dim);
            if (from != p) rope_ref(&rope, head, -(long)drop);
            if (s.format == FND_Q8_0) spread_ref(head, s.head_dim);
            wrong += !row_fits(&s, keys + row_at(&s, p, h), head);
            changed += memcmp(values + row_at(&s, p, h), v_before + row_at(&s, from, h), s.head_dim * sizeof *values) != 0;
        }
    }
    CHECK_MSG(wrong == 0 && changed == 0, "%s kv_shift %s: %zu rows of keys and %zu of values are wrong", b->label, fnd_format_get(format)->name, wrong, changed);
    free(k_before);
    free(v_before);
    free(keys);
    free(values);
    bench_clear(b);
}

/* Tokens of three sequences, whose caches are ranges of one pool in another order: each as attention_ref says of its
 * range alone, and nothing else is written. */
static void check_prompts(kernel_bench *b, size_t n, fnd_format format) {
    enum { SEQUENCES = 3 };
    static const uint32_t lengths[][SEQUENCES] = { { 1, 5, 16 }, { 37, 2, 3 }, { 7, 7, 40 }, { 17, 1, 1 } }, positions[][SEQUENCES] = { { 0, 5, 16 }, { 15, 70, 0 }, { 130, 31, 64 }, { 3, 129, 200 } };
    scene all = make_scene(n, format, false), s = all;
    const uint32_t firsts[SEQUENCES] = { 16, 32, 0 }, *tokens = lengths[n % 4], *pos = positions[n % 4];
    size_t rows = tokens[0] + tokens[1] + tokens[2], q_dim = s.heads * s.head_dim, kv_dim = s.kv_heads * s.head_dim;
    uint32_t table[SEQUENCES][4];
    s.blocks = 16;
    all.blocks = SEQUENCES * s.blocks;
    for (uint32_t i = 0, row = 0; i < SEQUENCES; row += tokens[i++]) memcpy(table[i], (uint32_t[]){ row, tokens[i], pos[i], firsts[i] }, sizeof table[i]);
    for (int attends = 0; attends < 2; attends++) {
        bench_tensor *k_cache = bench_cache(b, &all, 16 * all.blocks, true, !attends), *v_cache = bench_cache(b, &all, 16 * all.blocks, false, !attends);
        double *k_before = gather(b, &all, k_cache, true), *v_before = gather(b, &all, v_cache, false);
        const bench_tensor *q = attends ? bench_in(b, "q", FND_F32, fnd_shape2(rows, q_dim)) : NULL, *y = attends ? bench_out(b, "y", FND_F32, fnd_shape2(rows, q_dim)) : NULL;
        const bench_tensor *k = attends ? NULL : bench_in(b, "k", FND_F32, fnd_shape2(rows, kv_dim)), *v = attends ? NULL : bench_in(b, "v", FND_F32, fnd_shape2(rows, kv_dim));
        bench_in_copy(b, "prompts", FND_U32, fnd_shape2(SEQUENCES, 4), table);
        bench_rope(b, &s);
        if (attends) {
            bench_u32(b, "keys", 1);
            bench_u32(b, "seen", 1);
            bench_f32(b, "scale", 0.125f);
        }
        bool ran = bench_run(b, attends ? "attention_prompts" : "kv_write_prompts");
        for (size_t i = 0; ran && i < SEQUENCES; i++) {
            size_t at = row_at(&s, 16 * firsts[i], 0);
            s.pos = pos[i];
            s.tokens = tokens[i];
            range_of_pool = firsts[i];
            if (attends) {
                bench_tensor query = *q;
                ref_val *got = ref_vals(s.tokens * q_dim);
                query.v += table[i][0] * q_dim;
                for (size_t e = 0; e < s.tokens * q_dim; e++) got[e] = ref_exact(y->v[table[i][0] * q_dim + e]);
                check_attention(b, &s, &query, k_cache, v_cache, got, "attention_prompts");
                free(got);
            } else {
                check_cache(b, &s, k_cache, k_before + at, k->v + table[i][0] * kv_dim, true, "kv_write_prompts");
                check_cache(b, &s, v_cache, v_before + at, v->v + table[i][0] * kv_dim, false, "kv_write_prompts");
            }
        }
        range_of_pool = 0;
        free(k_before);
        free(v_before);
        bench_clear(b);
    }
}

/* Levels that the library never has: prompts in all formats, also for a matrix unit; the others where texts differ most,
 * over codes. */
TEST(kernels_attention_at_compiled_levels) {
    static const fnd_format formats[] = { FND_F16, FND_F32, FND_Q8_0 };
    ON_EVERY_COMPILED_LEVEL(b) {
        for (size_t i = 0; i < 15; i++) check_prefill(&b, i / 3, formats[i % 3]);
        for (size_t n = 0; n < 3; n++) {
            check_kv_write(&b, n, FND_Q8_0);
            check_decode(&b, n, FND_Q8_0);
            check_batch(&b, n, FND_Q8_0);
        }
    }
}

TEST(kernels_attention) {
    ON_EVERY_DEVICE(b) {
        if (simulated_beside_emulated(&b)) continue;
        check_merge(&b, 3);
        for (size_t i = 0; i < 12; i++) {
            static const fnd_format formats[] = { FND_F16, FND_F32, FND_Q8_0 };
            size_t n = i / 3;
            check_kv_shift(&b, n, formats[i % 3]);
            check_kv_write(&b, n, formats[i % 3]);
            check_prefill(&b, n, formats[i % 3]);
            check_decode(&b, n, formats[i % 3]);
            check_batch(&b, n, formats[i % 3]);
            check_prompts(&b, n, formats[i % 3]);
        }
        for (size_t i = 0; i < 2 && b.codes; i++) check_prefill(&b, 4, i ? FND_F32 : FND_F16);
    }
}

/* The texts for NVIDIA's GPUs, on the simulator or (FOUNDRY_TEST_GPU=cuda) on a real one: heads of many sizes, as many
 * as share a kv head, alone and together with another kv head; positions at the ends of blocks, units and splits. */
TEST(kernels_attention_decode_on_nvidia) {
    static const size_t shapes[][4] = { { 7, 1, 64, 32 }, { 6, 2, 80, 40 }, { 8, 2, 96, 48 }, { 7, 1, 128, 64 }, { 4, 1, 256, 128 }, { 16, 1, 256, 128 }, { 3, 3, 16, 5 }, { 16, 1, 32, 16 }, { 5, 1, 224, 30 } };
    static const size_t positions[] = { 0, 1, 15, 16, 17, 31, 32, 63, 64, 255, 256, 1000, 1500 }, splits[] = { 8, 1, 3, 66 };
    static const fnd_format formats[] = { FND_F16, FND_Q8_0, FND_F32 };
    const char *gpu = getenv("FOUNDRY_TEST_GPU");
    kernel_bench b;
    if ((gpu && strcmp(gpu, "cuda") != 0) || emulated()) return;
    if (!bench_open(&b, gpu ? bench_device_at(0) : &(bench_device){ "sim", "cuda", false })) return;
    for (size_t i = 0; i < 36; i++) {
        const size_t *shape = shapes[i % 9];
        scene s = { .heads = shape[0], .kv_heads = shape[1], .head_dim = shape[2], .pairs = shape[3], .pos = positions[i % 13], .tokens = 1, .pairing = i % 2, .format = formats[(i + i / 9) % 3] };
        if (s.format == FND_Q8_0 && s.head_dim % 32) s.head_dim = s.head_dim < 32 ? 32 : 96;
        s.blocks = (s.pos + 16) / 16;
        for (size_t k = 0; k < s.pairs; k++) s.inv_freq[k] = (float)pow(10000.0, -(double)k / (double)s.pairs);
        check_decode_scene(&b, s, splits[i % 4]);
    }
    for (size_t i = 0; i < 12; i++) check_batch(&b, i / 3, formats[i % 3]);
    for (size_t i = 1; i < 20; i += 3) check_merge(&b, i);
    bench_close(&b);
}

TEST(kernels_attention_of_prompts_on_gpus) {
    static const fnd_format formats[] = { FND_F16, FND_F32, FND_Q8_0 };
    kernel_bench b;
    if (!open_matrix_unit(&b)) return;
    for (size_t i = 0; i < 15; i++) check_prefill(&b, i / 3, formats[i % 3]);
    bench_close(&b);
}

static void check_rope(kernel_bench *b, size_t n, fnd_format format) {
    scene s = make_scene(n, FND_F16, false);
    int32_t positions[64];
    for (size_t i = 0; i < s.tokens; i++) positions[i] = (int32_t)bench_below(4000);
    bench_tensor *x = bench_inout(b, "x", format, fnd_shape3(s.tokens, s.heads, s.head_dim));
    double *before = copy_of(x);
    ref_val *want = ref_vals(x->count);
    rope_ref_params rope = rope_of(&s);
    for (size_t i = 0; i < x->count / s.head_dim; i++) rope_ref(&rope, before + i * s.head_dim, positions[i / s.heads]);
    for (size_t i = 0; i < x->count; i++) want[i] = (ref_val){ before[i], 2e-6 * 4.0 };
    bench_in_copy(b, "positions", FND_I32, fnd_shape1(s.tokens), positions);
    bench_rope(b, &s);
    if (bench_run(b, "rope")) bench_compare(b, x, want, "rope");
    free(before);
    free(want);
    bench_clear(b);
}

TEST(kernels_rope) {
    ON_EVERY_DEVICE(b) {
        for (size_t n = 0; n < 4; n++) check_rope(&b, n, n < 3 ? FND_F32 : FND_F16);
    }
}

/* ---- what cannot be written ---- */

TEST(kernels_refuse_single_values_in_blocks) {
    static const char *const kernels[] = { "linear", "silu", "rope" };
    kernel_bench b;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    for (size_t k = 0; k < 3; k++) {
        fnd_kernel *kernel;
        fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
        scene s = make_scene(2, FND_F16, true);
        if (k == 2) {
            bench_inout(&b, "x", FND_Q8_0, fnd_shape3(1, 2, 32));
            bench_in_copy(&b, "positions", FND_I32, fnd_shape1(1), (int32_t[]){ 3 });
            bench_rope(&b, &s);
        } else {
            bench_in(&b, "x", FND_F32, fnd_shape2(2, 32));
            bench_out(&b, "y", FND_Q8_0, fnd_shape2(2, 32));
            if (k == 0) bench_weight(&b, "w", FND_F32, 32, 32);
        }
        CHECK_OK(fnd_kernel_get(b.f, kernels[k], &kernel, &b.err), &b.err);
        CHECK(fnd_run(b.f, kernel, bindings, bench_bindings(&b, bindings), &b.err) == FND_ERR_TYPE);
        CHECK_HAS(b.err.text, "written value by value");
        b.err = (fnd_error){ 0 };
        bench_clear(&b);
    }
    bench_close(&b);
}

/* ---- nothing is forgotten ---- */

TEST(kernels_all_shipped_are_tested) {
    static const char *const others[] = { "rmsnorm", "head_norm", "copy", "softmax", "silu", "gelu", "add", "swiglu", "embed", "repack", "kv_write", "attention", "attention_decode", "attention_batch", "kv_write_prompts", "attention_prompts", "merge", "rope", "argmax_partial", "argmax_pick",
                                          /* test_kernels_create.c */ "arange", "arange_i32", "fill", "ones", "random_uniform", "kv_rearrange", "sample_partial", "sample_pick", "sample_penalize", "sample_typical", "kv_shift" };
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        bool tested = false;
        for (size_t k = 0; k < LINEAR_KERNELS; k++) tested |= strcmp(linear_kernels[k].kernel, fnd_shipped_name(i)) == 0;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) tested |= strcmp(others[k], fnd_shipped_name(i)) == 0;
        CHECK_MSG(tested, "kernel %s is shipped, but no test here runs it", fnd_shipped_name(i));
    }
}
