/* q8_0_codec.c - Q8_0 by its published rule: d is the largest magnitude / 127, codes are x / d rounded to
 * the nearest, halves away from 0, before d is rounded to F16. */
#include "policy/q8_0/q8_0.h"
#include "policy/search_codec.h"

static void q8_0_encode_block(const f32 *x, q8_0_block *to) {
    f32 d = fnd_fabs(fnd_peak(x, 32)) / 127.0f, inverse = fnd_inverse(d);
    fnd_store_f16(to->d, d);
    for (u32 j = 0; j < 32; j++) {
        f32 v = x[j] * inverse;
        i32 whole = (i32)v;
        f32 rest = v - (f32)whole;
        to->codes[j] = (i8)(whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
}

/* Codes -128 .. 127 have a mean square of 5461.5. */
static void q8_0_random_block(q8_0_block *to, f32 sigma) {
    fnd_store_f16(to->d, fnd_random_scale(to->d, sigma / 73.901962f));
}

FND_CODEC(q8_0, .file_type = 7, .instead = FND_F16, .head = FND_Q8_0)
