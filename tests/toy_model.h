/* toy_model.h - language models of a few thousand random weights, in any mix of formats: written to a
 * GGUF file, and computed in f64 from the published definitions of the architectures, independently of
 * every kernel.
 *
 *     toy_model m;
 *     toy_make(&m, &(toy_desc){ .architecture = "llama", .dim = 64, ... }, "build/toy.gguf");
 *     toy_logits(&m, false, ids, count, logits);       [count, TOY_VOCAB]
 *     toy_free(&m);
 *
 * Out of memory ends the test program. */
#ifndef TESTS_TOY_MODEL_H
#define TESTS_TOY_MODEL_H

#include "foundry/format.h"

#include <stddef.h>
#include <stdint.h>

enum { TOY_VOCAB = 270, /* GGUF_BYTE_TOKENS */
       TOY_LAYERS = 4 };

typedef struct toy_desc {
    const char *architecture;        /* "llama": adjacent pairs; "qwen2": half-split */
    uint32_t layers, dim, hidden_dim, heads, kv_heads;
    uint32_t head_dim;               /* 0: dim / heads; else written as attention.key_length */
    uint32_t context;
    bool bias, untied;
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
    double *attn_norm, *ffn_norm, *q_bias, *k_bias, *v_bias;
    toy_matrix q, k, v, o, gate, up, down;
} toy_layer;

typedef struct toy_model {
    toy_desc d;
    double *output_norm;
    toy_matrix embedding, head; /* head.w == embedding.w when tied */
    toy_layer layers[TOY_LAYERS];
} toy_model;

void toy_make(toy_model *m, const toy_desc *d, const char *path);
void toy_free(toy_model *m);
/* All positions, from 0 on. Keys and values are rounded to halves, as the cache keeps them. With
 * `codes`, formats with codes multiply activations of 8 bits, a scale for every 32. */
void toy_logits(const toy_model *m, bool codes, const uint32_t *ids, size_t count, double *logits);

#endif
