/* kernel_bench.c - see kernel_bench.h. */
#include "kernel_bench.h"
#include "backend/cpu/baked.h"
#include "base/cpuinfo.h"
#include "kernels/policy/policy_ref.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

enum { GUARD_BYTE = 0xA5,
       POOL_BYTES = 64 << 20 };

static void must(fnd_status status, const fnd_error *err) {
    if (status == FND_OK) return;
    fprintf(stderr, "kernel_bench: %s\n", err->text);
    abort();
}

static void *must_alloc(size_t count, size_t bytes) {
    void *p = calloc(count ? count : 1, bytes ? bytes : 1);
    if (!p) abort();
    return p;
}

/* ---- random blocks ---- */

static uint64_t state = 88172645463325252u;

void bench_seed(uint64_t seed) { state = seed * 0x9e3779b97f4a7c15u + 88172645463325252u; }
uint32_t bench_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}
uint32_t bench_below(uint32_t n) { return (uint32_t)((uint64_t)bench_random() * n >> 32); }
float bench_uniform(void) { return (float)(int32_t)bench_random() / 2147483648.0f; }

void bench_decode(fnd_format format, const unsigned char *data, size_t count, double *v) {
    fnd_ref_decode_fn *decode = fnd_ref_decoder(format);
    if (decode) {
        decode(data, (unsigned)count, v);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t whole;
        if (format == FND_U8) {
            v[i] = data[i];
            continue;
        }
        memcpy(&whole, data + 4 * i, 4);
        v[i] = format == FND_U32 ? (double)(uint32_t)whole : (double)whole;
    }
}

unsigned char *bench_blocks(fnd_format format, uint64_t rows, uint64_t cols, size_t *bytes, double **values) {
    return bench_blocks_within(format, rows, cols, 1e-3, format == FND_F32 ? 1.0 : 4.0, bytes, values);
}

unsigned char *bench_blocks_within(fnd_format format, uint64_t rows, uint64_t cols, double least, double most, size_t *bytes, double **values) {
    const fnd_format_info *info = fnd_format_get(format);
    size_t blocks = (size_t)(rows * cols / info->block_weights), block_weights = info->block_weights;
    unsigned char *data = must_alloc(blocks, info->block_bytes);
    double *v = must_alloc(blocks * block_weights, sizeof *v);
    for (size_t b = 0; b < blocks; b++) {
        unsigned char *block = data + b * info->block_bytes;
        double peak = 0.0;
        while (!(peak > least && peak < most)) { /* neither infinite scales nor NaN */
            for (size_t i = 0; i < info->block_bytes; i++) block[i] = (unsigned char)bench_random();
            float f = (float)most * bench_uniform();
            if (format == FND_F32) memcpy(block, &f, sizeof f);
            bench_decode(format, block, block_weights, v + b * block_weights);
            peak = 0.0;
            for (size_t i = 0; i < block_weights; i++) peak = fabs(v[b * block_weights + i]) <= peak ? peak : fabs(v[b * block_weights + i]);
        }
    }
    *bytes = blocks * info->block_bytes;
    *values = v;
    return data;
}

/* ---- the device ---- */

/* Kernels that differ only by activations that are not F32 come to the devices of the library out of the cache, compiled by
 * the first two. */
static const bench_device first_ones[] = { { "cpu", NULL, false }, { "cpu", "generic", false }, { "sim", NULL, false }, { "cpu", NULL, true }, { "cpu", "generic", true } };
static const bench_device matrix_ones[] = { { "sim", "metal", false }, { "sim", "cuda", false } }; /* other kernels are the same texts there */
enum { FIRST_ONES = sizeof first_ones / sizeof *first_ones,
       MATRIX_ONES = sizeof matrix_ones / sizeof *matrix_ones,
       MOST_LEVELS = 8 };

/* Levels of this machine between the portable texts and the best: those whose kernels the library has, which cost no
 * compiler, or those that are never in it, and bf16 prompts, whose kernels of single formats differ from it. */
static size_t levels_between(bool in_library, bench_device *out) {
    size_t count, found = 0;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *best = fnd_cpu_level_best();
    for (size_t i = 1; i < count && found < MOST_LEVELS && !(in_library && !fnd_baked_kernel_count); i++) {
        if (&levels[i] == best || (in_library ? levels[i].bakes == FND_CPU_BAKES_NONE : levels[i].bakes != FND_CPU_BAKES_NONE && !levels[i].bf16_prompts) || !fnd_cpu_may_use(levels[i].needs)) continue;
        out[found++] = (bench_device){ "cpu", levels[i].name, in_library };
    }
    return found;
}

