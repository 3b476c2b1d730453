/* toy_model.h - language models of a few thousand random weights, in any mix of formats: written to a
 * GGUF file, and computed in f64 from the published definitions of the architectures, independently of
 * every kernel.
 *
 *     toy_model m;
 *     toy_make(&m, &(toy_desc){ .architecture = "llama", .dim = 64, ... }, "build/toy.gguf");
 *     toy_logits(&m, ids, count, logits);              [count, TOY_VOCAB]
 *     toy_free(&m);
 *
 * Out of memory ends the test program. */
#ifndef TESTS_TOY_MODEL_H
#define TESTS_TOY_MODEL_H

#include "foundry/format.h"
#include "toy_rope.h"

#include <stddef.h>
#include <stdint.h>

enum { TOY_VOCAB = 270, /* GGUF_BYTE_TOKENS */
       TOY_LAYERS = 4 };

typedef struct toy_desc {
    const char *architecture;        /* "llama": adjacent pairs; others: half-split. "qwen3": norms of heads; "phi3": joined tensors */
    uint32_t layers, dim, hidden_dim, heads, kv_heads;
    uint32_t head_dim;               /* 0: dim / heads; else written as attention.key_length */
    uint32_t context;
    toy_scaling scaling;             /* of RoPE, with these (0: none) */
    double factor;
    uint32_t original, rope_dim;     /* (0: none; the whole head) */
    uint32_t session;                /* context of the session whose logits are wanted (0: context) */
    bool scaling_untold;             /* see toy_rope.h */
    bool bias, untied;
    fnd_format kv;                   /* of keys and values in the cache: F16 (0), F32 or Q8_0 */
    fnd_format embedding, head;      /* 0: F32 */
    fnd_format matrices;             /* of every layer, but */
    fnd_format v, down;              /* (0: as `matrices`) */
    fnd_format last_v, last_down;    /* of the last layer (0: as v, down) */
} toy_desc;

typedef struct toy_matrix {
    double *w; /* [rows, cols] */
    bool codes; /* of a format with codes */
} toy_matrix;

typedef struct toy_layer {
    double *attn_norm, *ffn_norm, *q_bias, *k_bias, *v_bias, *q_norm, *k_norm;
    toy_matrix q, k, v, o, gate, up, down; /* joined ones follow each other in memory */
} toy_layer;

typedef struct toy_model {
    toy_desc d;
    toy_rope rope;
    double *output_norm;
    toy_matrix embedding, head; /* head.w == embedding.w when tied */
    toy_layer layers[TOY_LAYERS];
} toy_model;

void toy_make(toy_model *m, const toy_desc *d, const char *path);
void toy_free(toy_model *m);
/* All positions, from 0 on. Keys and values are rounded as the cache keeps them. */
void toy_logits(const toy_model *m, const uint32_t *ids, size_t count, double *logits);
/* The largest difference, relative to the largest logit. */
double toy_off_by(const float *got, const double *want);

/* The same where formats with codes multiply activations of 8 bits, a scale for every 32. A value that
 * lies between two codes, but for what rounding of 32 bits may move it, becomes one or the other, and what
 * follows differs by as much as a code. So the reference follows the program that is tested: where its
 * logits are off by more than `enough` they must be right with other codes for some of those values, and
 * with none for any other value. Tokens come in order from position 0; gives how far off they are, and
 * adds to *others how many values became the other code. */
typedef struct toy_follower toy_follower;
/* codes: activations become codes where weights are codes, and queries where keys are. Else only keys and
 * values may. */
toy_follower *toy_follow(const toy_model *m, size_t positions, bool codes);
double toy_follow_token(toy_follower *f, uint32_t id, const float *got, double enough, size_t *others);
void toy_follow_end(toy_follower *f);

#endif
