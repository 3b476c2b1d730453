/* test_kernel_texts.c - the texts of attention, rope, embed, elementwise and sample kernels, as the
 * system's C compiler makes them for one lane: the portable texts, and those for this CPU at two
 * widths of vectors. Against naive f64 references, at ragged shapes, outputs poisoned with NaN. */
#include "kernel_texts.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/attention/attention_ref.h"
#include "kernels/sample/sample_ref.h"
#include "kv_cache.h"

/* ---- numbers --------------------------------------------------------------------------------- */
static uint32_t state = 1;
static uint32_t draw(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}
static float uniform(void) { return (float)draw() / 8388608.0f - 1.0f; } /* [-1, 1) */

static float *floats(size_t count) {
    float *v = malloc((count ? count : 1) * sizeof *v);
    if (!v) abort();
    for (size_t i = 0; i < count; i++) v[i] = uniform();
    return v;
}
static float *poison(size_t count) {
    float *v = floats(count);
    for (size_t i = 0; i < count; i++) v[i] = NAN;
    return v;
}
static double *doubles(size_t count) {
    double *v = calloc(count ? count : 1, sizeof *v);
    if (!v) abort();
    return v;
}
/* The largest |got - want| / (weight + floor); a NaN gives infinity. */
static double worst(const float *got, const double *want, const double *weight, double floor, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - want[i]) / ((weight ? weight[i] : fabs(want[i])) + floor);
        if (!(error <= most)) most = isnan(error) ? INFINITY : error;
    }
    return most;
}

/* ---- embed, elementwise, rows ---------------------------------------------------------------- */
static void embed_shape(const texts *t, uint32_t groups, uint32_t policy, uint32_t format, uint32_t dim) {
    enum { VOCAB = 11,
           TOKENS = 5 };
    const uint32_t ids[TOKENS] = { 3, 0, 10, 3, 4000000000u }, dims[3] = { TOKENS, dim, VOCAB };
    size_t row_bytes = policy ? dim / 32 * 34 : dim * 4;
    uint8_t *w = malloc(VOCAB * row_bytes);
    float *y = poison(TOKENS * dim);
    if (!w) abort();
    for (size_t i = 0; i < VOCAB * row_bytes; i++) w[i] = (uint8_t)(draw() & (policy ? 0xff : 0x3f));
    for (size_t b = 0; policy && b < VOCAB * dim / 32; b++) w[34 * b + 1] &= 0x3b; /* scales: finite, positive */
    t->kt_embed(groups, policy, (kt_act){ y, format }, ids, w, dims);
    double most = 0;
    for (uint32_t m = 0; m < TOKENS; m++) {
        for (uint32_t i = 0; i < dim; i++) {
            uint32_t id = ids[m] < VOCAB ? ids[m] : VOCAB - 1;
            double want, got = format == 1 ? (double)y[m * dim + i] : kv_half_value(((uint16_t *)y)[m * dim + i]);
            float single;
            memcpy(&single, w + id * row_bytes + 4 * (policy ? 0 : i), 4);
            const uint8_t *block = w + id * row_bytes + i / 32 * 34;
            want = policy ? kv_half_value((uint16_t)(block[0] | block[1] << 8)) * (int8_t)block[2 + i % 32] : (double)single;
            double error = fabs(got - want) / (fabs(want) + 1e-4);
            most = !(error <= most) ? (isnan(error) ? INFINITY : error) : most;
        }
    }
    CHECK_MSG(most <= (format == 1 ? 1e-6 : 6e-4), "%s: embed policy %u dim %u format %u: %g", t->machine, policy, dim, format, most);
    free(w);
    free(y);
}
TEST(kernel_text_embed) {
    EACH_MACHINE(t) {
        for (uint32_t groups = 1; groups < 4; groups++) {
            embed_shape(t, groups, 0, 1, 1);
            embed_shape(t, groups, 0, 1, 33);
            embed_shape(t, groups, 0, 1, 576);
            embed_shape(t, groups, 1, 1, 96);
            embed_shape(t, groups, 1, 2, 896);
        }
    }
}

