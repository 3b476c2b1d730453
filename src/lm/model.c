/* model.c - opening a model: hyper-parameters from the file, each checked. */
#include "lm/model.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

/* ---- hyper-parameters ---- */

typedef struct reader {
    const fnd_gguf *g;
    fnd_model_info *m;
    fnd_error *err;
} reader;

/* A count that must be within 1 .. most. */
static fnd_status get_count(const reader *r, const char *suffix, uint32_t most, uint32_t *out) {
    char key[FND_KEY_BYTES];
    FND_TRY(fnd_gguf_get_u32(r->g, fnd_model_key(r->m, suffix, key), out, r->err));
    if (*out >= 1 && *out <= most) return FND_OK;
    return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %u; 1 to %u make sense", r->m->path, key, *out, most);
}

static fnd_status maybe_u32(const reader *r, const char *suffix, uint32_t *out) {
    char key[FND_KEY_BYTES];
    return fnd_gguf_maybe_u32(r->g, fnd_model_key(r->m, suffix, key), out, r->err);
}

/* Values of a head: as the file says, or the width shared out. */
static fnd_status read_head_dim(const reader *r) {
    fnd_model_info *m = r->m;
    uint32_t keys = 0, values = 0;
    FND_TRY(maybe_u32(r, "attention.key_length", &keys));
    FND_TRY(maybe_u32(r, "attention.value_length", &values));
    if (!keys && m->dim % m->heads) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: a width of %u cannot be shared out to %u heads, and %s.attention.key_length is missing", m->path, m->dim, m->heads, m->architecture);
    }
    m->head_dim = keys ? keys : m->dim / m->heads;
    if (values && values != m->head_dim) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: keys of %u values with values of %u are not supported", m->path, m->head_dim, values);
    if (m->head_dim % 16 || m->head_dim > 256) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: heads of %u values are not supported (16 to 256 in steps of 16 are)", m->path, m->head_dim);
    return FND_OK;
}

static fnd_status read_heads(const reader *r) {
    fnd_model_info *m = r->m;
    FND_TRY(get_count(r, "attention.head_count", 1024, &m->heads));
    m->kv_heads = m->heads;
    FND_TRY(maybe_u32(r, "attention.head_count_kv", &m->kv_heads));
    if (m->kv_heads == 0 || m->heads % m->kv_heads) {
        return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s.attention.head_count_kv is %u, which %u heads cannot share evenly", m->path, m->architecture, m->kv_heads, m->heads);
    }
    if (m->heads / m->kv_heads > 16) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %u heads for each key/value head are not supported (up to 16 are)", m->path, m->heads / m->kv_heads);
    return read_head_dim(r);
}

/* What comes in the same files and is no model that writes text. */
static fnd_status read_purpose(const reader *r) {
    char key[FND_KEY_BYTES];
    bool causal = true;
    uint32_t pooling = 0;
    FND_TRY(fnd_gguf_maybe_bool(r->g, fnd_model_key(r->m, "attention.causal", key), &causal, r->err));
    if (!causal) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: every token of this model sees those behind it (%s is false); it writes no text, and only models that do are supported", r->m->path, key);
    FND_TRY(maybe_u32(r, "pooling_type", &pooling));
    if (pooling) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: this model makes embeddings (%s is %u); only models that write text are supported", r->m->path, fnd_model_key(r->m, "pooling_type", key), pooling);
    return FND_OK;
}

/* Attention here is full. Up to the window's length that is the same; so the context ends there. */
static fnd_status read_window(const reader *r, const fnd_architecture *a) {
    uint32_t window = 0;
    if (a->no_window) return FND_OK;
    FND_TRY(maybe_u32(r, "attention.sliding_window", &window));
    if (window == 0 || window >= r->m->context_length) return FND_OK;
    r->m->whole_context = r->m->context_length;
    r->m->sliding_window = r->m->context_length = window;
    return FND_OK;
}

