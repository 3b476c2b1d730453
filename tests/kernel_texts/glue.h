/* glue.h - the stages under test as plain functions: glue.c is compiled at run time for several
 * machines, test_kernel_texts*.c call what comes out. `groups` resident groups run one after another. */
#ifndef TESTS_KERNEL_TEXTS_GLUE_H
#define TESTS_KERNEL_TEXTS_GLUE_H
#include <stdint.h>

/* An activation: bytes and format, as in act.h. */
typedef struct kt_act {
    void    *p;
    uint32_t format;
} kt_act;

typedef struct kt_rope {
    const float *inv_freq;
    uint32_t     pairs, pairing;
    float        mscale;
} kt_rope;

typedef struct kt_cache {
    void    *k, *v;
    uint32_t format, blocks, kv_heads, head_dim;
} kt_cache;

typedef struct kt_qkv {
    const float *q, *k, *v;
    uint32_t     tokens, heads, pos;
    float        scale;
} kt_qkv;

typedef struct kt_sample {
    uint32_t top_k;
    float    top_p, min_p, temperature;
    uint32_t seed, seed_high, position;
} kt_sample;

typedef struct kt_places {
    const uint32_t *ids, *counts;
    const float    *bias;
    uint32_t        places;
} kt_places;

#define KT_CALLS(X)                                                                                              \
    X(kt_embed, (uint32_t groups, uint32_t policy, kt_act y, const uint32_t *ids, const void *w, const uint32_t dims[3])) \
    X(kt_take, (kt_act x, float factor, float *y, uint32_t tokens, uint32_t rows))                               \
    X(kt_rows, (kt_act x, kt_act y, float *row, int softmaxed, uint32_t tokens, uint32_t dim))                   \
    X(kt_rope_stage, (uint32_t groups, kt_act x, const int32_t *positions, kt_rope r, const uint32_t dims[3]))   \
    X(kt_sincos, (int32_t position, float frequency, float out[2]))                                              \
    X(kt_kv_write, (uint32_t groups, kt_qkv in, kt_rope r, kt_cache c))                                          \
    X(kt_attention, (uint32_t groups, kt_qkv in, kt_rope r, kt_cache c, float *y))                               \
    X(kt_attention_decode, (uint32_t groups, kt_qkv in, kt_rope r, kt_cache c, float *part, uint32_t splits))    \
    X(kt_attention_merge, (const float *part, float *rows, const uint32_t dims[4]))                              \
    X(kt_argmax, (uint32_t groups, const float *logits, uint32_t tokens, uint32_t vocab, uint32_t slices, uint32_t *id)) \
    X(kt_create, (uint32_t groups, kt_act y, int32_t *whole, uint32_t what, const uint32_t n[4]))  \
    X(kt_kv_rearrange, (uint32_t groups, kt_act x, kt_act y, const uint32_t dims[3]))                         \
    X(kt_penalize, (uint32_t groups, const float *logits, uint32_t vocab, kt_places p, const float penalties[3], float *adjusted)) \
    X(kt_typical, (uint32_t groups, float *kept, uint32_t slices, uint32_t per_slice, uint32_t top_k, float typical_p)) \
    X(kt_kv_shift, (uint32_t groups, kt_rope r, kt_cache c, const uint32_t n[3]))                                \
    X(kt_sample_token, (uint32_t groups, const float *logits, uint32_t vocab, uint32_t slices, uint32_t near_count, kt_sample s, uint32_t *id))

#endif
