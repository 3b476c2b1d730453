/* policy/q5_0/q5_0.h - Q5_0: blocks of 32 weights in 22 bytes, w = d * (u - 16).
 *
 *   byte  0 1   2 .... 5   6 .................. 21
 *        [ d ] [ high   ] [ 16 bytes of codes      ]
 *         f16    |          byte 6 + j: bits 0-3 = low bits of weight j, bits 4-7 of weight j + 16
 *                bit j of the 32: bit 4 of weight j
 *
 * Source: ggml's block_q5_0, as GGUF files store it. */
#ifndef POLICY_Q5_0_H
#define POLICY_Q5_0_H
#include "fnd_device.h"

FND_POLICY(q5_0, 32, 22, "5-bit codes with a scale per 32 weights")

typedef struct q5_0_block { u8 d[2], high[4], codes[16]; } q5_0_block;
FND_CHECK(sizeof(q5_0_block) == 22, "q5_0 blocks have 22 bytes");

FND_INLINE u64 q5_0_row_bytes(u32 cols) { return (u64)(cols / 32) * 22; }

/* Weight k of a row. */
FND_INLINE f32 q5_0_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 22;
    u32 low = (u32)(block[6 + k % 16] >> (k % 32 / 16 * 4)) & 15u;
    u32 high = (u32)(block[2 + k % 32 / 8] >> k % 8) & 1u;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)((i32)(low | high << 4) - 16);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q5_0_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 22;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block));
    u32 high = fnd_load_u16(block + 2 + g % 2 * 2), shift = g % 2 * 4;
    for (u32 i = 0; i < 16; i++) {
        u32 u = ((u32)(block[6 + i] >> shift) & 15u) | (high >> i & 1u) << 4;
        w[i] = d * (f32)((i32)u - 16);
    }
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q5_0_BITS        5
#define q5_0_BLOCK       32
#define q5_0_GROUP       32
#define q5_0_ZERO        16
#define q5_0_MIN         0
#define q5_0_FIELD_BYTES 2
#define q5_0_FIELDS(X)   X(0, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q5_0_code(const FND_GPU u8 *block, u32 k) {
    u32 low = (u32)(block[6 + k % 16] >> (k / 16 * 4)) & 15u;
    return low | ((u32)(block[2 + k / 8] >> k % 8) & 1u) << 4;
}
#endif