static fnd_status read_hyper(const reader *r, const fnd_architecture *a) {
    fnd_model_info *m = r->m;
    char key[FND_KEY_BYTES];
    uint32_t experts = 0;
    FND_TRY(maybe_u32(r, "expert_count", &experts));
    if (experts) return fnd_fail(r->err, FND_ERR_UNSUPPORTED, "%s: %s with %u experts is not supported (without experts it is)", m->path, m->architecture, experts);
    FND_TRY(get_count(r, "block_count", 1024, &m->layers));
    FND_TRY(get_count(r, "embedding_length", 1u << 20, &m->dim));
    FND_TRY(get_count(r, "feed_forward_length", 1u << 22, &m->hidden_dim));
    FND_TRY(fnd_gguf_get_u32(r->g, fnd_model_key(m, "context_length", key), &m->context_length, r->err));
    if (m->context_length == 0 || m->context_length > (16u << 20)) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: a context of %u tokens makes no sense (%s)", m->path, m->context_length, key);
    FND_TRY(read_heads(r));
    FND_TRY(fnd_gguf_get_f32(r->g, fnd_model_key(m, "attention.layer_norm_rms_epsilon", key), &m->norm_eps, r->err));
    if (!(m->norm_eps >= 0.0f && m->norm_eps < 1.0f)) return fnd_fail(r->err, FND_ERR_FORMAT, "%s: %s is %g", m->path, key, (double)m->norm_eps);
    FND_TRY(fnd_rope_read_info(r->g, m, r->err));
    return read_window(r, a);
}

static fnd_status unknown_architecture(const fnd_gguf *g, fnd_span name, fnd_error *err) {
    char quoted[96], known[128] = "";
    size_t used = 0;
    const fnd_architecture *a;
    for (size_t i = 0; (a = fnd_architecture_at(i)) != NULL && used < sizeof known; i++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", a->name);
        used += n < 0 ? 0 : (size_t)n;
    }
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: architecture \"%s\" is not supported (%s are)", fnd_gguf_path(g), fnd_span_quote(name, quoted, sizeof quoted), known);
}

fnd_status fnd_model_check_type(const fnd_gguf *g, fnd_error *err) {
    fnd_span type = { 0 };
    char quoted[64];
    FND_TRY(fnd_gguf_maybe_str(g, "general.type", &type, err));
    if (!type.bytes || fnd_span_equal(type, "model")) return FND_OK;
    const char *what = fnd_span_equal(type, "adapter") ? "an adapter, which changes the weights of a model" : "something that goes with a model";
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: its general.type is \"%s\": it is %s, and not supported; only models are", fnd_gguf_path(g), fnd_span_quote(type, quoted, sizeof quoted), what);
}

fnd_status fnd_model_read_info(const fnd_gguf *g, fnd_model_info *m, fnd_error *err) {
    fnd_span name;
    *m = (fnd_model_info){ .path = fnd_gguf_path(g) };
    FND_TRY(fnd_model_check_type(g, err));
    FND_TRY(fnd_gguf_get_str(g, "general.architecture", &name, err));
    const fnd_architecture *a = fnd_architecture_find(name);
    if (!a) return unknown_architecture(g, name, err);
    reader r = { g, m, err };
    m->architecture = a->name;
    m->rope_pairing = a->rope_pairing;
    name = (fnd_span){ 0 };
    FND_TRY(fnd_gguf_maybe_str(g, "general.name", &name, err));
    if (name.bytes) fnd_span_quote(name, m->name, sizeof m->name);
    FND_TRY(read_purpose(&r));
    FND_TRY(read_hyper(&r, a));
    const fnd_gguf_tensor *embedding;
    FND_TRY(fnd_gguf_get_tensor(g, "token_embd.weight", &embedding, err));
    if (embedding->dims[1] == 0 || embedding->dims[1] > (1u << 24)) return fnd_fail(err, FND_ERR_FORMAT, "%s: a vocabulary of %llu tokens makes no sense", fnd_gguf_path(g), (unsigned long long)embedding->dims[1]);
    m->vocab = (uint32_t)embedding->dims[1];
    m->tied_head = !fnd_gguf_find_tensor(g, "output.weight");
    m->qkv_bias = fnd_gguf_find_tensor(g, a->joined_qkv ? "blk.0.attn_qkv.bias" : "blk.0.attn_q.bias") != NULL;
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        m->weight_bytes += t->bytes;
        if (t != embedding || m->tied_head) m->bytes_per_token += t->bytes;
    }
    return FND_OK;
}

