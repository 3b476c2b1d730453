/* policy/q4_0/q4_0.h - Q4_0: blocks of 32 weights in 18 bytes, w = d * (u - 8).
 *
 *   byte  0 1   2 .................. 17
 *        [ d ] [ 16 bytes of codes      ]
 *         f16    byte 2 + j: bits 0-3 = u of weight j, bits 4-7 = u of weight j + 16
 *
 * Source: ggml's block_q4_0, as GGUF files store it. */
#ifndef POLICY_Q4_0_H
#define POLICY_Q4_0_H
#include "fnd_device.h"

FND_POLICY(q4_0, 32, 18, "4-bit codes with a scale per 32 weights")

typedef struct q4_0_block { u8 d[2], codes[16]; } q4_0_block;
FND_CHECK(sizeof(q4_0_block) == 18, "q4_0 blocks have 18 bytes");

FND_INLINE u64 q4_0_row_bytes(u32 cols) { return (u64)(cols / 32) * 18; }

/* Weight k of a row. */
FND_INLINE f32 q4_0_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 18;
    u32 u = (u32)(block[2 + k % 16] >> (k % 32 / 16 * 4)) & 15u;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)((i32)u - 8);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q4_0_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 18;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block));
    u32 shift = g % 2 * 4;
    for (u32 i = 0; i < 16; i++) w[i] = d * (f32)((i32)((u32)(block[2 + i] >> shift) & 15u) - 8);
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q4_0_BITS        4
#define q4_0_BLOCK       32
#define q4_0_GROUP       32
#define q4_0_ZERO        8
#define q4_0_MIN         0
#define q4_0_FIELD_BYTES 2
#define q4_0_FIELDS(X)   X(0, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q4_0_code(const FND_GPU u8 *block, u32 k) {
    return (u32)(block[2 + k % 16] >> (k / 16 * 4)) & 15u;
}
#endif