/* FOUNDRY_TEST_GPU names a backend that has a real GPU here: the tests then run on it alone. */
static const bench_device *gpu(void) {
    static bench_device asked;
    asked.backend = getenv("FOUNDRY_TEST_GPU");
    return asked.backend && asked.backend[0] ? &asked : NULL;
}

static bench_device here[FIRST_ONES + MOST_LEVELS + MATRIX_ONES];
static size_t fill_here(void) {
    size_t count = FIRST_ONES;
    memcpy(here, first_ones, sizeof first_ones);
    count += levels_between(true, here + count);
    memcpy(here + count, matrix_ones, sizeof matrix_ones);
    return count;
}

size_t bench_device_count(void) { return gpu() ? 1 : fill_here(); }
/* With FOUNDRY_TEST_EMULATED (make arm64) without the last: its texts and the simulator are those of any processor,
 * and tests here run them; the simulator itself runs the portable texts there. */
size_t bench_matrix_device_count(void) { return bench_device_count() + (gpu() || getenv("FOUNDRY_TEST_EMULATED") ? 0 : MATRIX_ONES); }
const bench_device *bench_device_at(size_t index) { return gpu() ? gpu() : &here[index]; }

size_t bench_compiled_level_count(void) {
    bench_device found[MOST_LEVELS];
    return gpu() ? 0 : levels_between(false, found);
}
const bench_device *bench_compiled_level_at(size_t index) {
    static bench_device found[MOST_LEVELS];
    levels_between(false, found);
    return &found[index];
}

bool bench_open(kernel_bench *b, const bench_device *device) { return bench_open_threads(b, device, 2); }

bool bench_open_threads(kernel_bench *b, const bench_device *device, uint32_t threads) {
    const char *backend = device->backend, *isa = device->isa;
    *b = (kernel_bench){ .label = "" };
    fnd_desc desc = { .backend = backend, .isa = isa, .quick_build = true, .threads = threads, .cache_dir = "build/test-cache", .no_baked = !device->baked, .no_build = device->baked };
    fnd_context_info info;
    if (fnd_open(&desc, &b->f, &b->err) != FND_OK || fnd_info(b->f, &info, &b->err) != FND_OK) {
        CHECK_MSG(false, "%s %s: %s", backend, isa ? isa : "", b->err.text);
        return false;
    }
    if (!info.can_build && !device->baked) {
        fnd_test_skip(info.why_not_build);
        fnd_close(b->f, NULL);
        return false;
    }
    snprintf(b->label, sizeof b->label, "%s%s%s%s", backend, isa ? " " : "", isa ? isa : "", device->baked ? " baked" : "");
    b->tile_rows = info.tile_rows;
    bool sim_cuda = strcmp(backend, "sim") == 0 && isa && strcmp(isa, "cuda") == 0;
    b->codes = info.tile_rows > 0 && !sim_cuda;
    b->query_codes = b->codes && info.lanes == 1;
    b->panels_from = strstr(info.device, ", amx_bf16)") ? 17 : sim_cuda                   ? 1
                                                           : strcmp(backend, "cuda") == 0 ? 17
                                                                                          : UINT64_MAX;
    b->panel_digits = strstr(info.device, ", amx_bf16)") ? 8 : 11; /* bf16, f16 */
    b->groups = info.groups;
    b->library_only = device->baked && isa && strcmp(isa, "generic") != 0;
    must(fnd_pool_create(b->f, POOL_BYTES, "bench", &b->pool, &b->err), &b->err);
    return true;
}

void bench_clear(kernel_bench *b) {
    for (size_t i = 0; i < b->tensor_count; i++) {
        bench_tensor *x = &b->tensors[i];
        if (x->tiles.t.rank) must(fnd_tensor_free(b->f, &x->tiles, &b->err), &b->err);
        free(x->bytes);
        free(x->v);
    }
    b->tensor_count = b->number_count = 0;
    must(fnd_pool_reset(&b->pool, &b->err), &b->err);
}

void bench_close(kernel_bench *b) {
    bench_clear(b);
    CHECK_OK(fnd_close(b->f, &b->err), &b->err);
}

/* ---- tensors ---- */

