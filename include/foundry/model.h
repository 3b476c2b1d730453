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
 * tokenizer; many sessions may share it. A session is one conversation: its KV cache, its tokens, the
 * logits behind the last of them. One thread at a time per session; sessions of one foundry, from as many
 * threads as there are, take turns on the device. foundry/generate.h makes text with a session.
 */
#ifndef FOUNDRY_MODEL_H
#define FOUNDRY_MODEL_H

#include "foundry/context.h"
#include "foundry/format.h"
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

/* Are matrices copied once into the layout that the device's kernels like best, or read where the file is mapped?
 * Answers are the same to the last bit, except with isa "amx_bf16", which reads prompts in bf16 from copies only. A
 * copy takes the memory of the weights and the time to make it; without one the pages are the file's, and reading a
 * token's weights takes some more instructions. */
typedef enum fnd_repacking {
    FND_REPACK_AUTO, /* as `foundry tune` found faster; else where the device has such a layout and memory for the copy is there */
    FND_REPACK_ON,   /* FND_ERR_UNSUPPORTED where the device has none */
    FND_REPACK_OFF   /* FND_ERR_UNSUPPORTED where the device reads no other (cuda) */
} fnd_repacking;

typedef struct fnd_model_desc {
    const char      *path;
    fnd_repacking    repack;
    bool             no_fuse;  /* one kernel per operation, launched one by one where no form is named: to compare with */
    fnd_program_form program;  /* how its programs run. On cuda this is what evaluates single tokens: prompts are launches */
    bool             stages;   /* programs that are one function time their calls for the profiler (foundry/run.h) */
    fnd_progress_fn *progress; /* may be NULL */
    void            *progress_ctx;
    /* Called when hyper-parameters and tokenizer are there and the weights are not: a prompt that does
     * not fit need not wait for them. Anything but FND_OK ends the loading. May be NULL. */
    fnd_status     (*before_weights)(void *ctx, fnd_model *m, fnd_error *err);
    void            *before_weights_ctx;
} fnd_model_desc;

/* Opens, checks and prepares the file. Unsupported architecture, RoPE scaling, tensor, format or
 * tokenizer: FND_ERR_UNSUPPORTED naming it. */
FND_USE_RESULT fnd_status fnd_model_load(foundry *f, const fnd_model_desc *desc, fnd_model **out, fnd_error *err);
/* After its sessions. NULL is fine. */
void fnd_model_free(fnd_model *m);

typedef struct fnd_model_info {
    const char *path, *architecture;
    char        name[96];            /* general.name; "" when the file has none */
    uint32_t    layers, dim, hidden_dim, heads, kv_heads, head_dim, vocab, context_length;
    float       rope_base, norm_eps;
    uint32_t    rope_pairing;        /* 0: adjacent pairs, 1: half-split */
    uint32_t    rope_dim;            /* values of a head that RoPE turns; the others stay as they are */
    const char *rope_scaling;        /* "none", "linear", "yarn", "longrope" or "llama3" (by rope_freqs.weight) */
    float       rope_factor;         /* of linear and yarn; else 1 */
    uint32_t    original_context;    /* tokens of the training before RoPE was scaled; 0: not told */
    uint32_t    sliding_window;      /* 0: none; else context_length ends there, as attention is full */
    uint32_t    whole_context;       /* with a window, what the file says of the context; else 0 */
    bool        tied_head, qkv_bias;
    bool        repacked;            /* matrices were copied into the device's layout; of a loaded model */
    uint64_t    weight_bytes;        /* tensors in the file */
    uint64_t    bytes_per_token;     /* weights read for one token of decode */
} fnd_model_info;

const fnd_model_info *fnd_model_get_info(const fnd_model *m);
const fnd_gguf       *fnd_model_gguf(const fnd_model *m);
const fnd_tokenizer  *fnd_model_tokenizer(const fnd_model *m);

/* Hyper-parameters of a file without loading weights (foundry inspect). */
FND_USE_RESULT fnd_status fnd_model_read_info(const fnd_gguf *g, fnd_model_info *out, fnd_error *err);
/* Would fnd_model_load take it? Hyper-parameters, RoPE, and every tensor by name, shape and format; not the
 * tokenizer. g must have been opened with its tensors' data. */
