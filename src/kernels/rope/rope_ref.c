/* rope_ref.c - see rope_ref.h. */
#include "kernels/rope/rope_ref.h"

#include <math.h>

void rope_ref(const rope_ref_params *p, double *head, long position) {
    for (size_t i = 0; i < p->pairs; i++) {
        double angle = (double)position * (double)p->inv_freq[i];
        double c = cos(angle) * p->mscale, s = sin(angle) * p->mscale;
        double *a = &head[p->pairing ? i : 2 * i], *b = &head[p->pairing ? i + p->pairs : 2 * i + 1];
        double x = *a, y = *b;
        *a = x * c - y * s;
        *b = x * s + y * c;
    }
}
