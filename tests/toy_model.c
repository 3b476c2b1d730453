/* toy_model.c - see toy_model.h. */
#include "toy_model.h"
#include "gguf_writer.h"
#include "kernel_bench.h"
#include "kernels/attention/attention_ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double ROPE_BASE = 10000.0;
static const float EPS = 1e-5f;

static double *doubles(size_t count) {
    double *p = calloc(count, sizeof *p);
    if (!p) abort();
    return p;
}

/* ---- making and writing ---- */

/* A matrix in `format`, its weights of a size that keeps activations ordinary. */
static toy_matrix add_matrix(gguf_writer *w, const char *name, fnd_format format, uint64_t rows, uint64_t cols) {
    double *values, most = 2.0 / sqrt((double)cols);
    size_t bytes;
    unsigned char *data = bench_blocks_within(format ? format : FND_F32, rows, cols, 0.2 * most, most, &bytes, &values);
    gguf_add_tensor(w, name, format ? format : FND_F32, 2, (uint64_t[]){ cols, rows }, data, bytes);
    free(data);
    return (toy_matrix){ values, fnd_format_get(format ? format : FND_F32)->block_weights > 1 };
}

static double *add_vector(gguf_writer *w, const char *name, uint64_t count, float about, float spread) {
    float *v = calloc(count, sizeof *v);
    double *values = doubles(count);
    if (!v) abort();
    for (uint64_t i = 0; i < count; i++) {
        v[i] = about + spread * bench_uniform();
        values[i] = (double)v[i];
    }
    gguf_add_tensor(w, name, FND_F32, 1, &count, v, count * sizeof *v);
    free(v);
    return values;
}

static const char *layer_name(char text[64], uint32_t layer, const char *what) {
    snprintf(text, 64, "blk.%u.%s", layer, what);
    return text;
}

static fnd_format first_of(fnd_format a, fnd_format b, fnd_format c) { return a ? a : b ? b
                                                                                        : c; }

static bool is(const toy_desc *d, const char *architecture) { return strcmp(d->architecture, architecture) == 0; }

static toy_matrix rows_from(toy_matrix m, size_t row, size_t cols) { return (toy_matrix){ m.w + row * cols, m.codes }; }

static void add_layer(gguf_writer *w, toy_model *m, uint32_t i) {
    const toy_desc *d = &m->d;
    toy_layer *l = &m->layers[i];
    char name[64];
    bool last = i + 1 == d->layers, joined = is(d, "phi3");
    uint64_t q_dim = (uint64_t)d->heads * d->head_dim, kv_dim = (uint64_t)d->kv_heads * d->head_dim;
    fnd_format v = first_of(last ? d->last_v : FND_FORMAT_NONE, d->v, d->matrices), down = first_of(last ? d->last_down : FND_FORMAT_NONE, d->down, d->matrices);
    l->attn_norm = add_vector(w, layer_name(name, i, "attn_norm.weight"), d->dim, 1.0f, 0.3f);
    l->ffn_norm = add_vector(w, layer_name(name, i, "ffn_norm.weight"), d->dim, 1.0f, 0.3f);
    if (joined) {
        l->q = add_matrix(w, layer_name(name, i, "attn_qkv.weight"), d->matrices, q_dim + 2 * kv_dim, d->dim);
        l->k = rows_from(l->q, q_dim, d->dim);
        l->v = rows_from(l->k, kv_dim, d->dim);
    } else {
        l->q = add_matrix(w, layer_name(name, i, "attn_q.weight"), d->matrices, q_dim, d->dim);
        l->k = add_matrix(w, layer_name(name, i, "attn_k.weight"), d->matrices, kv_dim, d->dim);
        l->v = add_matrix(w, layer_name(name, i, "attn_v.weight"), v, kv_dim, d->dim);
    }
    l->o = add_matrix(w, layer_name(name, i, "attn_output.weight"), d->matrices, d->dim, q_dim);
    if (!joined) l->gate = add_matrix(w, layer_name(name, i, "ffn_gate.weight"), d->matrices, d->hidden_dim, d->dim);
    l->up = add_matrix(w, layer_name(name, i, "ffn_up.weight"), d->matrices, (joined ? 2 : 1) * d->hidden_dim, d->dim);
    if (joined) l->gate = l->up, l->up = rows_from(l->gate, d->hidden_dim, d->dim);
    l->down = add_matrix(w, layer_name(name, i, "ffn_down.weight"), down, d->dim, d->hidden_dim);
    if (is(d, "qwen3")) {
        l->q_norm = add_vector(w, layer_name(name, i, "attn_q_norm.weight"), d->head_dim, 1.0f, 0.3f);
        l->k_norm = add_vector(w, layer_name(name, i, "attn_k_norm.weight"), d->head_dim, 1.0f, 0.3f);
    }
    if (!d->bias) return;
    if (joined) {
        l->q_bias = add_vector(w, layer_name(name, i, "attn_qkv.bias"), q_dim + 2 * kv_dim, 0.0f, 0.5f);
        l->k_bias = l->q_bias + q_dim;
        l->v_bias = l->k_bias + kv_dim;
        return;
    }
    l->q_bias = add_vector(w, layer_name(name, i, "attn_q.bias"), q_dim, 0.0f, 0.5f);
    l->k_bias = add_vector(w, layer_name(name, i, "attn_k.bias"), kv_dim, 0.0f, 0.5f);
    l->v_bias = add_vector(w, layer_name(name, i, "attn_v.bias"), kv_dim, 0.0f, 0.5f);
}