TEST(kernel_text_take_and_scale) {
    EACH_MACHINE(t) {
        for (uint32_t n = 1; n < 70; n += 17) {
            float *x = floats(3 * n), *y = poison(3 * n);
            t->kt_take((kt_act){ x, 1 }, 0.37f, y, 3, n);
            for (uint32_t i = 0; i < 3 * n; i++) CHECK(y[i] == x[i] * 0.37f);
            free(x);
            free(y);
        }
    }
}

/* f32 rows stored as every format; Q8_0 read back by hand. */
TEST(kernel_text_put_rows) {
    EACH_MACHINE(t) {
        for (uint32_t dim = 32; dim <= 160; dim += 64) {
            float *x = floats(3 * dim), *y = poison(3 * dim), *row = poison(dim);
            t->kt_rows((kt_act){ x, 1 }, (kt_act){ y, 1 }, row, 0, 3, dim);
            for (uint32_t i = 0; i < 3 * dim; i++) CHECK(y[i] == x[i]);
            t->kt_rows((kt_act){ x, 1 }, (kt_act){ y, 2 }, row, 0, 3, dim);
            for (uint32_t i = 0; i < 3 * dim; i++) CHECK(kv_half_value(((uint16_t *)y)[i]) == kv_half_value(kv_half_bits((double)x[i])));
            t->kt_rows((kt_act){ x, 1 }, (kt_act){ y, 4 }, row, 0, 3, dim);
            for (uint32_t i = 0; i < 3 * dim; i++) {
                const uint8_t *block = (uint8_t *)y + i / 32 * 34;
                double d = kv_half_value((uint16_t)(block[0] | block[1] << 8));
                CHECK(fabs(d * (int8_t)block[2 + i % 32] - (double)x[i]) <= 0.58 * d);
            }
            free(x);
            free(y);
            free(row);
        }
    }
}

/* ---- rope ------------------------------------------------------------------------------------ */
TEST(kernel_text_sincos) {
    EACH_MACHINE(t) {
        double most = 0;
        for (int i = 0; i < 200000; i++) {
            int32_t position = (int32_t)(draw() % 1000000u) * (draw() & 1 ? 1 : -1);
            float frequency = powf(10.0f, 4.0f * uniform() - 4.0f) * (draw() & 7 ? 1.0f : 0.0f), got[2] = { NAN, NAN };
            if (i % 3 == 0) frequency = 1.0f;
            t->kt_sincos(position, frequency, got);
            double angle = (double)position * (double)frequency;
            double error = fmax(fabs((double)got[0] - sin(angle)), fabs((double)got[1] - cos(angle)));
            if (isnan(got[0]) || isnan(got[1])) error = INFINITY;
            most = fmax(most, error);
        }
        CHECK_MSG(most <= 2e-7, "%s: %g", t->machine, most);
    }
}

static float *frequencies(uint32_t half, double base) {
    float *f = floats(half);
    for (uint32_t i = 0; i < half; i++) f[i] = (float)pow(base, -(double)i / half);
    return f;
}

TEST(kernel_text_rope) {
    EACH_MACHINE(t) {
        for (uint32_t pairing = 0; pairing < 2; pairing++) {
            const uint32_t dims[3] = { 5, 3, 48 };
            const int32_t positions[5] = { 0, 1, 77, 4095, 131071 };
            size_t count = 5 * 3 * 48;
            for (uint32_t half = 10; half <= 24; half += 14) {
                kt_rope r = { frequencies(half, 1e6), half, pairing, 1.25f };
                rope_ref_params p = { r.inv_freq, half, pairing, 1.25 };
                float *x = floats(count);
                double *want = doubles(count);
                for (size_t i = 0; i < count; i++) want[i] = (double)x[i];
                for (size_t h = 0; h < 15; h++) rope_ref(&p, want + 48 * h, positions[h / 3]);
                t->kt_rope_stage(2, (kt_act){ x, 1 }, positions, r, dims);
                double error = worst(x, want, NULL, 1.0, count);
                CHECK_MSG(error <= 1e-6, "%s: pairing %u half %u: %g", t->machine, pairing, half, error);
                free(x);
                free(want);
                free((void *)(uintptr_t)r.inv_freq);
            }
        }
    }
}

