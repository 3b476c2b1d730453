/* q4_0_codec.c - Q4_0 by its published rule: the first weight of largest magnitude becomes code 0
 * (-8 d), codes are x / d + 8.5 cut off, before d is rounded to F16. */
#include "policy/q4_0/q4_0.h"
#include "policy/search_codec.h"

static void q4_0_encode_block(const f32 *x, q4_0_block *to) {
    f32 d = fnd_peak(x, 32) / -8.0f, inverse = fnd_inverse(d);
    u8 u[32];
    fnd_store_f16(to->d, d);
    for (u32 j = 0; j < 32; j++) {
        i32 code = (i32)(x[j] * inverse + 8.5f);
        u[j] = (u8)(code < 15 ? code : 15);
    }
    fnd_pack_nibbles(u, to->codes);
}

/* Codes -8 .. 7 have a mean square of 21.5. */
static void q4_0_random_block(q4_0_block *to, f32 sigma) {
    fnd_store_f16(to->d, fnd_random_scale(to->d, sigma / 4.6368092f));
}

FND_CODEC(q4_0, .file_type = 2, .instead = FND_F16, .head = FND_Q6_K)
