/* q5_1_codec.c - Q5_1: the scale and the minimum with the least square error. */
#include "policy/q5_1/q5_1.h"
#include "policy/search_codec.h"

static void q5_1_encode_block(const f32 *x, q5_1_block *to) {
    fnd_affine fit = fnd_search_affine(x, 31.0f, false);
    u8 u[32];
    fnd_store_f16(to->d, fit.d);
    fnd_store_f16(to->m, fit.m);
    fnd_write_codes(x, 32, fnd_inverse(fnd_read_f16(to->d)), fnd_read_f16(to->m), 0.0f, 31.0f, 0.0f, u);
    fnd_pack_nibbles(u, to->codes);
    fnd_pack_fifth_bits(u, to->high);
}

/* Codes 0 .. 31 about their mean have a mean square of 1023 / 12. */
static void q5_1_random_block(q5_1_block *to, f32 sigma) {
    f32 d = fnd_random_scale(to->d, sigma / 9.2330926f);
    fnd_store_f16(to->d, d);
    fnd_store_f16(to->m, -15.5f * d);
}

FND_CODEC(q5_1, .file_type = 9, .instead = FND_F16, .head = FND_Q8_0)
