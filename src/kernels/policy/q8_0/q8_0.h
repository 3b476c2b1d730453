/* policy/q8_0/q8_0.h - Q8_0: blocks of 32 weights in 34 bytes, w = d * q.
 *
 *   byte  0 1   2 .................. 33
 *        [ d ] [ 32 signed codes q     ]
 *         f16    byte 2 + j: weight j
 *
 * Source: ggml's block_q8_0, as GGUF files store it. */
#ifndef POLICY_Q8_0_H
#define POLICY_Q8_0_H
#include "fnd_device.h"

FND_POLICY(q8_0, 32, 34, "8-bit codes with a scale per 32 weights")

typedef struct q8_0_block { u8 d[2]; i8 codes[32]; } q8_0_block;
FND_CHECK(sizeof(q8_0_block) == 34, "q8_0 blocks have 34 bytes");

FND_INLINE u64 q8_0_row_bytes(u32 cols) { return (u64)(cols / 32) * 34; }

/* Weight k of a row. */
FND_INLINE f32 q8_0_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 34;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)(i8)block[2 + k % 32];
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void q8_0_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 34;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block));
    for (u32 i = 0; i < 16; i++) w[i] = d * (f32)(i8)block[2 + g % 2 * 16 + i];
}

/* As codes: w = scale * (u - ZERO) + min. */
#define q8_0_BITS        8
#define q8_0_BLOCK       32
#define q8_0_GROUP       32
#define q8_0_ZERO        128
#define q8_0_MIN         0
#define q8_0_FIELD_BYTES 2
#define q8_0_FIELDS(X)   X(0, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q8_0_code(const FND_GPU u8 *block, u32 k) { return (u32)block[2 + k] ^ 128u; }
#endif
