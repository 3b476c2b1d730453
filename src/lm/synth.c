/* synth.c - random models: which tensors, how large their weights are, and making them.
 *
 * Every matrix keeps the size of what it multiplies (deviation 1 / sqrt(columns)); what goes back
 * into the residual stream is divided by sqrt(2 layers), so that the sum over all layers stays near 1
 * however deep the model is. Codes and scales are drawn in the format itself, from random bytes that
 * depend on seed, tensor and place only. */
#include "lm/synth.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/codec.h"
#include "lm/tensor_stream.h"

#include <math.h>
#include <stdio.h>

typedef enum kind { MATRIX,
                    HEAD,
                    NORM,
                    BIAS,
                    ROPE } kind;

typedef struct tensor {
    char name[48];
    kind kind;
    uint64_t cols, rows;
    float sigma;
    fnd_format format;
} tensor;

typedef struct plan {
    const fnd_synth_desc *desc;
    const fnd_synth_shape *shape;
    tensor *tensors;
    fnd_stream_tensor *stream;
    size_t count, room;
} plan;

/* ---- the list of tensors ---- */

static void add(plan *p, const char *name, kind k, uint64_t cols, uint64_t rows, float sigma) {
    if (p->count == p->room) return;
    tensor *t = &p->tensors[p->count++];
    *t = (tensor){ .kind = k, .cols = cols, .rows = rows, .sigma = sigma };
    snprintf(t->name, sizeof t->name, "%s", name);
    bool matrix = k == MATRIX || k == HEAD;
    t->format = matrix ? fnd_format_for(p->desc->format, k == HEAD, cols) : FND_F32;
    p->stream[p->count - 1] = (fnd_stream_tensor){ t->format, cols * rows };
}

static void add_layer(plan *p, uint32_t layer) {
    const fnd_synth_shape *s = p->shape;
    uint64_t q = (uint64_t)s->heads * s->head_dim, kv = (uint64_t)s->kv_heads * s->head_dim;
    float in = 1.0f / sqrtf((float)s->dim), back = 1.0f / sqrtf(2.0f * (float)s->layers);
    const struct {
        const char *name;
        kind kind;
        uint64_t cols, rows;
        float sigma;
        bool wanted;
    } all[] = {
        { "attn_norm.weight", NORM, s->dim, 1, 0.1f, true },
        { "attn_q.weight", MATRIX, s->dim, q, in, !s->fused },
        { "attn_q.bias", BIAS, q, 1, 0.1f, s->qkv_bias },
        { "attn_k.weight", MATRIX, s->dim, kv, in, !s->fused },
        { "attn_k.bias", BIAS, kv, 1, 0.1f, s->qkv_bias },
        { "attn_v.weight", MATRIX, s->dim, kv, in, !s->fused },
        { "attn_v.bias", BIAS, kv, 1, 0.1f, s->qkv_bias },
        { "attn_qkv.weight", MATRIX, s->dim, q + 2 * kv, in, s->fused },
        { "attn_q_norm.weight", NORM, s->head_dim, 1, 0.1f, s->head_norms },
        { "attn_k_norm.weight", NORM, s->head_dim, 1, 0.1f, s->head_norms },
        { "attn_output.weight", MATRIX, q, s->dim, back / sqrtf((float)q), true },
        { "ffn_norm.weight", NORM, s->dim, 1, 0.1f, true },
        { "ffn_gate.weight", MATRIX, s->dim, s->hidden_dim, in, !s->fused },
        { "ffn_up.weight", MATRIX, s->dim, (s->fused ? 2 : 1) * (uint64_t)s->hidden_dim, in, true },
        { "ffn_down.weight", MATRIX, s->hidden_dim, s->dim, back / sqrtf((float)s->hidden_dim), true },
    };
    for (size_t i = 0; i < FND_COUNT(all); i++) {
        char name[48];
        snprintf(name, sizeof name, "blk.%u.%s", layer, all[i].name);
        if (all[i].wanted) add(p, name, all[i].kind, all[i].cols, all[i].rows, all[i].sigma);
    }
}