/* ---- attention ------------------------------------------------------------------------------- */
typedef struct scene {
    kt_rope r;
    kt_cache c;
    kt_qkv in;
    double *keys, *values; /* [positions, kv_heads, head_dim] as the cache has them */
    kv_cache_layout k, v;
} scene;

static const fnd_format cache_formats[] = { FND_F16, FND_F32, FND_Q8_0 };
enum { CACHE_FORMATS = 3 };

/* `pos` positions of a cache, random, into `values` too. */
static void *new_cache(const kv_cache_layout *c, size_t pos, double *values) {
    void *cache = malloc(kv_cache_bytes(c));
    if (!cache) abort();
    kv_cache_poison(c, cache);
    for (size_t i = 0; i < pos * c->kv_heads; i++) {
        double *row = values + i * c->head_dim;
        for (size_t d = 0; d < c->head_dim; d++) row[d] = (double)uniform();
        kv_cache_put(c, cache, i / c->kv_heads, i % c->kv_heads, row);
    }
    return cache;
}

/* A cache full of NaN with `pos` positions written, and `tokens` new rows. */
static scene scene_new(fnd_format format, uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t pos, uint32_t tokens) {
    scene s = { .r = { frequencies(head_dim / 2, 1e4), head_dim / 2, heads & 1, 1.0f } };
    uint32_t blocks = (pos + tokens + 15) / 16, row = kv_heads * head_dim;
    s.k = (kv_cache_layout){ format, blocks, kv_heads, head_dim, true };
    s.v = (kv_cache_layout){ format, blocks, kv_heads, head_dim, false };
    s.in = (kt_qkv){ floats((size_t)tokens * heads * head_dim), floats((size_t)tokens * row), floats((size_t)tokens * row),
                     tokens, heads, pos, 3.0f / sqrtf((float)head_dim) };
    s.keys = doubles((size_t)(pos + tokens) * row);
    s.values = doubles((size_t)(pos + tokens) * row);
    /* numbers of act.h */
    uint32_t number = format == FND_F32 ? 1 : format == FND_F16 ? 2
                                                                : 4;
    s.c = (kt_cache){ new_cache(&s.k, pos, s.keys), new_cache(&s.v, pos, s.values), number, blocks, kv_heads, head_dim };
    return s;
}
static void scene_free(scene *s) {
    void *all[] = { s->c.k, s->c.v, s->keys, s->values, (void *)(uintptr_t)s->in.q, (void *)(uintptr_t)s->in.k,
                    (void *)(uintptr_t)s->in.v, (void *)(uintptr_t)s->r.inv_freq };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* How far a row of a cache is from `row`, relative to what rounding may do; then `row` is as the cache has it. */
static double row_off(const kv_cache_layout *c, const void *cache, size_t position, size_t head, double *row) {
    double off = 0, was[256];
    memcpy(was, row, c->head_dim * sizeof *was);
    for (size_t d = 0; d < c->head_dim; d++) {
        row[d] = kv_cache_get(c, cache, position, head, d);
        double error = fabs(row[d] - was[d]) / kv_cache_rounding(c->format, was[d], kv_cache_most(c->format, was, d));
        off = isnan(error) ? INFINITY : fmax(off, error);
    }
    return off;
}

/* The new rows of the cache against rotated keys and plain values, then into keys and values; what
 * nobody wrote must still be NaN. At most 1 where it is right. */
static double check_written(scene *s) {
    double most = 0;
    size_t dim = s->c.head_dim, kv_heads = s->c.kv_heads, used = s->in.pos + s->in.tokens;
    rope_ref_params p = { s->r.inv_freq, s->r.pairs, s->r.pairing, (double)s->r.mscale };
    for (size_t m = 0; m < s->in.tokens; m++) {
        for (size_t h = 0; h < kv_heads; h++) {
            size_t at = ((s->in.pos + m) * kv_heads + h) * dim, from = (m * kv_heads + h) * dim;
            for (size_t d = 0; d < dim; d++) s->keys[at + d] = (double)s->in.k[from + d], s->values[at + d] = (double)s->in.v[from + d];
            rope_ref(&p, s->keys + at, (long)(s->in.pos + m));
            if (s->k.format == FND_Q8_0) spread_ref(s->keys + at, dim);
            most = fmax(most, row_off(&s->k, s->c.k, s->in.pos + m, h, s->keys + at));
            most = fmax(most, row_off(&s->v, s->c.v, s->in.pos + m, h, s->values + at));
        }
    }
    for (size_t i = used * kv_heads; i < 16 * s->k.blocks * kv_heads; i++) {
        for (size_t d = 0; d < dim; d++) {
            if (!isnan(kv_cache_get(&s->k, s->c.k, i / kv_heads, i % kv_heads, d)) || !isnan(kv_cache_get(&s->v, s->c.v, i / kv_heads, i % kv_heads, d))) most = INFINITY;
        }
    }
    return most;
}

static double check_attention(const scene *s, const float *y, bool codes) {
    size_t count = (size_t)s->in.tokens * s->in.heads * s->c.head_dim;
    double *want = doubles(count), *weight = doubles(count), *slack = doubles(count), error = 0;
    attention_ref_desc d = { .q = s->in.q, .keys = s->keys, .values = s->values, .tokens = s->in.tokens, .heads = s->in.heads, .kv_heads = s->c.kv_heads, .head_dim = s->c.head_dim, .pos = s->in.pos, .scale = (double)s->in.scale, .rope = { s->r.inv_freq, s->r.pairs, s->r.pairing, (double)s->r.mscale }, .spread = s->k.format == FND_Q8_0, .codes = codes && s->k.format == FND_Q8_0, .slack = slack };
    attention_ref(&d, want, weight);
    for (size_t i = 0; i < count; i++) {
        double off = (fabs((double)y[i] - want[i]) - slack[i]) / (weight[i] + 1e-6);
        error = isnan(off) ? INFINITY : fmax(error, off);
    }
    free(want);
    free(weight);
    free(slack);
    return error;
}

typedef struct shape {
    uint32_t heads, kv_heads, head_dim;
} shape;
static const shape shapes[] = { { 3, 1, 64 }, { 9, 3, 64 }, { 14, 2, 64 }, { 12, 2, 128 }, { 2, 2, 80 }, { 16, 1, 256 }, { 5, 5, 16 }, { 11, 1, 32 } };

static bool has_format(shape a, fnd_format format) { return format != FND_Q8_0 || a.head_dim % 32 == 0; }

static void prefill_shape(const texts *t, fnd_format format, shape a, uint32_t pos, uint32_t tokens, uint32_t groups) {
    scene s = scene_new(format, a.heads, a.kv_heads, a.head_dim, pos, tokens);
    float *y = poison((size_t)tokens * a.heads * a.head_dim);
    t->kt_kv_write(groups, s.in, s.r, s.c);
    double written = check_written(&s);
    t->kt_attention(groups, s.in, s.r, s.c, y);
    double error = check_attention(&s, y, t->codes);
    CHECK_MSG(written <= 1, "%s: kv_write %s heads %u/%u of %u, pos %u, tokens %u: %g", t->machine, fnd_format_get(format)->name, a.heads, a.kv_heads, a.head_dim, pos, tokens, written);
    double allowed = t->panels && format != FND_Q8_0 && a.head_dim % 32 == 0 ? 3e-5 : 3e-6; /* two bf16 hold 16 digits: attention/panel.cpu.h */
    CHECK_MSG(error <= allowed, "%s: attention %s heads %u/%u of %u, pos %u, tokens %u: %g", t->machine, fnd_format_get(format)->name, a.heads, a.kv_heads, a.head_dim, pos, tokens, error);
    free(y);
    scene_free(&s);
}
TEST(kernel_text_attention_prefill) {
    EACH_MACHINE(t) {
        for (size_t n = 0; n < CACHE_FORMATS * sizeof shapes / sizeof *shapes; n++) {
            size_t i = n / CACHE_FORMATS;
            fnd_format format = cache_formats[n % CACHE_FORMATS];
            if (!has_format(shapes[i], format)) continue;
            static const uint32_t runs[][2] = { { 0, 1 }, { 0, 17 }, { 5, 3 }, { 16, 16 }, { 31, 33 }, { 127, 2 }, { 100, 70 } };
            for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
                if (format != FND_F16 && (k + i) % 3) continue; /* some of each */
                prefill_shape(t, format, shapes[i], runs[k][0], runs[k][1], 1 + (uint32_t)(k % 3));
            }
        }
        for (size_t n = 0; n < CACHE_FORMATS; n++) prefill_shape(t, cache_formats[n], shapes[1], 0, 300, 2);
    }
}

