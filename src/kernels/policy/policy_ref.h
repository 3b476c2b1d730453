/* policy_ref.h - every weight format decoded in double precision, independently of the kernels.
 *
 * policy/<name>/<name>_ref.c is written from the published description of the format alone; the
 * device texts are tested against it. One decoder for every row of FND_FORMATS. */
#ifndef POLICY_REF_H
#define POLICY_REF_H

#include "foundry/format.h"

#include <math.h>
#include <stdint.h>

/* fnd_ref_decode_<name>: the `cols` weights of a row as files store it. */
#define FND_REF_DECODE_(id, name, ggml, weights, bytes) \
    void fnd_ref_decode_##name(const unsigned char *row, unsigned cols, double *w);
FND_FORMATS(FND_REF_DECODE_)
#undef FND_REF_DECODE_

typedef void fnd_ref_decode_fn(const unsigned char *row, unsigned cols, double *w);

/* The decoder of a weight format; NULL for what has none. */
fnd_ref_decode_fn *fnd_ref_decoder(fnd_format format);

/* A float of IEEE 754's layout: sign, exponent, mantissa. */
static inline double fnd_ref_float(uint32_t bits, int exponent_bits, int mantissa_bits) {
    int most = (1 << exponent_bits) - 1, bias = most / 2;
    int exponent = (int)(bits >> mantissa_bits) & most;
    int mantissa = (int)(bits & ((1u << mantissa_bits) - 1));
    double sign = bits >> (exponent_bits + mantissa_bits) ? -1.0 : 1.0;
    if (exponent == most) return mantissa ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    return sign * ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}
/* A half, little endian. */
static inline double fnd_ref_f16(const unsigned char *p) {
    return fnd_ref_float(p[0] + 256u * p[1], 5, 10);
}
#endif