static bench_tensor *add(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape, const void *data) {
    if (b->tensor_count == BENCH_TENSORS) abort();
    bench_tensor *x = &b->tensors[b->tensor_count++];
    uint64_t rows = 1, bytes;
    for (uint32_t d = 0; d + 1 < shape.rank; d++) rows *= shape.dim[d];
    if (!fnd_format_bytes(format, rows, shape.dim[shape.rank - 1], &bytes)) abort();
    *x = (bench_tensor){ .data_bytes = (size_t)bytes, .count = (size_t)(rows * shape.dim[shape.rank - 1]) };
    snprintf(x->name, sizeof x->name, "%s", name);
    x->bytes = must_alloc(x->data_bytes + 2 * BENCH_GUARD, 1);
    memset(x->bytes, GUARD_BYTE, x->data_bytes + 2 * BENCH_GUARD);
    if (data)
        memcpy(x->bytes + BENCH_GUARD, data, x->data_bytes);
    else
        memset(x->bytes + BENCH_GUARD, 0xFF, x->data_bytes);
    x->v = must_alloc(x->count, sizeof *x->v);
    if (data) bench_decode(format, data, x->count, x->v);
    fnd_pooled whole;
    fnd_view view;
    size_t all = x->data_bytes + 2 * BENCH_GUARD;
    must(fnd_pool_alloc(&b->pool, FND_U8, fnd_shape1(all), FND_COPY(x->bytes, all), &whole, &b->err), &b->err);
    must(fnd_view_typed(&whole.t, &(fnd_typed){ .offset_bytes = BENCH_GUARD, .format = format, .shape = shape, .name = x->name }, &view, &b->err), &b->err);
    x->whole = whole.t;
    x->t = view.t;
    return x;
}

bench_tensor *bench_in_copy(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape, const void *data) { return add(b, name, format, shape, data); }

bench_tensor *bench_in(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape) {
    uint64_t rows = 1;
    size_t bytes;
    double *values;
    for (uint32_t d = 0; d + 1 < shape.rank; d++) rows *= shape.dim[d];
    unsigned char *data = bench_blocks(format, rows, shape.dim[shape.rank - 1], &bytes, &values);
    bench_tensor *x = add(b, name, format, shape, data);
    free(data);
    free(values);
    return x;
}

bench_tensor *bench_inout(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape) {
    bench_tensor *x = bench_in(b, name, format, shape);
    x->written = true;
    return x;
}

bench_tensor *bench_inout_copy(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape, const void *data) {
    bench_tensor *x = add(b, name, format, shape, data);
    x->written = true;
    return x;
}

bench_tensor *bench_out(kernel_bench *b, const char *name, fnd_format format, fnd_shape shape) {
    bench_tensor *x = add(b, name, format, shape, NULL);
    x->written = true;
    return x;
}

/* The memory of tiles as plain bytes. */
static fnd_tensor as_bytes(const fnd_tensor *tiles) {
    fnd_tensor bytes = *tiles;
    bytes.format = FND_U8;
    bytes.layout = FND_LAYOUT_ROWS;
    bytes.tile_rows = 0;
    bytes.rank = 1;
    for (uint32_t d = 0; d < FND_MAX_RANK; d++) bytes.shape[d] = bytes.stride[d] = 1;
    bytes.shape[0] = fnd_tensor_bytes(tiles);
    return bytes;
}

void bench_to_tiles(kernel_bench *b, bench_tensor *x) {
    fnd_kernel *repack;
    if (!b->tile_rows) return;
    must(fnd_alloc_tiled(b->f, x->t.format, fnd_shape2(x->t.shape[0], x->t.shape[1]), b->tile_rows, &x->tiles, &b->err), &b->err);
    must(fnd_kernel_get(b->f, "repack", &repack, &b->err), &b->err);
    fnd_tensor bytes = as_bytes(&x->tiles.t);
    const fnd_binding bound[] = { fnd_bind_out("tiles", &bytes), fnd_bind_in("w", &x->t) };
    must(fnd_run(b->f, repack, bound, 2, &b->err), &b->err);
    x->t = x->tiles.t;
}

bench_tensor *bench_weight(kernel_bench *b, const char *name, fnd_format format, uint64_t rows, uint64_t cols) {
    bench_tensor *x = bench_in(b, name, format, fnd_shape2(rows, cols));
    bench_to_tiles(b, x);
    return x;
}

