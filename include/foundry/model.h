/* model.h - language models and conversations.
 *
 *     foundry *f;            fnd_open(NULL, &f, &err);
 *     fnd_model *m;          fnd_model_load(f, &(fnd_model_desc){ .path = "model.gguf" }, &m, &err);
 *     fnd_session *s;        fnd_session_open(m, NULL, &s, &err);
 *     fnd_session_eval(s, ids, count, &err);             the prompt
 *     uint32_t id;
 *     fnd_session_sample(s, &sampling, &id, &err);       choose; then evaluate it, and so on
 *     fnd_session_eval(s, &id, 1, &err);
 *
 * A model is weights (in place from the mapped file, or repacked once for the device) and its
 * tokenizer; many sessions may share it. A session is one conversation: its KV cache, its position,
 * the logits of its last token. One thread per session; sessions of one foundry take turns.
 */
#ifndef FOUNDRY_MODEL_H
#define FOUNDRY_MODEL_H

#include "foundry/context.h"
#include "foundry/gguf.h"
#include "foundry/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_model   fnd_model;
typedef struct fnd_session fnd_session;

/* Told how far a long step is: what ("reading weights", "compiling decode"), done of total. Called
 * from the thread that loads. */
typedef void fnd_progress_fn(void *ctx, const char *what, uint64_t done, uint64_t total);

typedef struct fnd_model_desc {
    const char      *path;
    bool             no_fuse;  /* one kernel per operation, launched one by one: to compare with */
    bool             separate; /* fused kernels, but each a launch of its own: to profile them */
    fnd_progress_fn *progress; /* may be NULL */
    void            *progress_ctx;
    /* Called when hyper-parameters and tokenizer are there and the weights are not: a prompt that does
     * not fit need not wait for them. Anything but FND_OK ends the loading. May be NULL. */
    fnd_status     (*before_weights)(void *ctx, fnd_model *m, fnd_error *err);
    void            *before_weights_ctx;
} fnd_model_desc;

/* Opens, checks and prepares the file. Unsupported architecture, format or tokenizer:
 * FND_ERR_UNSUPPORTED naming it. */
FND_USE_RESULT fnd_status fnd_model_load(foundry *f, const fnd_model_desc *desc, fnd_model **out, fnd_error *err);
/* After its sessions. NULL is fine. */
void fnd_model_free(fnd_model *m);

typedef struct fnd_model_info {
    const char *path, *architecture;
    char        name[96];            /* general.name; "" when the file has none */
    uint32_t    layers, dim, hidden_dim, heads, kv_heads, head_dim, vocab, context_length;
    float       rope_base, norm_eps;
    uint32_t    rope_pairing;        /* 0: adjacent pairs, 1: half-split */
    bool        tied_head, qkv_bias;
    uint64_t    weight_bytes;        /* tensors in the file */
    uint64_t    bytes_per_token;     /* weights read for one token of decode */
} fnd_model_info;

const fnd_model_info *fnd_model_get_info(const fnd_model *m);
const fnd_gguf       *fnd_model_gguf(const fnd_model *m);
const fnd_tokenizer  *fnd_model_tokenizer(const fnd_model *m);

/* Hyper-parameters of a file without loading weights (foundry inspect). */
FND_USE_RESULT fnd_status fnd_model_read_info(const fnd_gguf *g, fnd_model_info *out, fnd_error *err);

typedef struct fnd_session_desc {
    uint32_t context;     /* positions at most; 0: the model's limit */
    uint32_t batch;       /* tokens evaluated together in prefill; 0: 512 */
    fnd_progress_fn *progress; /* of prefill and compilation; may be NULL */
    void            *progress_ctx;
    const volatile bool *cancel; /* checked between batches; may be NULL: FND_ERR_CANCELLED */
} fnd_session_desc;

/* desc may be NULL. Compiles the programs, or finds them in the cache. */
FND_USE_RESULT fnd_status fnd_session_open(fnd_model *m, const fnd_session_desc *desc, fnd_session **out, fnd_error *err);
void fnd_session_close(fnd_session *s);

/* Evaluate tokens at the present position; the logits are then those behind the last of them. An id
 * that the vocabulary has not, or more tokens than the context holds: refused before anything runs. */
FND_USE_RESULT fnd_status fnd_session_eval(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err);
/* The same, and every token's logits go to `each` (vocab floats) in turn. */
typedef fnd_status fnd_logits_fn(void *ctx, size_t index, const float *logits, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_eval_each(fnd_session *s, const uint32_t *ids, size_t count, fnd_logits_fn *each, void *ctx, fnd_error *err);
/* Copy the logits behind the last token: vocab floats. */
FND_USE_RESULT fnd_status fnd_session_logits(fnd_session *s, float *logits, fnd_error *err);

typedef struct fnd_sampling {
    float    temperature;  /* 0: the most likely token, always */
    uint32_t top_k;        /* 0: all */
    float    top_p;        /* 0 or 1: all */
    float    min_p;        /* 0: all */
    uint64_t seed;         /* the same seed, prompt and settings choose the same tokens */
} fnd_sampling;

/* Choose the next token on the device. Does not evaluate it. */
FND_USE_RESULT fnd_status fnd_session_sample(fnd_session *s, const fnd_sampling *sampling, uint32_t *id, fnd_error *err);

/* Tokens in the context so far; how many it can hold. Truncating forgets the later ones. */
uint32_t fnd_session_position(const fnd_session *s);
uint32_t fnd_session_context(const fnd_session *s);
FND_USE_RESULT fnd_status fnd_session_truncate(fnd_session *s, uint32_t position, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