static void add_hyper(gguf_writer *w, const toy_desc *d, bool own_head_dim) {
    char key[96];
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = { { "block_count", d->layers }, { "embedding_length", d->dim }, { "feed_forward_length", d->hidden_dim }, { "attention.head_count", d->heads }, { "attention.head_count_kv", d->kv_heads }, { "context_length", d->context } };
    gguf_add_str(w, "general.architecture", d->architecture);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(key, sizeof key, "%s.%s", d->architecture, numbers[i].name);
        gguf_add_u32(w, key, numbers[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", d->architecture);
    gguf_add_f32(w, key, EPS);
    snprintf(key, sizeof key, "%s.attention.key_length", d->architecture);
    if (own_head_dim) gguf_add_u32(w, key, d->head_dim);
}

/* Divisors as LongRoPE has them: about 1 for the short, growing with the wavelength for the long. */
static void make_rope(toy_model *m) {
    const toy_desc *d = &m->d;
    m->rope = (toy_rope){ .scaling = d->scaling, .dim = d->rope_dim ? d->rope_dim : d->head_dim, .base = ROPE_BASE, .factor = d->factor, .original = d->original, .context = d->context, .untold = d->scaling_untold };
    for (uint32_t i = 0; i < m->rope.dim / 2 && d->scaling == TOY_LONGROPE; i++) {
        m->rope.short_divisor[i] = 1.1f + 0.1f * bench_uniform();
        m->rope.long_divisor[i] = 1.3f + 0.2f * bench_uniform() + 8.0f * (float)i / (float)m->rope.dim;
    }
}

void toy_make(toy_model *m, const toy_desc *d, const char *path) {
    gguf_writer w = { 0 };
    *m = (toy_model){ .d = *d };
    if (!d->head_dim) m->d.head_dim = d->dim / d->heads;
    add_hyper(&w, &m->d, d->head_dim != 0);
    make_rope(m);
    toy_rope_write(&m->rope, d->architecture, &w);
    gguf_add_byte_tokenizer(&w, "qwen2");
    m->embedding = add_matrix(&w, "token_embd.weight", d->embedding, TOY_VOCAB, d->dim);
    m->output_norm = add_vector(&w, "output_norm.weight", d->dim, 1.0f, 0.3f);
    m->head = d->untied ? add_matrix(&w, "output.weight", d->head, TOY_VOCAB, d->dim) : m->embedding;
    for (uint32_t i = 0; i < d->layers; i++) add_layer(&w, m, i);
    gguf_save(&w, path);
    gguf_free(&w);
}

void toy_free(toy_model *m) {
    for (uint32_t i = 0; i < m->d.layers; i++) {
        toy_layer *l = &m->layers[i];
        bool joined = is(&m->d, "phi3");
        double *const all[] = { l->attn_norm, l->ffn_norm, l->q.w, joined ? NULL : l->k.w, joined ? NULL : l->v.w, l->o.w, l->gate.w, joined ? NULL : l->up.w, l->down.w, l->q_bias, joined ? NULL : l->k_bias, joined ? NULL : l->v_bias, l->q_norm, l->k_norm };
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    }
    if (m->head.w != m->embedding.w) free(m->head.w);
    free(m->embedding.w);
    free(m->output_norm);
    *m = (toy_model){ .d = { .layers = 0 } };
}

/* ---- the forward pass, one token at a time ---- */

/* Values between two codes, nearly: rounding of 32 bits decides which code such a value becomes. They are
 * known by their number among all that a token's pass turns into codes. */
enum { TIES = 256 };
static const double NEARLY = 2e-3; /* of the distance between two codes */
typedef struct ties {
    size_t met[TIES], met_count;
    size_t other[TIES], other_count; /* these become the other code */
} ties;

static bool is_other(const ties *t, size_t index) {
    for (size_t i = 0; i < t->other_count; i++) {
        if (t->other[i] == index) return true;
    }
    return false;
}

static double code_of(double v, ties *t, size_t index) {
    double code = nearbyint(v);
    if (fabs(v - floor(v) - 0.5) > NEARLY) return code;
    if (t->met_count < TIES) t->met[t->met_count++] = index;
    return is_other(t, index) ? floor(v) + ceil(v) - code : code;
}

static double half(double v);

/* Values as 8-bit codes with a scale for every 32. */
static void to_codes(double *x, size_t cols, ties *t, size_t index, bool half_scale) {
    for (size_t first = 0; first < cols; first += 32) {
        double peak = 0.0;
        for (size_t k = first; k < first + 32; k++) peak = fmax(peak, fabs(x[k]));
        double scale = half_scale ? half(peak / 127.0) : peak / 127.0;
        for (size_t k = first; k < first + 32 && peak > 0.0; k++) x[k] = code_of(x[k] * 127.0 / peak, t, index + k) * scale;
    }
}

/* Codes, and codes of what those leave. A value between two codes is as near with either. */
static void to_two_codes(double *x, size_t cols) {
    for (size_t first = 0; first < cols; first += 32) {
        double rest[32], scale[2] = { 0 };
        for (size_t k = 0; k < 32; k++) scale[0] = fmax(scale[0], fabs(x[first + k]) / 127.0);
        for (size_t k = 0; k < 32; k++) rest[k] = scale[0] > 0.0 ? x[first + k] - scale[0] * nearbyint(x[first + k] / scale[0]) : 0.0;
        for (size_t k = 0; k < 32; k++) scale[1] = fmax(scale[1], fabs(rest[k]) / 127.0);
        for (size_t k = 0; k < 32; k++) x[first + k] -= scale[1] > 0.0 ? rest[k] - scale[1] * nearbyint(rest[k] / scale[1]) : 0.0;
    }
}

typedef struct pass {
    const toy_model *m;
    bool codes;
    double *keys[TOY_LAYERS], *values[TOY_LAYERS]; /* [positions, kv_dim] */
    double *x, *h, *q, *a, *gate, *up, *logits;    /* of the token */
    double *seen, *coded;                          /* what a product takes last, and as codes */
    size_t seen_count;                             /* values that became codes */
    ties ties;
    double frequencies[TOY_ROPE_PAIRS], mscale; /* of RoPE */
} pass;

/* y = W x + b */
static void multiply(pass *p, const toy_matrix *m, const double *bias, const double *x, size_t rows, size_t cols, double *y) {
    bool codes = p->codes && m->codes;
    if (codes && (p->seen_count == 0 || memcmp(p->seen, x, cols * sizeof *x) != 0)) { /* once for all that take it */
        memcpy(p->seen, x, cols * sizeof *x);
        memcpy(p->coded, x, cols * sizeof *x);
        to_codes(p->coded, cols, &p->ties, p->seen_count, false);
        p->seen_count += cols;
    }
    if (codes) x = p->coded;
    for (size_t r = 0; r < rows; r++) {
        y[r] = bias ? bias[r] : 0.0;
        for (size_t k = 0; k < cols; k++) y[r] += m->w[r * cols + k] * x[k];
    }
}

static void norm(const double *x, const double *gamma, size_t n, double *y) {
    double square = 0.0;
    for (size_t i = 0; i < n; i++) square += x[i] * x[i];
    for (size_t i = 0; i < n; i++) y[i] = x[i] / sqrt(square / (double)n + (double)EPS) * gamma[i];
}

/* To the nearest half, of those that are not subnormal. */
static double half(double v) {
    int exponent;
    if (v == 0.0) return 0.0;
    frexp(v, &exponent);
    double unit = ldexp(1.0, (exponent < -13 ? -13 : exponent) - 11);
    return nearbyint(v / unit) * unit;
}

/* As the cache keeps them. */
static void keep(pass *p, double *x, size_t count) {
    fnd_format kv = p->m->d.kv;
    if (kv == FND_Q8_0) {
        to_codes(x, count, &p->ties, p->seen_count, true);
        p->seen_count += count;
        return;
    }
    for (size_t n = 0; n < count; n++) x[n] = kv == FND_F32 ? (double)(float)x[n] : half(x[n]);
}

/* Heads of one token: normalised, each by itself, if there is a weight for it; then turned. */
static void turn_heads(const pass *p, double *x, size_t heads, const double *gamma, size_t position) {
    const toy_desc *d = &p->m->d;
    for (size_t n = 0; n < heads; n++) {
        double *head = x + n * d->head_dim;
        if (gamma) norm(head, gamma, d->head_dim, head);
        toy_rope_turn(p->frequencies, p->mscale, p->m->rope.dim, !is(d, "llama"), head, position);
    }
}

/* One head over positions 0 .. n - 1; keys and values are `pitch` apart. */
static void attend(const double *q, const double *keys, const double *values, size_t n, size_t dim, size_t pitch, double *y) {
    double *p = doubles(n), most = -INFINITY, total = 0.0;
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < dim; i++) p[k] += q[i] * keys[k * pitch + i] / sqrt((double)dim);
        most = fmax(most, p[k]);
    }
    for (size_t k = 0; k < n; k++) total += p[k] = exp(p[k] - most);
    for (size_t i = 0; i < dim; i++) {
        y[i] = 0.0;
        for (size_t k = 0; k < n; k++) y[i] += p[k] / total * values[k * pitch + i];
    }
    free(p);
}

