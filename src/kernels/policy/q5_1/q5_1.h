/* policy/q5_1/q5_1.h - Q5_1: blocks of 32 weights in 24 bytes, w = d * u + m.
 *
 *   byte  0 1   2 3   4 .... 7   8 .................. 23
 *        [ d ] [ m ] [ high   ] [ 16 bytes of codes      ]
 *         f16   f16    |          byte 8 + j: bits 0-3 = low bits of weight j, bits 4-7 of
 *                      |          weight j + 16
 *                      bit j of the 32: bit 4 of weight j
 *
 * Source: ggml's block_q5_1, as GGUF files store it. */
#ifndef POLICY_Q5_1_H
#define POLICY_Q5_1_H
#include "fnd_device.h"

FND_POLICY(q5_1, 32, 24, "5-bit codes with scale and minimum per 32 weights")

typedef struct q5_1_block { u8 d[2], m[2], high[4], codes[16]; } q5_1_block;
FND_CHECK(sizeof(q5_1_block) == 24, "q5_1 blocks have 24 bytes");

FND_INLINE u64 q5_1_row_bytes(u32 cols) { return (u64)(cols / 32) * 24; }

/* Weight k of a row. */
FND_INLINE f32 q5_1_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 24;
    u32 low = (u32)(block[8 + k % 16] >> (k % 32 / 16 * 4)) & 15u;
    u32 high = (u32)(block[4 + k % 32 / 8] >> k % 8) & 1u;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block)), m = fnd_f16_to_f32(fnd_load_u16(block + 2));
    return d * (f32)(low | high << 4) + m;
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q5_1_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 24;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block)), m = fnd_f16_to_f32(fnd_load_u16(block + 2));
    u32 high = fnd_load_u16(block + 4 + g % 2 * 2), shift = g % 2 * 4;
    for (u32 i = 0; i < 16; i++) {
        u32 u = ((u32)(block[8 + i] >> shift) & 15u) | (high >> i & 1u) << 4;
        w[i] = d * (f32)u + m;
    }
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q5_1_BITS        5
#define q5_1_BLOCK       32
#define q5_1_GROUP       32
#define q5_1_ZERO        0
#define q5_1_MIN         1
#define q5_1_FIELD_BYTES 4
#define q5_1_FIELDS(X)   X(0, 2, 1) X(2, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q5_1_code(const FND_GPU u8 *block, u32 k) {
    u32 low = (u32)(block[8 + k % 16] >> (k / 16 * 4)) & 15u;
    return low | ((u32)(block[4 + k / 8] >> k % 8) & 1u) << 4;
}
#endif
