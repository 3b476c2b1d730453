/* q4_k_codec.c - Q4_K: scales and minima with the least square error. */
#include "policy/k_codec.h"
#include "policy/q4_k/q4_k.h"

static void q4_k_encode_block(const f32 *x, q4_k_block *to) {
    fnd_k_fit fit = fnd_k_search(x, 15.0f);
    u8 u[256];
    fnd_store_f16(to->d, fit.d);
    fnd_store_f16(to->dmin, fit.dmin);
    fnd_k_write(x, 15.0f, &fit, u, to->scales);
    for (u32 c = 0; c < 4; c++) {
        for (u32 j = 0; j < 32; j++) to->codes[32 * c + j] = (u8)((u[64 * c + j] & 15u) | (u32)u[64 * c + 32 + j] << 4);
    }
}

/* Codes 0 .. 15 have a mean of 7.5 and about it a mean square of 255 / 12. */
static void q4_k_random_block(q4_k_block *to, f32 sigma) {
    fnd_k_randomize(to->d, to->dmin, to->scales, sigma, 7.5f, 1.0f / 4.6097722f);
}

FND_CODEC(q4_k, .file_type = 14, .instead = FND_Q5_0, .head = FND_Q6_K)
