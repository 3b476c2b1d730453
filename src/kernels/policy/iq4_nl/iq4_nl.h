/* policy/iq4_nl/iq4_nl.h - IQ4_NL: blocks of 32 weights in 18 bytes, w = d * value[u].
 *
 *   byte  0 1   2 .................. 17
 *        [ d ] [ 16 bytes of codes      ]
 *         f16    byte 2 + j: bits 0-3 = u of weight j, bits 4-7 = u of weight j + 16
 *
 * The 16 values lie closer together near 0, where most weights are.
 * Source: ggml's block_iq4_nl, as GGUF files store it. */
#ifndef POLICY_IQ4_NL_H
#define POLICY_IQ4_NL_H
#include "fnd_device.h"

FND_POLICY(iq4_nl, 32, 18, "4-bit codes of 16 unequal steps with a scale per 32 weights")

typedef struct iq4_nl_block { u8 d[2], codes[16]; } iq4_nl_block;
FND_CHECK(sizeof(iq4_nl_block) == 18, "iq4_nl blocks have 18 bytes");

FND_CONSTANT i8 iq4_nl_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113 };

FND_INLINE u64 iq4_nl_row_bytes(u32 cols) { return (u64)(cols / 32) * 18; }

/* Weight k of a row. */
FND_INLINE f32 iq4_nl_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 18;
    u32 u = (u32)(block[2 + k % 16] >> (k % 32 / 16 * 4)) & 15u;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)iq4_nl_values[u];
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void iq4_nl_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 18;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block));
    u32 shift = g % 2 * 4;
    for (u32 i = 0; i < 16; i++) w[i] = d * (f32)iq4_nl_values[(u32)(block[2 + i] >> shift) & 15u];
}

/* As codes: w = scale * (u - ZERO) + min. */
#define iq4_nl_BITS        4
#define iq4_nl_BLOCK       32
#define iq4_nl_GROUP       32
#define iq4_nl_ZERO        128
#define iq4_nl_MIN         0
#define iq4_nl_FIELD_BYTES 2
#define iq4_nl_FIELDS(X)   X(0, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 iq4_nl_code(const FND_GPU u8 *block, u32 k) {
    return (u32)(block[2 + k % 16] >> (k / 16 * 4)) & 15u;
}
#endif