static void run_layer(pass *p, uint32_t i, size_t position) {
    const toy_desc *d = &p->m->d;
    const toy_layer *l = &p->m->layers[i];
    size_t dim = d->dim, head_dim = d->head_dim, q_dim = d->heads * head_dim, kv_dim = d->kv_heads * head_dim;
    double *k = p->keys[i] + position * kv_dim, *v = p->values[i] + position * kv_dim;
    norm(p->x, l->attn_norm, dim, p->h);
    multiply(p, &l->q, l->q_bias, p->h, q_dim, dim, p->q);
    multiply(p, &l->k, l->k_bias, p->h, kv_dim, dim, k);
    multiply(p, &l->v, l->v_bias, p->h, kv_dim, dim, v);
    turn_heads(p, p->q, d->heads, l->q_norm, position);
    turn_heads(p, k, d->kv_heads, l->k_norm, position);
    if (d->kv == FND_Q8_0) {
        spread_ref(k, kv_dim);
        spread_ref(p->q, q_dim);
    }
    keep(p, k, kv_dim);
    keep(p, v, kv_dim);
    if (d->kv == FND_Q8_0 && p->codes) to_two_codes(p->q, q_dim);
    for (size_t head = 0; head < d->heads; head++) {
        size_t at = head / (d->heads / d->kv_heads) * head_dim;
        attend(p->q + head * head_dim, p->keys[i] + at, p->values[i] + at, position + 1, head_dim, kv_dim, p->a + head * head_dim);
    }
    multiply(p, &l->o, NULL, p->a, dim, q_dim, p->h);
    for (size_t n = 0; n < dim; n++) p->x[n] += p->h[n];
    norm(p->x, l->ffn_norm, dim, p->h);
    multiply(p, &l->gate, NULL, p->h, d->hidden_dim, dim, p->gate);
    multiply(p, &l->up, NULL, p->h, d->hidden_dim, dim, p->up);
    for (size_t n = 0; n < d->hidden_dim; n++) p->up[n] *= p->gate[n] / (1.0 + exp(-p->gate[n]));
    multiply(p, &l->down, NULL, p->up, dim, d->hidden_dim, p->h);
    for (size_t n = 0; n < dim; n++) p->x[n] += p->h[n];
}