static void decode_shape(const texts *t, fnd_format format, shape a, uint32_t pos, uint32_t splits, uint32_t groups) {
    scene s = scene_new(format, a.heads, a.kv_heads, a.head_dim, pos, 1);
    const uint32_t dims[4] = { 1, a.heads, splits, a.heads * a.head_dim };
    float *y = poison((size_t)a.heads * a.head_dim), *part = poison((size_t)a.heads * splits * (a.head_dim + 2));
    t->kt_attention_decode(groups, s.in, s.r, s.c, part, splits);
    t->kt_attention_merge(part, y, dims);
    double written = check_written(&s), error = check_attention(&s, y, t->codes);
    CHECK_MSG(written <= 1 && error <= 3e-6, "%s: %s heads %u/%u of %u, pos %u, splits %u: %g %g", t->machine, fnd_format_get(format)->name, a.heads, a.kv_heads, a.head_dim, pos,
              splits, written, error);
    free(y);
    free(part);
    scene_free(&s);
}
TEST(kernel_text_attention_decode) {
    EACH_MACHINE(t) {
        for (size_t n = 0; n < CACHE_FORMATS * sizeof shapes / sizeof *shapes; n++) {
            size_t i = n / CACHE_FORMATS;
            fnd_format format = cache_formats[n % CACHE_FORMATS];
            if (!has_format(shapes[i], format)) continue;
            static const uint32_t at[] = { 0, 1, 15, 16, 31, 63, 64, 130, 500 };
            for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
                if (format != FND_F16 && (k + i) % 4) continue; /* some of each */
                for (uint32_t splits = 1; splits <= 5; splits += 2) decode_shape(t, format, shapes[i], at[k], splits, 1 + (uint32_t)(k % 3));
            }
        }
    }
}