static void number(kernel_bench *b, fnd_binding binding) {
    if (b->number_count == BENCH_NUMBERS) abort();
    b->numbers[b->number_count++] = binding;
}
void bench_f32(kernel_bench *b, const char *name, float value) { number(b, fnd_bind_f32(name, value)); }
void bench_u32(kernel_bench *b, const char *name, uint32_t value) { number(b, fnd_bind_u32(name, value)); }
void bench_i32(kernel_bench *b, const char *name, int32_t value) { number(b, fnd_bind_i32(name, value)); }

/* ---- running ---- */

size_t bench_bindings(kernel_bench *b, fnd_binding *out) {
    size_t count = 0;
    for (size_t i = 0; i < b->tensor_count; i++) {
        bench_tensor *x = &b->tensors[i];
        out[count++] = x->written ? fnd_bind_out(x->name, &x->t) : fnd_bind_in(x->name, &x->t);
    }
    for (size_t i = 0; i < b->number_count; i++) out[count++] = b->numbers[i];
    return count;
}

static bool check_tensor(kernel_bench *b, bench_tensor *x, const char *what) {
    size_t all = x->data_bytes + 2 * BENCH_GUARD, wrong = all;
    unsigned char *now = must_alloc(all, 1);
    must(fnd_tensor_read(b->f, &x->whole, 0, now, all, &b->err), &b->err);
    for (size_t i = 0; i < all && wrong == all; i++) {
        bool may = x->written && i >= BENCH_GUARD && i < BENCH_GUARD + x->data_bytes;
        if (!may && now[i] != x->bytes[i]) wrong = i;
    }
    CHECK_MSG(wrong == all, "%s %s: byte %ld of %s (%zu bytes) was overwritten", b->label, what, (long)wrong - BENCH_GUARD, x->name, x->data_bytes);
    if (x->written) bench_decode(x->t.format, now + BENCH_GUARD, x->count, x->v);
    free(now);
    return wrong == all;
}

bool bench_check(kernel_bench *b, const char *what) {
    bool good = true;
    for (size_t i = 0; i < b->tensor_count; i++) good &= check_tensor(b, &b->tensors[i], what);
    return good;
}

/* The library has kernels for activations of F32 alone. */
static bool may_be_missing(const kernel_bench *b) {
    bool others = false;
    for (size_t i = 0; i < b->tensor_count; i++) {
        const bench_tensor *x = &b->tensors[i];
        bool act = x->name[0] != 'w' && !strstr(x->name, "_cache");
        others |= act && (x->t.format == FND_F16 || x->t.format == FND_BF16 || x->t.format == FND_Q8_0);
    }
    return b->library_only && others;
}

bool bench_run_kernel(kernel_bench *b, fnd_kernel *kernel, const char *what) {
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    size_t count = bench_bindings(b, bindings);
    fnd_status status = fnd_run(b->f, kernel, bindings, count, &b->err);
    if (status == FND_ERR_UNSUPPORTED && may_be_missing(b)) {
        b->err = (fnd_error){ 0 };
        return false;
    }
    if (status == FND_OK) status = fnd_wait(b->f, &b->err);
    CHECK_MSG(status == FND_OK, "%s %s: %s", b->label, what, b->err.text);
    b->err = (fnd_error){ 0 };
    return status == FND_OK && bench_check(b, what);
}

bool bench_run(kernel_bench *b, const char *name) {
    fnd_kernel *kernel;
    must(fnd_kernel_get(b->f, name, &kernel, &b->err), &b->err);
    return bench_run_kernel(b, kernel, name);
}

/* ---- values ---- */

static const double F32 = 1.2e-7; /* a rounding, and a little */

ref_val ref_exact(double v) { return (ref_val){ v, 0.0 }; }
ref_val ref_add(ref_val a, ref_val b) { return (ref_val){ a.v + b.v, a.e + b.e + F32 * (fabs(a.v) + fabs(b.v)) }; }
ref_val ref_mul(ref_val a, ref_val b) { return (ref_val){ a.v * b.v, a.e * fabs(b.v) + b.e * fabs(a.v) + a.e * b.e + F32 * fabs(a.v * b.v) }; }
/* The slopes of these are at most 1.1, 1.13 and 1; exp is good to 2e-7, tanh to 3e-7. */
ref_val ref_silu(ref_val a) { return (ref_val){ a.v / (1.0 + exp(-a.v)), 1.1 * a.e + 1e-6 * fabs(a.v) + 1e-30 }; }
ref_val ref_gelu(ref_val a) {
    double inner = 0.7978845608028654 * (a.v + 0.044715 * a.v * a.v * a.v);
    return (ref_val){ 0.5 * a.v * (1.0 + tanh(inner)), 1.13 * a.e + 1e-6 * fabs(a.v) + 1e-30 };
}
ref_val ref_relu(ref_val a) { return (ref_val){ a.v > 0.0 ? a.v : 0.0, a.e }; }