static void begin(pass *p, const toy_model *m, bool codes, size_t positions) {
    const toy_desc *d = &m->d;
    size_t q_dim = d->heads * d->head_dim, kv_dim = d->kv_heads * d->head_dim, widest = d->dim + d->hidden_dim + q_dim;
    *p = (pass){ .m = m, .codes = codes, .seen = doubles(widest), .coded = doubles(widest), .x = doubles(d->dim), .h = doubles(d->dim), .q = doubles(q_dim), .a = doubles(q_dim), .gate = doubles(d->hidden_dim), .up = doubles(d->hidden_dim), .logits = doubles(TOY_VOCAB) };
    p->mscale = toy_rope_frequencies(&m->rope, d->session ? d->session : d->context, p->frequencies);
    for (uint32_t i = 0; i < d->layers; i++) p->keys[i] = doubles(positions * kv_dim), p->values[i] = doubles(positions * kv_dim);
}

static void end(pass *p) {
    double *const all[] = { p->x, p->h, p->q, p->a, p->gate, p->up, p->logits, p->seen, p->coded };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    for (uint32_t i = 0; i < p->m->d.layers; i++) free(p->keys[i]), free(p->values[i]);
}

/* p->logits of a token; its keys and values are replaced when it comes again. */
static void run_token(pass *p, size_t position, uint32_t id) {
    const toy_desc *d = &p->m->d;
    p->seen_count = p->ties.met_count = 0;
    memcpy(p->x, p->m->embedding.w + (size_t)id * d->dim, d->dim * sizeof *p->x);
    for (uint32_t i = 0; i < d->layers; i++) run_layer(p, i, position);
    norm(p->x, p->m->output_norm, d->dim, p->h);
    multiply(p, &p->m->head, NULL, p->h, TOY_VOCAB, d->dim, p->logits);
}