/* Drop positions keep .. keep + drop - 1: later keys are turned back, values are as they were, everything
 * else stays as it is. */
static void shift_case(const texts *t, fnd_format format, shape a, uint32_t pos, uint32_t keep, uint32_t drop, uint32_t groups) {
    scene s = scene_new(format, a.heads, a.kv_heads, a.head_dim, pos, 0);
    double head[256], worst_key = 0;
    size_t wrong = 0;
    rope_ref_params p = { s.r.inv_freq, s.r.pairs, s.r.pairing, 1 };
    t->kt_kv_shift(groups, s.r, s.c, (const uint32_t[]){ keep, drop, pos });
    for (size_t i = 0; i < pos; i++) {
        size_t from = i < keep || i >= pos - drop ? i : i + drop;
        for (size_t h = 0; h < a.kv_heads; h++) {
            size_t at = (from * a.kv_heads + h) * a.head_dim;
            memcpy(head, s.keys + at, a.head_dim * sizeof *head);
            if (format == FND_Q8_0) spread_ref(head, a.head_dim);
            if (from != i) rope_ref(&p, head, -(long)drop);
            if (format == FND_Q8_0) spread_ref(head, a.head_dim);
            worst_key = fmax(worst_key, row_off(&s.k, s.c.k, i, h, head));
            for (size_t d = 0; d < a.head_dim; d++) wrong += kv_cache_get(&s.v, s.c.v, i, h, d) != s.values[at + d];
        }
    }
    CHECK_MSG(worst_key <= 1 && wrong == 0, "%s: shift %s %u/%u of %u, pos %u, keep %u, drop %u: keys off by %g of what is allowed, %zu values wrong", t->machine, fnd_format_get(format)->name, a.heads, a.kv_heads, a.head_dim, pos, keep, drop, worst_key, wrong);
    scene_free(&s);
}
TEST(kernel_text_kv_shift) {
    static const uint32_t cases[][3] = { { 40, 0, 16 }, { 41, 3, 16 }, { 64, 16, 32 }, { 100, 33, 48 }, { 100, 5, 80 }, { 32, 10, 16 }, { 48, 32, 16 }, { 17, 1, 16 } };
    EACH_MACHINE(t) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const uint32_t *c = cases[i % (sizeof cases / sizeof *cases)];
            for (uint32_t n = 0; n < CACHE_FORMATS; n++) {
                if (has_format(shapes[i], cache_formats[n])) shift_case(t, cache_formats[n], shapes[i], c[0], c[1], c[2], 1 + 2 * n);
            }
        }
    }
}

