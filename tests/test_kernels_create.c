/* test_kernels_create.c - the shipped kernels that make tensors from nothing, rearrange them, and
 * choose tokens, as test_kernels.c does for the others. */
#include "kernel_bench.h"
#include "kernels/sample/sample_ref.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

static ref_val *vals(size_t count) {
    ref_val *p = calloc(count, sizeof *p);
    if (!p) abort();
    return p;
}

/* ---- tensors from nothing ---- */

static void check_made(kernel_bench *b, const char *kernel, const bench_tensor *y, double (*value)(size_t i), double error) {
    ref_val *want = vals(y->count);
    for (size_t i = 0; i < y->count; i++) want[i] = (ref_val){ value(i), error * fabs(value(i)) };
    if (bench_run(b, kernel)) bench_compare(b, y, want, kernel);
    free(want);
    bench_clear(b);
}

static double steps(size_t i) { return -2.0 + 0.375 * (double)i; }
static double whole_steps(size_t i) { return 7.0 - 3.0 * (double)i; }
static double sevens(size_t i) { return (void)i, 7.25; }
static double ones(size_t i) { return (void)i, 1.0; }

static double uniform(size_t i) {
    const uint32_t counter[4] = { (uint32_t)(i / 4), 0, 5, 0 }, key[2] = { 99, 3 };
    uint32_t words[4];
    philox_ref(counter, key, words);
    return (double)(words[i % 4] >> 8) / 16777216.0;
}

TEST(kernels_create) {
    static const fnd_format acts[] = { FND_F32, FND_F16, FND_BF16, FND_Q8_0 };
    ON_EVERY_DEVICE(b) {
        for (size_t f = 0; f < 4; f++) {
            fnd_shape shape = acts[f] == FND_Q8_0 ? fnd_shape2(3, 64) : fnd_shape2(5, 33);
            const bench_tensor *y = bench_out(&b, "y", acts[f], fnd_shape1(acts[f] == FND_Q8_0 ? 96 : 33));
            bench_f32(&b, "start", -2.0f);
            bench_f32(&b, "step", 0.375f);
            check_made(&b, "arange", y, steps, 0.0);
            y = bench_out(&b, "y", acts[f], shape);
            bench_f32(&b, "value", 7.25f);
            check_made(&b, "fill", y, sevens, 0.0);
            check_made(&b, "ones", bench_out(&b, "y", acts[f], shape), ones, 0.0);
            y = bench_out(&b, "y", acts[f], shape);
            bench_u32(&b, "seed", 99);
            bench_u32(&b, "seed_high", 3);
            bench_u32(&b, "sequence", 5);
            check_made(&b, "random_uniform", y, uniform, 0.0);
        }
        const bench_tensor *y = bench_out(&b, "y", FND_I32, fnd_shape1(77));
        bench_i32(&b, "start", 7);
        bench_i32(&b, "step", -3);
        check_made(&b, "arange_i32", y, whole_steps, 0.0);
    }
}

static void check_rearrange(kernel_bench *b, fnd_format from, fnd_format to, const size_t shape[3]) {
    size_t tokens = shape[0], heads = shape[1], dim = shape[2];
    const bench_tensor *x = bench_in(b, "x", from, fnd_shape3(tokens, heads, dim)), *y = bench_out(b, "y", to, fnd_shape3(heads, tokens, dim));
    ref_val *want = vals(x->count);
    for (size_t i = 0; i < x->count; i++) {
        size_t d = i % dim, head = i / dim % heads, token = i / dim / heads;
        want[(head * tokens + token) * dim + d] = ref_exact(x->v[i]);
    }
    if (bench_run(b, "kv_rearrange")) bench_compare(b, y, want, "kv_rearrange");
    free(want);
    bench_clear(b);
}

TEST(kernels_kv_rearrange) {
    ON_EVERY_DEVICE(b) {
        check_rearrange(&b, FND_F32, FND_F32, (size_t[]){ 3, 2, 33 });
        check_rearrange(&b, FND_F32, FND_F16, (size_t[]){ 9, 1, 16 });
        check_rearrange(&b, FND_F16, FND_Q8_0, (size_t[]){ 5, 4, 64 });
    }
}

/* ---- sampling ---- */

static void check_penalize(kernel_bench *b) {
    enum { VOCAB = 301,
           PLACES = 40 };
    uint32_t ids[PLACES], counts[PLACES], recent[5 * PLACES];
    float bias[PLACES];
    double *logits = calloc(VOCAB, sizeof *logits);
    penalize_ref_desc d = { .recent = recent, .bias_ids = ids, .bias = bias, .biases = PLACES - 2, .repeat = (double)1.3f, .presence = 0.25, .frequency = 0.125 };
    const bench_tensor *x = bench_in(b, "logits", FND_F32, fnd_shape2(1, VOCAB)), *y;
    ref_val *want = vals(VOCAB);
    if (!logits) abort();
    for (uint32_t i = 0; i < PLACES; i++) {
        ids[i] = i < PLACES - 2 ? 7 * i : VOCAB + i; /* the last ones are padding */
        counts[i] = i % 5;
        bias[i] = i % 3 ? 0.0f : 0.5f * (float)i;
        for (uint32_t k = 0; k < counts[i]; k++) recent[d.recents++] = ids[i];
    }
    for (size_t i = 0; i < VOCAB; i++) logits[i] = x->v[i];
    penalize_ref(&d, logits, VOCAB);
    for (size_t i = 0; i < VOCAB; i++) want[i] = (ref_val){ logits[i], logits[i] == x->v[i] ? 0.0 : 1e-6 * (4.0 + fabs(logits[i])) };
    bench_in_copy(b, "ids", FND_U32, fnd_shape1(PLACES), ids);
    bench_in_copy(b, "counts", FND_U32, fnd_shape1(PLACES), counts);
    bench_in_copy(b, "bias", FND_F32, fnd_shape1(PLACES), bias);
    y = bench_out(b, "adjusted", FND_F32, fnd_shape2(1, VOCAB));
    bench_f32(b, "repeat", 1.3f);
    bench_f32(b, "presence", 0.25f);
    bench_f32(b, "frequency", 0.125f);
    if (bench_run(b, "sample_penalize")) bench_compare(b, y, want, "sample_penalize");
    free(logits);
    free(want);
    bench_clear(b);
}

