/* sample_ref.h - the naive reference of sampling: sort, then go through the chain in f64. */
#ifndef SAMPLE_SAMPLE_REF_H
#define SAMPLE_SAMPLE_REF_H
#include <stddef.h>
#include <stdint.h>

typedef struct sample_ref_desc {
    const float *logits;
    size_t vocab, top_k;      /* top_k 0: off */
    double typical_p;         /* 0 or 1: off */
    double top_p, min_p, temperature;
    uint64_t seed;
    uint32_t position;
} sample_ref_desc;

uint32_t sample_ref(const sample_ref_desc *d);

/* Which tokens typical_p leaves, of the top-k: stays[vocab]. */
void typical_ref(const sample_ref_desc *d, unsigned char *stays);

typedef struct penalize_ref_desc {
    const uint32_t *recent; /* tokens, as often as they come */
    size_t recents;
    const uint32_t *bias_ids;
    const float *bias;
    size_t biases;
    double repeat, presence, frequency;
} penalize_ref_desc;

/* logits[vocab], changed in place. */
void penalize_ref(const penalize_ref_desc *d, double *logits, size_t vocab);

/* Philox4x32-10, as its authors give it. */
void philox_ref(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
