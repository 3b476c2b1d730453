/* rope_ref.h - the naive f64 reference of rope.h. */
#ifndef ROPE_ROPE_REF_H
#define ROPE_ROPE_REF_H
#include <stddef.h>

typedef struct rope_ref_params {
    const float *inv_freq; /* [pairs] */
    size_t pairs;
    unsigned pairing; /* 0: (2i, 2i + 1), 1: (i, i + half) */
    double mscale;
} rope_ref_params;

/* Rotate one head by a position, in place. */
void rope_ref(const rope_ref_params *p, double *head, long position);

#endif