void toy_logits(const toy_model *m, const uint32_t *ids, size_t count, double *logits) {
    pass p;
    begin(&p, m, false, count);
    for (size_t n = 0; n < count; n++) {
        run_token(&p, n, ids[n]);
        memcpy(logits + n * TOY_VOCAB, p.logits, TOY_VOCAB * sizeof *logits);
    }
    end(&p);
}

double toy_off_by(const float *got, const double *want) {
    double worst = 0.0, most = 0.0;
    for (size_t i = 0; i < TOY_VOCAB; i++) {
        double error = fabs((double)got[i] - want[i]);
        if (!(error <= worst)) worst = isnan(error) ? INFINITY : error;
        most = fmax(most, fabs(want[i]));
    }
    return worst / most;
}

/* ---- activations of 8 bits: the codes that the tested program chose ---- */

struct toy_follower {
    pass p;
    size_t position;
};

toy_follower *toy_follow(const toy_model *m, size_t positions, bool codes) {
    toy_follower *f = calloc(1, sizeof *f);
    if (!f) abort();
    begin(&f->p, m, codes, positions);
    return f;
}

void toy_follow_end(toy_follower *f) {
    end(&f->p);
    free(f);
}

/* How far off the logits are if tie `index` becomes the other code too. */
static double try_other(toy_follower *f, uint32_t id, const float *got, size_t index) {
    ties *t = &f->p.ties;
    t->other[t->other_count++] = index;
    run_token(&f->p, f->position, id);
    t->other_count--;
    return toy_off_by(got, f->p.logits);
}

double toy_follow_token(toy_follower *f, uint32_t id, const float *got, double enough, size_t *others) {
    ties *t = &f->p.ties;
    t->other_count = 0;
    run_token(&f->p, f->position, id);
    double off = toy_off_by(got, f->p.logits);
    while (off > enough && t->other_count < TIES) {
        size_t met[TIES], count = t->met_count, best = TIES;
        memcpy(met, t->met, sizeof met);
        for (size_t i = 0; i < count; i++) {
            double changed = is_other(t, met[i]) ? off : try_other(f, id, got, met[i]);
            if (changed < off) off = changed, best = i;
        }
        if (best < TIES) t->other[t->other_count++] = met[best];
        run_token(&f->p, f->position, id); /* keys and values as chosen */
        if (best == TIES) break;
    }
    f->position++;
    *others += t->other_count;
    return off;
}