void ref_codes(ref_val *x, size_t cols) {
    for (size_t first = 0; first + 32 <= cols; first += 32) {
        double peak = 0.0, off = 0.0;
        for (size_t k = first; k < first + 32; k++) peak = fmax(peak, fabs(x[k].v));
        for (size_t k = first; k < first + 32; k++) off = fmax(off, x[k].e);
        double scale = peak / 127.0;
        for (size_t k = first; k < first + 32 && peak > 0.0; k++) {
            double code = x[k].v / scale, rounded = nearbyint(code), slack = 2.0 * (x[k].e + off) / scale + 1e-4;
            bool near_tie = fabs(fabs(code - rounded) - 0.5) < slack;
            x[k] = (ref_val){ rounded * scale, off + (near_tie ? scale : 0.0) };
        }
    }
}

void ref_halves(ref_val *x, size_t count, int digits) {
    for (size_t i = 0; i < count; i++) {
        int exponent;
        frexp(x[i].v, &exponent);
        double step = ldexp(1.0, exponent - digits), units = x[i].v / step, rounded = nearbyint(units);
        bool near_tie = fabs(fabs(units - rounded) - 0.5) < x[i].e / step + 1e-2;
        x[i] = (ref_val){ rounded * step, x[i].e + (near_tie ? step : 0.0) };
    }
}

ref_val ref_dot(const double *w, const ref_val *x, size_t cols) {
    double sum = 0.0, size = 0.0, off = 0.0;
    for (size_t k = 0; k < cols; k++) {
        sum += w[k] * x[k].v;
        size += fabs(w[k] * x[k].v);
        off += fabs(w[k]) * x[k].e;
    }
    return (ref_val){ sum, 1e-5 * size + off };
}

/* How much storing v in a format may change it. */
static double rounding(fnd_format format, const ref_val *block, size_t i) {
    double v = fabs(block[i].v), peak = 0.0;
    if (format == FND_F16) return v * 0x1p-11 * 1.01 + 0x1p-25;
    if (format == FND_BF16) return v * 0x1p-8 * 1.01;
    if (format != FND_Q8_0) return v * F32 + 1e-38;
    for (size_t k = i / 32 * 32; k < i / 32 * 32 + 32; k++) peak = fmax(peak, fabs(block[k].v) + block[k].e);
    return peak / 127.0 * 0.5001 + v * 0x1p-11 * 1.01 + v / (peak / 127.0) * 0x1p-25 + 1e-38; /* a code, and a half as its scale */
}

bool bench_compare(const kernel_bench *b, const bench_tensor *got, const ref_val *want, const char *what) {
    for (size_t i = 0; i < got->count; i++) {
        double error = fabs(got->v[i] - want[i].v), allowed = want[i].e + rounding(got->t.format, want, i);
        if (error <= allowed) continue;
        CHECK_MSG(false, "%s %s: %s[%zu] of %zu is %.9g instead of %.9g: off by %.3g, %.3g is allowed", b->label, what, got->name, i, got->count, got->v[i], want[i].v, error, allowed);
        return false;
    }
    return true;
}

ref_val *ref_vals(size_t count) {
    ref_val *v = calloc(count, sizeof *v);
    if (!v) abort();
    return v;
}

ref_val *ref_rmsnorm(const double *x, const double *gamma, double eps, size_t tokens, size_t cols) {
    ref_val *rows = ref_vals(tokens * cols);
    for (size_t m = 0; m < tokens; m++) {
        double square = 0.0;
        for (size_t k = 0; k < cols; k++) square += x[m * cols + k] * x[m * cols + k];
        double scale = 1.0 / sqrt(square / (double)cols + eps);
        for (size_t k = 0; k < cols; k++) {
            double v = x[m * cols + k] * scale * gamma[k];
            rows[m * cols + k] = (ref_val){ v, 1e-6 * fabs(v) };
        }
    }
    return rows;
}
