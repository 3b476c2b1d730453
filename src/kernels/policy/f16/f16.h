/* policy/f16/f16.h - F16: IEEE half precision, 2 bytes a weight, no blocks.
 *
 *   bit   15    14 ...... 10   9 ....... 0
 *        [sign] [ exponent  ] [ mantissa  ]
 *
 * Source: IEEE 754 binary16, little endian, as GGUF files store it. */
#ifndef POLICY_F16_H
#define POLICY_F16_H
#include "fnd_device.h"

FND_POLICY(f16, 1, 2, "half precision")
FND_CHECK(sizeof(f16) == 2, "f16 weights have 2 bytes");

FND_INLINE u64 f16_row_bytes(u32 cols) { return (u64)cols * 2; }

/* Weight k of a row. */
FND_INLINE f32 f16_at(const FND_GPU u8 *row, u32 k) {
    return fnd_f16_to_f32(((const FND_GPU u16 *)row)[k]);
}
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void f16_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    for (u32 i = 0; i < 16; i++) w[i] = f16_at(row, 16 * g + i);
}
#endif