FND_USE_RESULT fnd_status fnd_model_check(const fnd_gguf *g, fnd_error *err);

/* Keys and values take memory as tokens come, doubling it, up to `context`; then fnd_session_eval says
 * FND_ERR_LIMIT, and fnd_session_shift makes room. */
typedef struct fnd_session_desc {
    uint32_t context;     /* positions at most; 0: the model's limit */
    uint32_t batch;       /* tokens evaluated together in prefill; 0: as `foundry tune` found faster, else 256 */
    /* Of keys and values: FND_F16 (0 means it), FND_F32 or FND_Q8_0, which takes little more than half the
     * memory and reads of F16 and wants a head_dim that is a multiple of 32. */
    fnd_format kv_type;
    fnd_progress_fn *progress; /* of prefill and compilation; may be NULL */
    void            *progress_ctx;
    const volatile bool *cancel; /* checked between batches; may be NULL: FND_ERR_CANCELLED */
} fnd_session_desc;

/* desc may be NULL. Compiles the programs, or finds them in the cache. A model with LongRoPE (phi3) has two
 * sets of frequencies: a session whose context is at most info.original_context has the short ones, a
 * longer one has the long ones, from its first token on. */
FND_USE_RESULT fnd_status fnd_session_open(fnd_model *m, const fnd_session_desc *desc, fnd_session **out, fnd_error *err);
void fnd_session_close(fnd_session *s);
fnd_model *fnd_session_model(const fnd_session *s);

/* Evaluate tokens at the present position; the logits are then those behind the last of them. An id
 * that the vocabulary has not, or more tokens than the context holds: refused before anything runs. The end of
 * it may be held back, to go to the device together with what follows (fnd_session_sample); fnd_wait, and all
 * that reads, send it off. */