/* ---- sampling -------------------------------------------------------------------------------- */
TEST(kernel_text_argmax) {
    EACH_MACHINE(t) {
        for (uint32_t vocab = 1; vocab < 3000; vocab = vocab * 3 + 2) {
            float *logits = floats(2 * vocab);
            for (uint32_t i = 0; i < 2 * vocab; i++) logits[i] = (float)(draw() % 40) - 50.0f; /* many equals */
            if (vocab > 2) logits[vocab / 2] = NAN;
            for (uint32_t slices = 1; slices < 70; slices += 13) {
                uint32_t id[2] = { 99999, 99999 };
                t->kt_argmax(1 + slices % 3, logits, 2, vocab, slices, id);
                for (uint32_t m = 0; m < 2; m++) {
                    uint32_t best = 0;
                    for (uint32_t i = 0; i < vocab; i++) best = logits[m * vocab + i] > logits[m * vocab + best] ? i : best;
                    CHECK_MSG(id[m] == best, "%s: vocab %u, %u slices: %u, not %u", t->machine, vocab, slices, id[m], best);
                }
            }
            free(logits);
        }
    }
}

/* Logits as models give them: most far below a few; some equal. */
static float *model_logits(uint32_t vocab, float spread) {
    float *logits = floats(vocab);
    for (uint32_t i = 0; i < vocab; i++) {
        logits[i] = roundf(64.0f * spread * (uniform() + uniform() + uniform() + uniform())) / 64.0f;
    }
    return logits;
}

static void sample_case(const texts *t, const float *logits, uint32_t vocab, kt_sample s) {
    sample_ref_desc d = { logits, vocab, s.top_k, 1.0, (double)s.top_p, (double)s.min_p, (double)s.temperature,
                          (uint64_t)s.seed_high << 32 | s.seed, s.position };
    uint32_t want = sample_ref(&d);
    static const uint32_t geometry[][2] = { { 1, 1 }, { 2, 3 }, { 5, 16 } };
    for (size_t i = 0; i < 3; i++) {
        uint32_t id = 0xffffffffu;
        t->kt_sample_token(geometry[i][0], logits, vocab, geometry[i][1], s.top_k > 64 ? s.top_k : 64, s, &id);
        CHECK_MSG(id == want, "%s: vocab %u, top_k %u, top_p %g, min_p %g, temperature %g: %u, not %u", t->machine, vocab, s.top_k,
                  (double)s.top_p, (double)s.min_p, (double)s.temperature, id, want);
    }
}
TEST(kernel_text_sample) {
    EACH_MACHINE(t) {
        static const kt_sample kinds[] = { { 40, 0.95f, 0.05f, 0.8f, 1, 0, 0 }, { 0, 1, 0, 1, 2, 5, 0 }, { 0, 0.9f, 0, 1.5f, 3, 0, 0 }, { 7, 1, 0, 0.7f, 4, 0, 0 }, { 0, 1, 0.1f, 1, 5, 0, 0 }, { 1, 0.5f, 0, 1, 6, 0, 0 }, { 0, 0.3f, 0.2f, 0, 7, 9, 0 }, { 3000, 0.99f, 0, 2, 8, 0, 0 } };
        static const uint32_t vocabs[] = { 1, 2, 33, 1000, 5000 };
        for (size_t v = 0; v < sizeof vocabs / sizeof *vocabs; v++) {
            for (int wide = 0; wide < 2; wide++) {
                float *logits = model_logits(vocabs[v], wide ? 8.0f : 0.5f);
                for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                    for (uint32_t position = 0; position < 12; position++) {
                        kt_sample s = kinds[i];
                        s.position = position;
                        sample_case(t, logits, vocabs[v], s);
                    }
                }
                free(logits);
            }
        }
    }
}

