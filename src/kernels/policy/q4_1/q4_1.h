/* policy/q4_1/q4_1.h - Q4_1: blocks of 32 weights in 20 bytes, w = d * u + m.
 *
 *   byte  0 1   2 3   4 .................. 19
 *        [ d ] [ m ] [ 16 bytes of codes      ]
 *         f16   f16    byte j: bits 0-3 = u of weight j, bits 4-7 = u of weight j + 16
 *
 * Source: ggml's block_q4_1, as GGUF files store it. */
#ifndef POLICY_Q4_1_H
#define POLICY_Q4_1_H
#include "fnd_device.h"

FND_POLICY(q4_1, 32, 20, "4-bit codes with scale and minimum per 32 weights")

typedef struct q4_1_block { u8 d[2], m[2], codes[16]; } q4_1_block;
FND_CHECK(sizeof(q4_1_block) == 20, "q4_1 blocks have 20 bytes");

FND_INLINE u64 q4_1_row_bytes(u32 cols) { return (u64)(cols / 32) * 20; }

/* Weight k of a row. */
FND_INLINE f32 q4_1_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 20;
    u32 u = (u32)(block[4 + k % 16] >> (k % 32 / 16 * 4)) & 15u;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)u + fnd_f16_to_f32(fnd_load_u16(block + 2));
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q4_1_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 20;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block)), m = fnd_f16_to_f32(fnd_load_u16(block + 2));
    u32 shift = g % 2 * 4;
    for (u32 i = 0; i < 16; i++) w[i] = d * (f32)((u32)(block[4 + i] >> shift) & 15u) + m;
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q4_1_BITS        4
#define q4_1_BLOCK       32 /* weights of a block */
#define q4_1_GROUP       32 /* weights that share a scale */
#define q4_1_ZERO        0  /* the code of weight 0, where there is no minimum */
#define q4_1_MIN         1  /* has a minimum */
#define q4_1_FIELD_BYTES 4  /* packed scales of a block: X(offset, bytes of a unit, units) */
#define q4_1_FIELDS(X)   X(0, 2, 1) X(2, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q4_1_code(const FND_GPU u8 *block, u32 k) {
    return (u32)(block[4 + k % 16] >> (k / 16 * 4)) & 15u;
}
#endif
