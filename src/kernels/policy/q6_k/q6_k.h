/* policy/q6_k/q6_k.h - Q6_K: blocks of 256 weights in 210 bytes, w = d * s[k / 16] * (u - 32).
 *
 *   byte  0 ....... 127   128 .... 191   192 ... 207   208 209
 *        [ low 4 bits  ] [ high 2 bits ] [ scales s ] [ d ]
 *                                          16 x i8     f16, last
 *
 *   In each half h of 128 weights, quarter q of 32, weight j of 32 (k = 128 h + 32 q + j):
 *   bits 0-3 of u: byte 64 h + 32 (q % 2) + j, its low nibble for q < 2, else its high one
 *   bits 4-5 of u: byte 128 + 32 h + j, bits 2q and 2q + 1
 *
 * Source: ggml's block_q6_K, as GGUF files store it. */
#ifndef POLICY_Q6_K_H
#define POLICY_Q6_K_H
#include "fnd_device.h"

FND_POLICY(q6_k, 256, 210, "6-bit codes with an 8-bit scale per 16 weights")

typedef struct q6_k_block { u8 low[128], high[64]; i8 scales[16]; u8 d[2]; } q6_k_block;
FND_CHECK(sizeof(q6_k_block) == 210, "q6_k blocks have 210 bytes");

FND_INLINE u64 q6_k_row_bytes(u32 cols) { return (u64)(cols / 256) * 210; }

/* Weight k of a row. */
FND_INLINE f32 q6_k_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 256) * 210;
    u32 h = k % 256 / 128, quarter = k % 128 / 32, j = k % 32;
    u32 low = (u32)(block[64 * h + quarter % 2 * 32 + j] >> (quarter / 2 * 4)) & 15u;
    u32 high = (u32)(block[128 + 32 * h + j] >> (2 * quarter)) & 3u;
    f32 scale = fnd_f16_to_f32(fnd_load_u16(block + 208)) * (f32)(i8)block[192 + k % 256 / 16];
    return scale * (f32)((i32)(low | high << 4) - 32);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q6_k_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 16) * 210;
    u32 h = g % 16 / 8, quarter = g % 8 / 2, low_shift = quarter / 2 * 4, high_shift = 2 * quarter;
    const FND_GPU u8 *low = block + 64 * h + quarter % 2 * 32 + g % 2 * 16;
    const FND_GPU u8 *high = block + 128 + 32 * h + g % 2 * 16;
    f32 scale = fnd_f16_to_f32(fnd_load_u16(block + 208)) * (f32)(i8)block[192 + g % 16];
    for (u32 i = 0; i < 16; i++) {
        u32 u = ((u32)(low[i] >> low_shift) & 15u) | ((u32)(high[i] >> high_shift) & 3u) << 4;
        w[i] = scale * (f32)((i32)u - 32);
    }
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q6_k_BITS        6
#define q6_k_BLOCK       256
#define q6_k_GROUP       16
#define q6_k_ZERO        32
#define q6_k_MIN         0
#define q6_k_FIELD_BYTES 18
#define q6_k_FIELDS(X)   X(192, 1, 16) X(208, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q6_k_code(const FND_GPU u8 *block, u32 k) {
    u32 quarter = k % 128 / 32;
    u32 low = (u32)(block[k / 128 * 64 + quarter % 2 * 32 + k % 32] >> (quarter / 2 * 4)) & 15u;
    return low | ((u32)(block[128 + k / 128 * 32 + k % 32] >> (2 * quarter)) & 3u) << 4;
}
#endif