/* Candidates of 7 slices; some of the vocabulary stays. */
static void check_typical(kernel_bench *b, double typical_p, uint32_t top_k) {
    enum { SLICES = 7,
           PER_SLICE = 48,
           VOCAB = SLICES * PER_SLICE };
    float logits[VOCAB];
    unsigned char stays[VOCAB];
    for (size_t i = 0; i < VOCAB; i++) logits[i] = 0.25f * (float)bench_below(40);
    typical_ref(&(sample_ref_desc){ .logits = logits, .vocab = VOCAB, .top_k = top_k, .typical_p = typical_p, .temperature = 1 }, stays);
    bench_tensor *kept = bench_inout_copy(b, "kept", FND_F32, fnd_shape2(SLICES, PER_SLICE), logits);
    bench_u32(b, "top_k", top_k);
    bench_f32(b, "typical_p", (float)typical_p);
    if (bench_run(b, "sample_typical")) {
        size_t wrong = 0;
        for (size_t i = 0; i < VOCAB; i++) wrong += stays[i] ? kept->v[i] != (double)logits[i] : kept->v[i] != -INFINITY;
        CHECK_MSG(wrong == 0, "%s typical %g of the top %u: %zu candidates are wrong", b->label, typical_p, top_k, wrong);
    }
    bench_clear(b);
}

static void bench_sampling(kernel_bench *b, const sample_ref_desc *d) {
    bench_u32(b, "top_k", (uint32_t)d->top_k);
    bench_f32(b, "top_p", (float)d->top_p);
    bench_f32(b, "min_p", (float)d->min_p);
    bench_f32(b, "temperature", (float)d->temperature);
    bench_u32(b, "seed", (uint32_t)d->seed);
    bench_u32(b, "seed_high", (uint32_t)(d->seed >> 32));
    bench_u32(b, "position", d->position);
}

static void check_sample(kernel_bench *b, const sample_ref_desc *d, size_t slices) {
    size_t whole = (d->vocab + slices - 1) / slices, per_slice = d->top_k && d->top_k < whole ? d->top_k : whole;
    bench_in_copy(b, "logits", FND_F32, fnd_shape2(1, d->vocab), d->logits);
    const bench_tensor *kept = bench_out(b, "kept", FND_F32, fnd_shape2(slices, per_slice)), *kept_ids = bench_out(b, "kept_ids", FND_U32, fnd_shape2(slices, per_slice));
    bool ran = bench_run(b, "sample_partial");
    float *value = calloc(slices * per_slice, sizeof *value);
    uint32_t *id = calloc(slices * per_slice, sizeof *id);
    if (!value || !id) abort();
    for (size_t i = 0; ran && i < slices * per_slice; i++) {
        value[i] = (float)kept->v[i];
        id[i] = (uint32_t)kept_ids->v[i];
    }
    bench_clear(b);
    bench_in_copy(b, "kept", FND_F32, fnd_shape2(slices, per_slice), value);
    bench_in_copy(b, "kept_ids", FND_U32, fnd_shape2(slices, per_slice), id);
    bench_out(b, "near_logits", FND_F32, fnd_shape1(64));
    bench_out(b, "near_ids", FND_U32, fnd_shape1(64));
    const bench_tensor *chosen = bench_out(b, "id", FND_U32, fnd_shape1(1));
    bench_sampling(b, d);
    uint32_t want = sample_ref(d);
    if (ran && bench_run(b, "sample_pick")) {
        CHECK_MSG(chosen->v[0] == (double)want, "%s sample: k %zu p %g min %g t %g of %zu in %zu: chose %g instead of %u", b->label, d->top_k, d->top_p, d->min_p, d->temperature, d->vocab, slices, chosen->v[0], want);
    }
    free(value);
    free(id);
    bench_clear(b);
}

TEST(kernels_sample) {
    static const double settings[][4] = { /* k, p, min p, temperature */
                                          { 0, 1, 0, 0 },
                                          { 0, 1, 0, 1 },
                                          { 40, 1, 0, 0.8 },
                                          { 5, 0.9, 0, 1.5 },
                                          { 0, 0.5, 0.1, 1 },
                                          { 40, 0.95, 0.05, 0.8 },
                                          { 1, 1, 0, 2 }
    };
    enum { VOCAB = 1003 };
    float logits[VOCAB];
    ON_EVERY_DEVICE(b) {
        check_penalize(&b);
        check_typical(&b, 0.2, 0);
        check_typical(&b, 0.9, 0);
        check_typical(&b, 0.5, 100);
        check_typical(&b, 1.0, 20);
        for (size_t n = 0; n < 3 * sizeof settings / sizeof *settings; n++) {
            const double *s = settings[n / 3];
            for (size_t i = 0; i < VOCAB; i++) logits[i] = 6.0f * bench_uniform();
            sample_ref_desc d = { .logits = logits, .vocab = n % 3 ? VOCAB : 33, .top_k = (size_t)s[0], .top_p = s[1], .min_p = s[2], .temperature = s[3], .seed = 0x123456789abcull + n, .position = (uint32_t)n };
            check_sample(&b, &d, n % 3 == 1 ? 1 : 5);
        }
    }
}