FND_USE_RESULT fnd_status fnd_session_eval(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err);
/* The same, and every token's logits go to `each` (vocab floats) in turn. */
typedef fnd_status fnd_logits_fn(void *ctx, size_t index, const float *logits, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_eval_each(fnd_session *s, const uint32_t *ids, size_t count, fnd_logits_fn *each, void *ctx, fnd_error *err);
/* Copy the logits behind the last token: vocab floats. */
FND_USE_RESULT fnd_status fnd_session_logits(fnd_session *s, float *logits, fnd_error *err);

/* ---- sampling -------------------------------------------------------------------------------
 *
 * In this order, on the device:
 *
 *   bias                added to the logits of single tokens
 *   repeat_penalty      tokens among the last repeat_last_n of the context, the prompt included: positive
 *                       logits are divided by it, negative ones multiplied (Keskar et al. 2019)
 *   presence_penalty    subtracted once from the logit of every token that is among them
 *   frequency_penalty   subtracted for every time that it is
 *   top_k               the k most likely; of equals the lower id
 *   typical_p           those whose surprise is nearest to the expected one, with a share of typical_p
 *                       together (Meister et al. 2022); those equally near stay together
 *   top_p               the fewest, most likely first, with a share of top_p of what is left
 *   min_p               those at least min_p times as likely as the most likely one left
 *   temperature         logits are divided by it
 *   draw                Philox4x32-10 of the seed and the token's position
 *
 * The same seed, tokens and settings choose the same token on a backend every time. All zeros choose
 * the most likely token, always. */
typedef struct fnd_logit_bias {
    uint32_t id;
    float    bias;         /* -INFINITY: never */
} fnd_logit_bias;

typedef struct fnd_sampling {
    float    temperature;  /* 0: the most likely token, always */
    uint32_t top_k;        /* 0: all */
    float    top_p;        /* 0 or 1: all */
    float    min_p;        /* 0: all */
    float    typical_p;    /* 0 or 1: all */
    float    repeat_penalty;                      /* 0 or 1: off */
    float    presence_penalty, frequency_penalty; /* 0: off; negative ones make repeating likelier */
    uint32_t repeat_last_n;                       /* 0: 64 */
    const fnd_logit_bias *bias; /* may be NULL; biases of one token add up */
    size_t   bias_count;
    uint64_t seed;
} fnd_sampling;

/* Choose the next token. Does not evaluate it, and leaves fnd_session_logits as they are. */
FND_USE_RESULT fnd_status fnd_session_sample(fnd_session *s, const fnd_sampling *sampling, uint32_t *id, fnd_error *err);

/* Natural logarithms of probabilities, as the model gave them: without any of the steps above. */
typedef struct fnd_logprob {
    uint32_t id;
    float    logprob;
} fnd_logprob;
/* all[0] is that of the token `id`, all[1 .. count] those of the `count` most likely, best first; at most
 * the vocabulary. FND_ERR_DEVICE when the logits are no numbers. */
FND_USE_RESULT fnd_status fnd_session_logprobs(fnd_session *s, uint32_t id, fnd_logprob *all, uint32_t count, fnd_error *err);

/* Its programs, to look into (fnd_program_get_info): "decode", one token from embedding to logits; "prefill",
 * many without the head; "head". NULL for another name. They are the session's. */
const struct fnd_program *fnd_session_program(const fnd_session *s, const char *name);

/* ---- what is in the context ------------------------------------------------------------------ */

/* Tokens in the context so far; how many it can hold; which they are, valid until the next change. */
uint32_t fnd_session_position(const fnd_session *s);
uint32_t fnd_session_context(const fnd_session *s);
const uint32_t *fnd_session_tokens(const fnd_session *s);

typedef struct fnd_session_stats {
    uint64_t computed;    /* tokens evaluated in this session */
    uint64_t reused;      /* tokens that did not have to be, because they were there: fnd_session_prompt,
                           * fnd_session_fork, fnd_session_load */
    uint64_t dropped;     /* by fnd_session_shift, of what is there now */
    uint64_t cache_bytes; /* memory of keys and values so far */
} fnd_session_stats;
void fnd_session_get_stats(const fnd_session *s, fnd_session_stats *out);

/* Forget the later tokens. The logits are gone, except where a fnd_session_prompt ended. */
FND_USE_RESULT fnd_status fnd_session_truncate(fnd_session *s, uint32_t position, fnd_error *err);

/* Make the context hold exactly these tokens, and the logits those behind the last of them. What it
 * already holds of them, from the start, is not evaluated again. */
FND_USE_RESULT fnd_status fnd_session_prompt(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err);

/* A new session with a copy of the first `position` tokens, and of the logits if that is all of them. */
FND_USE_RESULT fnd_status fnd_session_fork(const fnd_session *s, uint32_t position, fnd_session **out, fnd_error *err);

/* Drop tokens keep .. keep + drop - 1; those behind them move down, and there is room for as many new
 * ones. Nothing is evaluated: keys are turned to their new positions, and what the later tokens have
 * taken from the dropped ones stays in them. So the session is not what evaluating the tokens left
 * would make it. Keeping the first few tokens matters for what the model says (Xiao et al. 2023). */
enum { FND_SHIFT_STEP = 16 }; /* drop is a multiple of it */
FND_USE_RESULT fnd_status fnd_session_shift(fnd_session *s, uint32_t keep, uint32_t drop, fnd_error *err);

/* ---- session files ----------------------------------------------------------------------------
 *
 * Tokens, logits, keys and values, and a note of the caller's, with a checksum over all of it. A file
 * belongs to one model: it carries a fingerprint of the model file's metadata, tensor list and a
 * few bytes of every tensor. Written beside its target and renamed, so that there is never half of one. */
FND_USE_RESULT fnd_status fnd_session_save(const fnd_session *s, const char *path, fnd_span note, fnd_error *err);
/* Replaces what is in the context. A file that is cut short, damaged, of another version, another model,
 * other number formats of keys and values, other frequencies (LongRoPE), or longer than the context is
 * refused with a sentence, and the session stays as it was. note may be NULL; else *note is to be freed with fnd_text_release. */
FND_USE_RESULT fnd_status fnd_session_load(fnd_session *s, const char *path, char **note, size_t *note_bytes, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
