/* policy/bf16/bf16.h - BF16: the upper half of an IEEE single, 2 bytes a weight, no blocks.
 *
 *   bit   15    14 ....... 7   6 ....... 0
 *        [sign] [ exponent  ] [ mantissa  ]
 *
 * Source: the bfloat16 format, little endian, as GGUF files store it. */
#ifndef POLICY_BF16_H
#define POLICY_BF16_H
#include "fnd_device.h"

FND_POLICY(bf16, 1, 2, "single precision cut to 16 bits")
FND_CHECK(sizeof(bf16) == 2, "bf16 weights have 2 bytes");

FND_INLINE u64 bf16_row_bytes(u32 cols) { return (u64)cols * 2; }

/* Weight k of a row. */
FND_INLINE f32 bf16_at(const FND_GPU u8 *row, u32 k) {
    return fnd_bf16_to_f32(((const FND_GPU u16 *)row)[k]);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void bf16_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    for (u32 i = 0; i < 16; i++) w[i] = bf16_at(row, 16 * g + i);
}
#endif