/* ---- rotary embedding ---- */

static fnd_status make_rope(fnd_model *m, fnd_error *err) {
    fnd_rope_table table;
    uint32_t pairs = m->info.rope_dim / 2;
    size_t bytes = pairs * sizeof *table.inv_freq;
    FND_TRY(fnd_rope_compute(m->gguf, &m->info, &table, err));
    m->rope.mscale = table.mscale;
    FND_TRY(fnd_alloc(m->f, FND_F32, fnd_shape1(pairs), FND_COPY(table.inv_freq, bytes), &m->rope.inv_freq, err));
    return table.has_long ? fnd_alloc(m->f, FND_F32, fnd_shape1(pairs), FND_COPY(table.long_inv_freq, bytes), &m->rope.long_inv_freq, err) : FND_OK;
}

/* ---- the model ---- */

static const fnd_architecture *architecture_of(const fnd_model_info *m) { return fnd_architecture_find((fnd_span){ m->architecture, strlen(m->architecture) }); }

fnd_status fnd_model_check(const fnd_gguf *g, fnd_error *err) {
    fnd_model_info info;
    fnd_rope_table table;
    FND_TRY(fnd_model_read_info(g, &info, err));
    FND_TRY(fnd_rope_compute(g, &info, &table, err));
    return fnd_model_check_weights(g, &info, architecture_of(&info), err);
}

static fnd_status open_parts(fnd_model *m, const fnd_model_desc *desc, fnd_error *err) {
    FND_TRY(fnd_gguf_open(desc->path, 0, &m->gguf, err));
    FND_TRY(fnd_model_read_info(m->gguf, &m->info, err));
    FND_TRY(fnd_tokenizer_open(m->gguf, &m->tokenizer, err));
    m->architecture = architecture_of(&m->info);
    FND_TRY(make_rope(m, err));
    FND_TRY(fnd_model_check_weights(m->gguf, &m->info, m->architecture, err));
    if (desc->before_weights) FND_TRY(desc->before_weights(desc->before_weights_ctx, m, err));
    return fnd_model_load_weights(m, err);
}

fnd_status fnd_model_load(foundry *f, const fnd_model_desc *desc, fnd_model **out, fnd_error *err) {
    *out = NULL;
    if (!desc || !desc->path) return fnd_fail(err, FND_ERR_USAGE, "no model file was named");
    FND_TRY(fnd_program_form_check(f, desc->program, err));
    fnd_model *m = fnd_alloc_zeroed(1, sizeof *m);
    if (!m) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a model");
    m->f = f;
    m->no_fuse = desc->no_fuse;
    m->repack = desc->repack;
    m->form = desc->program == FND_PROGRAM_AUTO && desc->no_fuse ? FND_PROGRAM_LAUNCH : desc->program;
    m->stages = desc->stages;
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
    fnd_tensor_free(m->f, &m->rope.inv_freq, NULL);
    fnd_tensor_free(m->f, &m->rope.long_inv_freq, NULL);
    fnd_tokenizer_close(m->tokenizer);
    fnd_gguf_close(m->gguf);
    fnd_free_memory(m);
}

const fnd_model_info *fnd_model_get_info(const fnd_model *m) { return &m->info; }
const fnd_gguf *fnd_model_gguf(const fnd_model *m) { return m->gguf; }
const fnd_tokenizer *fnd_model_tokenizer(const fnd_model *m) { return m->tokenizer; }