/* Frequencies of 20,000 draws against probabilities. */
TEST(kernel_text_sample_is_fair) {
    EACH_MACHINE(t) {
        const float logits[5] = { 0.0f, 1.0f, -1.0f, 2.0f, 0.5f };
        double total = 0;
        uint32_t seen[5] = { 0 };
        for (int i = 0; i < 5; i++) total += exp((double)logits[i]);
        for (uint32_t i = 0; i < 20000; i++) {
            uint32_t id = 9;
            t->kt_sample_token(1, logits, 5, 1, 16, (kt_sample){ 0, 1, 0, 1, 11, 0, i }, &id);
            if (id < 5) seen[id]++;
        }
        for (int i = 0; i < 5; i++) {
            double p = exp((double)logits[i]) / total, error = fabs(seen[i] / 20000.0 - p);
            CHECK_MSG(error <= 4 * sqrt(p * (1 - p) / 20000), "%s: token %d drawn %u times, probability %g", t->machine, i, seen[i], p);
        }
    }
}

TEST(kernel_text_penalize) {
    EACH_MACHINE(t) {
        const float logits[6] = { 1, -1, 2, -2, 3, 0 }, penalties[3] = { 2, 0.5f, 0.25f };
        const uint32_t ids[5] = { 4, 1, 2, 77, 0 }, counts[5] = { 3, 1, 0, 2, 1 };
        const float bias[5] = { 1, 0, -INFINITY, 5, 0 }, want[6] = { -0.25f, -2.75f, -INFINITY, -2, 0.75f, 0 };
        for (uint32_t groups = 1; groups < 8; groups += 3) {
            float adjusted[6];
            t->kt_penalize(groups, logits, 6, (kt_places){ ids, counts, bias, 5 }, penalties, adjusted);
            for (int i = 0; i < 6; i++) CHECK_MSG(adjusted[i] == want[i], "%s: %d: %g, not %g", t->machine, i, (double)adjusted[i], (double)want[i]);
        }
    }
}

/* What typical_p leaves, of all or of the top-k. */
static void typical_case(const texts *t, const float *logits, uint32_t count, double typical_p, uint32_t top_k) {
    unsigned char *stays = malloc(count);
    float *kept = malloc(count * sizeof *kept);
    size_t wrong = 0, left = 0;
    if (!stays || !kept) abort();
    memcpy(kept, logits, count * sizeof *kept);
    typical_ref(&(sample_ref_desc){ .logits = logits, .vocab = count, .top_k = top_k, .typical_p = typical_p, .temperature = 1 }, stays);
    t->kt_typical(2, kept, 1, count, top_k, (float)typical_p);
    for (uint32_t i = 0; i < count; i++) {
        left += stays[i];
        wrong += stays[i] ? kept[i] != logits[i] : kept[i] != -INFINITY;
    }
    CHECK_MSG(wrong == 0, "%s: typical %g of %u, top %u, leaves %zu: %zu are wrong", t->machine, typical_p, count, top_k, left, wrong);
    free(stays);
    free(kept);
}
TEST(kernel_text_typical) {
    static const double shares[] = { 0.05, 0.2, 0.5, 0.7, 0.9, 0.99, 1 };
    static const uint32_t counts[] = { 1, 2, 33, 1000 };
    EACH_MACHINE(t) {
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
            for (int wide = 0; wide < 2; wide++) {
                float *logits = model_logits(counts[n], wide ? 8.0f : 0.5f);
                for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
                    for (uint32_t top_k = 0; top_k < 60; top_k += 29) typical_case(t, logits, counts[n], shares[i], top_k);
                }
                free(logits);
            }
        }
    }
}

