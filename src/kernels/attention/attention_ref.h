/* attention_ref.h - the naive f64 reference of the attention stages. */
#ifndef ATTENTION_ATTENTION_REF_H
#define ATTENTION_ATTENTION_REF_H
#include "kernels/rope/rope_ref.h"

#include <stdbool.h>

typedef struct attention_ref_desc {
    const float *q;               /* [tokens, heads, head_dim], not rotated */
    const double *keys, *values;  /* [positions, kv_heads, head_dim], keys rotated */
    size_t tokens, heads, kv_heads, head_dim;
    size_t pos;                   /* of the first token */
    double scale;
    rope_ref_params rope;
    bool spread;                  /* keys are spread over 32 dimensions (spread_ref); queries become so */
    bool codes;                   /* rotated queries become two codes of 8 bits each, with scales per 32 */
    double *slack;                /* [tokens, heads, head_dim], may be NULL: what that may change */
} attention_ref_desc;

/* `count` values, each 32 of them times the Walsh-Hadamard matrix of order 32 over sqrt(32). */
void spread_ref(double *x, size_t count);

/* y [tokens, heads, head_dim]; weight: the same with |values|, which errors are measured against. */
void attention_ref(const attention_ref_desc *d, double *y, double *weight);

#endif
