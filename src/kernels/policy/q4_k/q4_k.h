/* policy/q4_k/q4_k.h - Q4_K: blocks of 256 weights in 144 bytes, w = d * s * u - dmin * m
 * with a scale s and a minimum m per 32 weights.
 *
 *   byte  0 1   2 3      4 ......... 15   16 ................ 143
 *        [ d ] [ dmin ] [ scales, mins ] [ 128 bytes of codes     ]
 *         f16   f16       policy/k_scales.h
 *                         byte 16 + 32 c + j: bits 0-3 = u of weight 64 c + j, bits 4-7 = u of
 *                         weight 64 c + 32 + j
 *
 * Source: ggml's block_q4_K, as GGUF files store it. */
#ifndef POLICY_Q4_K_H
#define POLICY_Q4_K_H
#include "policy/k_scales.h"

FND_POLICY(q4_k, 256, 144, "4-bit codes with 6-bit scale and minimum per 32 weights")

typedef struct q4_k_block { u8 d[2], dmin[2], scales[12], codes[128]; } q4_k_block;
FND_CHECK(sizeof(q4_k_block) == 144, "q4_k blocks have 144 bytes");

FND_INLINE u64 q4_k_row_bytes(u32 cols) { return (u64)(cols / 256) * 144; }

/* Weight k of a row. */
FND_INLINE f32 q4_k_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 256) * 144;
    u32 j = k % 256 / 32, u = (u32)(block[16 + j / 2 * 32 + k % 32] >> (j % 2 * 4)) & 15u;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block)), dmin = fnd_f16_to_f32(fnd_load_u16(block + 2));
    return d * (f32)fnd_k_scale(block + 4, j) * (f32)u - dmin * (f32)fnd_k_min(block + 4, j);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q4_k_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 16) * 144;
    u32 j = g % 16 / 2, shift = j % 2 * 4;
    const FND_GPU u8 *codes = block + 16 + j / 2 * 32 + g % 2 * 16;
    f32 scale = fnd_f16_to_f32(fnd_load_u16(block)) * (f32)fnd_k_scale(block + 4, j);
    f32 min = fnd_f16_to_f32(fnd_load_u16(block + 2)) * (f32)fnd_k_min(block + 4, j);
    for (u32 i = 0; i < 16; i++) w[i] = scale * (f32)((u32)(codes[i] >> shift) & 15u) - min;
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q4_k_BITS        4
#define q4_k_BLOCK       256
#define q4_k_GROUP       32
#define q4_k_ZERO        0
#define q4_k_MIN         1
#define q4_k_FIELD_BYTES 16
#define q4_k_FIELDS(X)   X(0, 2, 1) X(2, 2, 1) X(4, 1, 12)

/* Code of weight k of a block. */
FND_INLINE u32 q4_k_code(const FND_GPU u8 *block, u32 k) {
    return (u32)(block[16 + k / 64 * 32 + k % 32] >> (k / 32 % 2 * 4)) & 15u;
}
#endif