/* ---- tensors from nothing, softmax ----------------------------------------------------------- */
TEST(kernel_text_create) {
    EACH_MACHINE(t) {
        for (uint32_t groups = 1; groups < 4; groups++) {
            float y[150];
            int32_t whole[150];
            const uint32_t n[4] = { 5, 29, 0xa4093822u, 0x299f31d0u };
            t->kt_create(groups, (kt_act){ y, 1 }, whole, 0, (uint32_t[4]){ 149 });
            for (int i = 0; i < 149; i++) CHECK(y[i] == -2.5f + 0.25f * (float)i);
            t->kt_create(groups, (kt_act){ y, 1 }, whole, 1, (uint32_t[4]){ 149 });
            for (int i = 0; i < 149; i++) CHECK(whole[i] == 100 - 3 * i);
            t->kt_create(groups, (kt_act){ y, 1 }, whole, 2, n);
            for (int i = 0; i < 145; i++) CHECK(y[i] == 0.75f);
            t->kt_create(groups, (kt_act){ y, 1 }, whole, 3, n);
            for (int i = 0; i < 145; i++) CHECK(y[i] == 1.0f);
            t->kt_create(groups, (kt_act){ y, 1 }, whole, 4, n);
            for (uint32_t i = 0; i < 145; i++) {
                uint32_t words[4];
                philox_ref((const uint32_t[4]){ i / 4, 0, 7, 0 }, n + 2, words);
                CHECK(y[i] == ldexpf((float)(words[i % 4] >> 8), -24));
            }
            CHECK(y[145] == -2.5f + 0.25f * 145.0f); /* nothing behind the end was written */
        }
    }
}
/* The reference itself, against the numbers its authors publish (Random123, kat_vectors). */
TEST(kernel_text_philox_reference) {
    uint32_t words[4];
    philox_ref((const uint32_t[4]){ 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u }, (const uint32_t[2]){ 0xa4093822u, 0x299f31d0u }, words);
    CHECK(words[0] == 0xd16cfe09u && words[1] == 0x94fdccebu && words[2] == 0x5001e420u && words[3] == 0x24126ea1u);
}

TEST(kernel_text_kv_rearrange) {
    EACH_MACHINE(t) {
        const uint32_t dims[3] = { 7, 3, 40 }, back[3] = { 3, 7, 40 };
        float *x = floats(840), *y = poison(840), *z = poison(840);
        t->kt_kv_rearrange(2, (kt_act){ x, 1 }, (kt_act){ y, 1 }, dims);
        for (int i = 0; i < 840; i++) CHECK(y[(i / 40 % 3 * 7 + i / 120) * 40 + i % 40] == x[i]);
        t->kt_kv_rearrange(3, (kt_act){ y, 1 }, (kt_act){ z, 1 }, back);
        CHECK(memcmp(x, z, 840 * sizeof *x) == 0);
        free(x);
        free(y);
        free(z);
    }
}

TEST(kernel_text_softmax) {
    EACH_MACHINE(t) {
        for (uint32_t dim = 1; dim < 300; dim = 2 * dim + 3) {
            float *x = floats(2 * dim), *y = poison(2 * dim), *row = poison(dim);
            double *want = doubles(2 * dim);
            for (uint32_t i = 0; i < 2 * dim; i++) x[i] = x[i] * 20.0f + 300.0f;
            for (uint32_t m = 0; m < 2; m++) {
                double most = -INFINITY, total = 0;
                for (uint32_t i = 0; i < dim; i++) most = fmax(most, (double)x[m * dim + i]);
                for (uint32_t i = 0; i < dim; i++) total += want[m * dim + i] = exp((double)x[m * dim + i] - most);
                for (uint32_t i = 0; i < dim; i++) want[m * dim + i] /= total;
            }
            t->kt_rows((kt_act){ x, 1 }, (kt_act){ y, 1 }, row, 1, 2, dim);
            double error = worst(y, want, NULL, 1e-9, 2 * dim);
            CHECK_MSG(error <= 2e-6, "%s: dim %u: %g", t->machine, dim, error);
            free(x);
            free(y);
            free(row);
            free(want);
        }
    }
}
