/* q4_1_codec.c - Q4_1: the scale and the minimum with the least square error. */
#include "policy/q4_1/q4_1.h"
#include "policy/search_codec.h"

static void q4_1_encode_block(const f32 *x, q4_1_block *to) {
    fnd_affine fit = fnd_search_affine(x, 15.0f, false);
    u8 u[32];
    fnd_store_f16(to->d, fit.d);
    fnd_store_f16(to->m, fit.m);
    fnd_write_codes(x, 32, fnd_inverse(fnd_read_f16(to->d)), fnd_read_f16(to->m), 0.0f, 15.0f, 0.0f, u);
    fnd_pack_nibbles(u, to->codes);
}

/* Codes 0 .. 15 about their mean have a mean square of 255 / 12. */
static void q4_1_random_block(q4_1_block *to, f32 sigma) {
    f32 d = fnd_random_scale(to->d, sigma / 4.6097722f);
    fnd_store_f16(to->d, d);
    fnd_store_f16(to->m, -7.5f * d);
}

FND_CODEC(q4_1, .file_type = 3, .instead = FND_F16, .head = FND_Q6_K)
