/* model.c - opening a model: hyper-parameters from the file, each checked. */
#include "lm/model.h"
#include "base/base.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>

/* ---- hyper-parameters ---- */

typedef struct reader {
    const fnd_gguf *g;
    const char *arch;
    fnd_error *err;
} reader;

static char *key_of(const reader *r, const char *suffix, char key[128]) {
    snprintf(key, 128, "%s.%s", r->arch, suffix);
    return key;
}

static fnd_status get_u32(const reader *r, const char *suffix, uint32_t *out) {
    char key[128];
    return fnd_gguf_get_u32(r->g, key_of(r, suffix, key), out, r->err);
}

/* A count that must be within 1 .. most. */
static fnd_status get_count(const reader *r, const char *suffix, uint32_t most, uint32_t *out) {
    FND_TRY(get_u32(r, suffix, out));
    if (*out >= 1 && *out <= most) return FND_OK;
    return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s.%s is %u; 1 to %u make sense", fnd_gguf_path(r->g), r->arch, suffix, *out, most);
}

static fnd_status check_heads(const reader *r, const fnd_model_info *m) {
    bool fits = m->heads % m->kv_heads == 0 && m->heads / m->kv_heads <= 16 && m->head_dim % 16 == 0 && m->head_dim <= 256;
    if (fits) return FND_OK;
    return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %u heads, %u key/value heads of %u values are not supported: heads must be a multiple (up to 16 times) of key/value heads, of 16 to 256 values in steps of 16",
                    fnd_gguf_path(r->g), m->heads, m->kv_heads, m->head_dim);
}

static fnd_status read_attention(const reader *r, fnd_model_info *m) {
    char key[128];
    FND_TRY(get_count(r, "attention.head_count", 1024, &m->heads));
    m->kv_heads = m->heads;
    FND_TRY(fnd_gguf_maybe_u32(r->g, key_of(r, "attention.head_count_kv", key), &m->kv_heads, r->err));
    if (m->kv_heads == 0 || m->kv_heads > m->heads) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %u with %u heads", fnd_gguf_path(r->g), key, m->kv_heads, m->heads);
    m->head_dim = m->dim / m->heads;
    FND_TRY(fnd_gguf_maybe_u32(r->g, key_of(r, "attention.key_length", key), &m->head_dim, r->err));
    FND_TRY(get_u32(r, "context_length", &m->context_length));
    if (m->context_length == 0 || m->context_length > (16u << 20)) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: a context of %u tokens makes no sense", fnd_gguf_path(r->g), m->context_length);
    FND_TRY(fnd_gguf_get_f32(r->g, key_of(r, "attention.layer_norm_rms_epsilon", key), &m->norm_eps, r->err));
    if (!(m->norm_eps >= 0.0f && m->norm_eps < 1.0f)) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %g", fnd_gguf_path(r->g), key, (double)m->norm_eps);
    m->rope_base = 10000.0f;
    FND_TRY(fnd_gguf_maybe_f32(r->g, key_of(r, "rope.freq_base", key), &m->rope_base, r->err));
    if (!(m->rope_base > 0.0f && isfinite(m->rope_base))) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %g", fnd_gguf_path(r->g), key, (double)m->rope_base);
    return check_heads(r, m);
}

fnd_status fnd_model_read_info(const fnd_gguf *g, fnd_model_info *m, fnd_error *err) {
    fnd_span name;
    char quoted[96];
    *m = (fnd_model_info){ .path = fnd_gguf_path(g) };
    FND_TRY(fnd_gguf_get_str(g, "general.architecture", &name, err));
    const fnd_architecture *a = fnd_architecture_find(name);
    if (!a) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: architecture \"%s\" is not supported (llama and qwen2 are)", fnd_gguf_path(g), fnd_span_quote(name, quoted, sizeof quoted));
    reader r = { g, a->name, err };
    m->architecture = a->name;
    m->rope_pairing = a->rope_pairing;
    name = (fnd_span){ 0 };
    FND_TRY(fnd_gguf_maybe_str(g, "general.name", &name, err));
    if (name.bytes) fnd_span_quote(name, m->name, sizeof m->name);
    FND_TRY(get_count(&r, "block_count", 1024, &m->layers));
    FND_TRY(get_count(&r, "embedding_length", 1u << 20, &m->dim));
    FND_TRY(get_count(&r, "feed_forward_length", 1u << 22, &m->hidden_dim));
    FND_TRY(read_attention(&r, m));
    const fnd_gguf_tensor *embedding;
    FND_TRY(fnd_gguf_get_tensor(g, "token_embd.weight", &embedding, err));
    if (embedding->dims[1] == 0 || embedding->dims[1] > (1u << 24)) return fnd_fail(err, FND_ERR_FORMAT, "%s: a vocabulary of %llu tokens makes no sense", fnd_gguf_path(g), (unsigned long long)embedding->dims[1]);
    m->vocab = (uint32_t)embedding->dims[1];
    m->tied_head = !fnd_gguf_find_tensor(g, "output.weight");
    m->qkv_bias = fnd_gguf_find_tensor(g, "blk.0.attn_q.bias") != NULL;
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        m->weight_bytes += t->bytes;
        if (t != embedding || m->tied_head) m->bytes_per_token += t->bytes;
    }
    return FND_OK;
}

