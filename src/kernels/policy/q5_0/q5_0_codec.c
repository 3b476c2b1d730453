/* q5_0_codec.c - Q5_0: the scale with the least square error. */
#include "policy/q5_0/q5_0.h"
#include "policy/search_codec.h"

static void q5_0_encode_block(const f32 *x, q5_0_block *to) {
    u8 u[32];
    fnd_store_f16(to->d, fnd_search_scale(x, 32, -16.0f, 15.0f));
    fnd_write_codes(x, 32, fnd_inverse(fnd_read_f16(to->d)), 0.0f, -16.0f, 15.0f, 16.0f, u);
    fnd_pack_nibbles(u, to->codes);
    fnd_pack_fifth_bits(u, to->high);
}

/* Codes -16 .. 15 have a mean square of 85.5. */
static void q5_0_random_block(q5_0_block *to, f32 sigma) {
    fnd_store_f16(to->d, fnd_random_scale(to->d, sigma / 9.2466210f));
}

FND_CODEC(q5_0, .file_type = 8, .instead = FND_F16, .head = FND_Q8_0)
