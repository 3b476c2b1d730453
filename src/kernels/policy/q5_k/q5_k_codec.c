/* q5_k_codec.c - Q5_K: scales and minima with the least square error. */
#include "policy/k_codec.h"
#include "policy/q5_k/q5_k.h"

static void q5_k_encode_block(const f32 *x, q5_k_block *to) {
    fnd_k_fit fit = fnd_k_search(x, 31.0f);
    u8 u[256];
    fnd_store_f16(to->d, fit.d);
    fnd_store_f16(to->dmin, fit.dmin);
    fnd_k_write(x, 31.0f, &fit, u, to->scales);
    for (u32 c = 0; c < 4; c++) {
        for (u32 j = 0; j < 32; j++) to->codes[32 * c + j] = (u8)((u[64 * c + j] & 15u) | (u32)u[64 * c + 32 + j] << 4);
    }
    for (u32 j = 0; j < 32; j++) {
        u32 bits = 0;
        for (u32 c = 0; c < 8; c++) bits |= (u32)(u[32 * c + j] >> 4) << c;
        to->high[j] = (u8)bits;
    }
}

/* Codes 0 .. 31 have a mean of 15.5 and about it a mean square of 1023 / 12. */
static void q5_k_random_block(q5_k_block *to, f32 sigma) {
    fnd_k_randomize(to->d, to->dmin, to->scales, sigma, 15.5f, 1.0f / 9.2330926f);
}

FND_CODEC(q5_k, .file_type = 16, .instead = FND_Q5_1, .head = FND_Q8_0)