/* ---- rotary embedding ---- */

/* Radians per position of every pair: base^(-2i/d), divided by what rope_freqs says (Llama 3), or by
 * the factor of linear scaling. */
static fnd_status make_inv_freq(fnd_model *m, fnd_error *err) {
    reader r = { m->gguf, m->info.architecture, err };
    char key[128];
    uint32_t rope_dim = m->info.head_dim;
    float factor = 1.0f, table[128];
    fnd_span scaling = { "none", 4 };
    FND_TRY(fnd_gguf_maybe_u32(m->gguf, key_of(&r, "rope.dimension_count", key), &rope_dim, err));
    if (rope_dim == 0 || rope_dim % 2 || rope_dim > m->info.head_dim) return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is %u with heads of %u values", m->info.path, key, rope_dim, m->info.head_dim);
    FND_TRY(fnd_gguf_maybe_str(m->gguf, key_of(&r, "rope.scaling.type", key), &scaling, err));
    bool linear = fnd_span_equal(scaling, "linear");
    if (!linear && !fnd_span_equal(scaling, "none")) {
        char quoted[64];
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: RoPE scaling \"%s\" is not supported (none and linear are)", m->info.path, fnd_span_quote(scaling, quoted, sizeof quoted));
    }
    if (linear) FND_TRY(fnd_gguf_get_f32(m->gguf, key_of(&r, "rope.scaling.factor", key), &factor, err));
    if (!(factor > 0.0f && isfinite(factor))) return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is %g", m->info.path, key, (double)factor);
    const fnd_gguf_tensor *freqs = fnd_gguf_find_tensor(m->gguf, "rope_freqs.weight");
    if (freqs && (freqs->format != FND_F32 || freqs->dims[0] != rope_dim / 2)) return fnd_fail(err, FND_ERR_FORMAT, "%s: rope_freqs.weight is not %u values of F32", m->info.path, rope_dim / 2);
    for (uint32_t i = 0; i < rope_dim / 2; i++) {
        float divisor = factor;
        if (freqs) memcpy(&divisor, (const uint8_t *)freqs->data + 4 * i, 4);
        table[i] = (float)(pow((double)m->info.rope_base, -2.0 * i / rope_dim) / (double)divisor);
    }
    m->rope_mscale = 1.0f;
    return fnd_alloc(m->f, FND_F32, fnd_shape1(rope_dim / 2), FND_COPY(table, rope_dim / 2 * sizeof *table), &m->inv_freq, err);
}

/* ---- the model ---- */

static fnd_status open_parts(fnd_model *m, const fnd_model_desc *desc, fnd_error *err) {
    FND_TRY(fnd_gguf_open(desc->path, 0, &m->gguf, err));
    FND_TRY(fnd_model_read_info(m->gguf, &m->info, err));
    FND_TRY(fnd_tokenizer_open(m->gguf, &m->tokenizer, err));
    FND_TRY(make_inv_freq(m, err));
    if (desc->before_weights) FND_TRY(desc->before_weights(desc->before_weights_ctx, m, err));
    return fnd_model_load_weights(m, err);
}

fnd_status fnd_model_load(foundry *f, const fnd_model_desc *desc, fnd_model **out, fnd_error *err) {
    *out = NULL;
    if (!desc || !desc->path) return fnd_fail(err, FND_ERR_USAGE, "no model file was named");
    fnd_model *m = fnd_alloc_zeroed(1, sizeof *m);
    if (!m) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a model");
    m->f = f;
    m->no_fuse = desc->no_fuse;
    m->separate = desc->separate || desc->no_fuse;
    m->progress = desc->progress;
    m->progress_ctx = desc->progress_ctx;
    fnd_status status = open_parts(m, desc, err);
    if (status != FND_OK) {
        fnd_model_free(m);
        return status;
    }
    *out = m;
    return FND_OK;
}

void fnd_model_free(fnd_model *m) {
    if (!m) return;
    fnd_model_free_weights(m);
    fnd_tensor_free(m->f, &m->inv_freq, NULL);
    fnd_tokenizer_close(m->tokenizer);
    fnd_gguf_close(m->gguf);
    fnd_free_memory(m);
}

const fnd_model_info *fnd_model_get_info(const fnd_model *m) { return &m->info; }
const fnd_gguf *fnd_model_gguf(const fnd_model *m) { return m->gguf; }
const fnd_tokenizer *fnd_model_tokenizer(const fnd_model *m) { return m->tokenizer; }
