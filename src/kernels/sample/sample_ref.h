/* sample_ref.h - the naive reference of sampling: sort, then go through the chain in f64. */
#ifndef SAMPLE_SAMPLE_REF_H
#define SAMPLE_SAMPLE_REF_H
#include <stddef.h>
#include <stdint.h>

typedef struct sample_ref_desc {
    const float *logits;
    size_t vocab, top_k; /* top_k 0: off */
    double top_p, min_p, temperature;
    uint64_t seed;
    uint32_t position;
} sample_ref_desc;

uint32_t sample_ref(const sample_ref_desc *d);

/* Philox4x32-10, as its authors give it. */
void philox_ref(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
