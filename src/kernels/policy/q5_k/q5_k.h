/* policy/q5_k/q5_k.h - Q5_K: blocks of 256 weights in 176 bytes, w = d * s * u - dmin * m
 * with a scale s and a minimum m per 32 weights.
 *
 *   byte  0 1   2 3      4 ......... 15   16 ... 47   48 ................ 175
 *        [ d ] [ dmin ] [ scales, mins ] [ high    ] [ 128 bytes of codes     ]
 *         f16   f16       policy/k_scales.h
 *                         byte 16 + j: bit c = bit 4 of weight 32 c + j
 *                         byte 48 + 32 c + j: bits 0-3 = low bits of weight 64 c + j, bits 4-7 of
 *                         weight 64 c + 32 + j
 *
 * Source: ggml's block_q5_K, as GGUF files store it. */
#ifndef POLICY_Q5_K_H
#define POLICY_Q5_K_H
#include "policy/k_scales.h"

FND_POLICY(q5_k, 256, 176, "5-bit codes with 6-bit scale and minimum per 32 weights")

typedef struct q5_k_block { u8 d[2], dmin[2], scales[12], high[32], codes[128]; } q5_k_block;
FND_CHECK(sizeof(q5_k_block) == 176, "q5_k blocks have 176 bytes");

FND_INLINE u64 q5_k_row_bytes(u32 cols) { return (u64)(cols / 256) * 176; }

/* Weight k of a row. */
FND_INLINE f32 q5_k_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 256) * 176;
    u32 j = k % 256 / 32, low = (u32)(block[48 + j / 2 * 32 + k % 32] >> (j % 2 * 4)) & 15u;
    u32 high = (u32)(block[16 + k % 32] >> j) & 1u;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block)), dmin = fnd_f16_to_f32(fnd_load_u16(block + 2));
    return d * (f32)fnd_k_scale(block + 4, j) * (f32)(low | high << 4) -
           dmin * (f32)fnd_k_min(block + 4, j);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q5_k_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 16) * 176;
    u32 j = g % 16 / 2, shift = j % 2 * 4;
    const FND_GPU u8 *high = block + 16 + g % 2 * 16, *codes = block + 48 + j / 2 * 32 + g % 2 * 16;
    f32 scale = fnd_f16_to_f32(fnd_load_u16(block)) * (f32)fnd_k_scale(block + 4, j);
    f32 min = fnd_f16_to_f32(fnd_load_u16(block + 2)) * (f32)fnd_k_min(block + 4, j);
    for (u32 i = 0; i < 16; i++) {
        u32 u = ((u32)(codes[i] >> shift) & 15u) | ((u32)(high[i] >> j) & 1u) << 4;
        w[i] = scale * (f32)u - min;
    }
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q5_k_BITS        5
#define q5_k_BLOCK       256
#define q5_k_GROUP       32
#define q5_k_ZERO        0
#define q5_k_MIN         1
#define q5_k_FIELD_BYTES 16
#define q5_k_FIELDS(X)   X(0, 2, 1) X(2, 2, 1) X(4, 1, 12)

/* Code of weight k of a block. */
FND_INLINE u32 q5_k_code(const FND_GPU u8 *block, u32 k) {
    u32 low = (u32)(block[48 + k / 64 * 32 + k % 32] >> (k / 32 % 2 * 4)) & 15u;
    return low | ((u32)(block[16 + k % 32] >> k / 32) & 1u) << 4;
}
#endif
