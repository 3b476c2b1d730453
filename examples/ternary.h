/* ternary.h - a weight format of one's own: blocks of 32 weights -1, 0 or 1 times a scale, in 10 bytes.
 *
 *   byte  0 1   2 ................... 9
 *        [ d ] [ 8 bytes of codes      ]   w = d * (u - 1)
 *         f16    byte 2 + j: bits 2i, 2i+1 = u of weight 4j + i
 *
 * Registered by custom_format.c, under the path that kernels include it by. It has no text for one
 * machine: every kernel that reads it uses the portable texts, with the weights as they lie in the file. */
#ifndef POLICY_TERNARY_H
#define POLICY_TERNARY_H
#include "fnd_device.h"

FND_POLICY(ternary, 32, 10, "-1, 0 or 1 with a scale per 32 weights")

FND_INLINE u64 ternary_row_bytes(u32 cols) { return (u64)(cols / 32) * 10; }

/* Weight k of a row. */
FND_INLINE f32 ternary_at(const FND_GPU u8 *row, u32 k) {
    const FND_GPU u8 *block = row + (u64)(k / 32) * 10;
    u32 u = (u32)(block[2 + k % 32 / 4] >> (k % 4 * 2)) & 3u;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)((i32)u - 1);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void ternary_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 10;
    f32 d = fnd_f16_to_f32(fnd_load_u16(block));
    for (u32 i = 0; i < 16; i++) w[i] = d * (f32)((i32)((u32)(block[2 + g % 2 * 4 + i / 4] >> (i % 4 * 2)) & 3u) - 1);
}
#endif