static void add_all(plan *p) {
    const fnd_synth_shape *s = p->shape;
    float in = 1.0f / sqrtf((float)s->dim);
    add(p, "token_embd.weight", s->untied ? MATRIX : HEAD, s->dim, s->vocab, in);
    for (uint32_t i = 0; i < s->layers; i++) add_layer(p, i);
    add(p, "output_norm.weight", NORM, s->dim, 1, 0.1f);
    if (s->untied) add(p, "output.weight", HEAD, s->dim, s->vocab, in);
    if (s->rope_factor > 0.0f) add(p, "rope_freqs.weight", ROPE, s->head_dim / 2, 1, 0.0f);
}

/* ---- making them ---- */

/* The published generator splitmix64, at a place of its sequence. */
static uint64_t mixed(uint64_t key, uint64_t at) {
    uint64_t z = key + (at + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void fill_random(uint8_t *to, size_t bytes, uint64_t key, uint64_t first_word) {
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word = mixed(key, first_word++);
        memcpy(to + i, &word, 8);
    }
    uint64_t word = mixed(key, first_word);
    memcpy(to + i, &word, bytes - i);
}

/* What Llama 3.1 divides its frequencies by: nothing where a turn is shorter than a quarter of the
 * 8,192 tokens it was first trained on, `factor` where it is longer than all of them, and smoothly
 * in between. Source: the model's published code (apply_scaling; low 1, high 4). */
static void fill_rope(const fnd_synth_shape *s, float *to) {
    for (uint32_t i = 0; i < s->head_dim / 2; i++) {
        double turn = 2 * 3.14159265358979323846 * pow((double)s->rope_base, 2.0 * i / s->head_dim), old = 8192;
        double smooth = (old / turn - 1.0) / (4.0 - 1.0);
        smooth = fmin(1.0, fmax(0.0, smooth));
        to[i] = (float)(1.0 / ((1.0 - smooth) / (double)s->rope_factor + smooth));
    }
}

static fnd_status fill(void *ctx, const fnd_piece *piece, uint8_t *to, fnd_error *err) {
    const plan *p = ctx;
    const tensor *t = &p->tensors[piece->tensor];
    uint64_t bytes = 0, before = 0;
    (void)err;
    if (t->kind == ROPE) {
        fill_rope(p->shape, (float *)(void *)to);
        return FND_OK;
    }
    (void)fnd_format_bytes(t->format, 1, piece->count, &bytes);
    (void)fnd_format_bytes(t->format, 1, piece->first, &before);
    fill_random(to, (size_t)bytes, mixed(p->desc->seed, piece->tensor), before / 8);
    fnd_codec_of(t->format)->randomize(to, piece->count, t->sigma);
    float *v = (float *)(void *)to;
    for (size_t i = 0; t->kind == NORM && i < piece->count; i++) v[i] += 1.0f;
    return FND_OK;
}

/* ---- the file ---- */

static void put_shape(fnd_gguf_writer *w, const plan *p) {
    const fnd_synth_shape *s = p->shape;
    const struct {
        const char *suffix;
        uint32_t value;
    } numbers[] = {
        { "block_count", s->layers },
        { "context_length", s->context },
        { "embedding_length", s->dim },
        { "feed_forward_length", s->hidden_dim },
        { "attention.head_count", s->heads },
        { "attention.head_count_kv", s->kv_heads },
        { "attention.key_length", s->head_dim },
        { "attention.value_length", s->head_dim },
        { "rope.dimension_count", s->head_dim },
        { "vocab_size", s->vocab },
    };
    char key[96], name[96];
    snprintf(name, sizeof name, "%s %s, random weights", s->architecture, s->size);
    fnd_gguf_put_str(w, "general.architecture", s->architecture);
    fnd_gguf_put_str(w, "general.type", "model");
    fnd_gguf_put_str(w, "general.name", name);
    fnd_gguf_put_u32(w, "general.file_type", fnd_codec_of(p->desc->format)->file_type);
    fnd_gguf_put_u32(w, "general.quantization_version", 2);
    for (size_t i = 0; i < FND_COUNT(numbers); i++) {
        snprintf(key, sizeof key, "%s.%s", s->architecture, numbers[i].suffix);
        fnd_gguf_put_u32(w, key, numbers[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", s->architecture);
    fnd_gguf_put_f32(w, key, s->norm_eps);
    snprintf(key, sizeof key, "%s.rope.freq_base", s->architecture);
    fnd_gguf_put_f32(w, key, s->rope_base);
}

static fnd_status write_file(plan *p, fnd_gguf_writer *w, fnd_synth_report *report, fnd_error *err) {
    const fnd_synth_desc *d = p->desc;
    put_shape(w, p);
    FND_TRY(fnd_synth_put_tokenizer(w, p->shape->family, p->shape->vocab, err));
    for (size_t i = 0; i < p->count; i++) {
        const tensor *t = &p->tensors[i];
        fnd_gguf_put_tensor(w, t->name, t->format, t->rows > 1 ? 2 : 1, (uint64_t[]){ t->cols, t->rows });
    }
    FND_TRY(fnd_gguf_writer_begin(w, err));
    report->file_bytes = fnd_gguf_writer_file_bytes(w);
    fnd_stream s = {
        .writer = w,
        .tensors = p->stream,
        .tensor_count = p->count,
        .workers = fnd_stream_workers(d->threads),
        .fill = fill,
        .ctx = p,
        .what = "writing weights",
        .progress = d->progress,
        .progress_ctx = d->ctx,
        .cancel = d->cancel,
    };
    return fnd_stream_run(&s, err);
}

static void count_tensors(const plan *p, fnd_synth_report *report) {
    for (size_t i = 0; i < p->count; i++) {
        const tensor *t = &p->tensors[i];
        fnd_gguf_tensor shown = {
            .name = { t->name, strlen(t->name) },
            .format = t->format,
            .ggml_type = (uint32_t)fnd_format_get(t->format)->ggml,
            .dim_count = t->rows > 1 ? 2 : 1,
            .dims = { t->cols, t->rows, 1, 1 },
        };
        (void)fnd_format_bytes(t->format, t->rows, t->cols, &shown.bytes);
        report->tensors++;
        report->weights += t->cols * t->rows;
        report->tensor_bytes += shown.bytes;
        if (p->desc->tensor) p->desc->tensor(p->desc->ctx, &shown);
    }
}

static fnd_status make(plan *p, fnd_synth_report *report, fnd_error *err) {
    const fnd_synth_desc *d = p->desc;
    add_all(p);
    count_tensors(p, report);
    if (!d->to) return FND_OK;
    fnd_gguf_writer *w;
    FND_TRY(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = d->to, .replace = d->replace }, &w, err));
    fnd_status status = write_file(p, w, report, err);
    fnd_gguf_writer_close(w);
    return status;
}

fnd_status fnd_synth(const fnd_synth_desc *desc, fnd_synth_report *report, fnd_error *err) {
    plan p = { .desc = desc };
    fnd_synth_report own;
    uint64_t start = fnd_now_ns();
    if (!report) report = &own;
    *report = (fnd_synth_report){ 0 };
    if (!desc->architecture || !desc->size) return fnd_fail(err, FND_ERR_USAGE, "an architecture and a size are needed");
    FND_TRY(fnd_synth_find(desc->architecture, desc->size, &p.shape, err));
    if (!fnd_codec_of(desc->format)) return fnd_fail(err, FND_ERR_USAGE, "a format of weights is needed");
    p.room = (size_t)p.shape->layers * 16 + 4;
    p.tensors = fnd_alloc_zeroed(p.room, sizeof *p.tensors);
    p.stream = fnd_alloc_zeroed(p.room, sizeof *p.stream);
    fnd_status status = p.tensors && p.stream ? make(&p, report, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for a list of tensors");
    fnd_free_memory(p.tensors);
    fnd_free_memory(p.stream);
    report->seconds = 1e-9 * (double)(fnd_now_ns() - start);
    return status;
}
