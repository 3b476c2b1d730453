/* policy/f32/f32.h - F32: IEEE single precision, 4 bytes a weight, no blocks.
 *
 *   bit   31    30 ..... 23   22 ....... 0
 *        [sign] [ exponent  ] [ mantissa  ]
 *
 * Source: IEEE 754 binary32, little endian, as GGUF files store it. */
#ifndef POLICY_F32_H
#define POLICY_F32_H
#include "fnd_device.h"

FND_POLICY(f32, 1, 4, "single precision")
FND_CHECK(sizeof(f32) == 4, "f32 weights have 4 bytes");

FND_INLINE u64 f32_row_bytes(u32 cols) { return (u64)cols * 4; }

/* Weight k of a row. */
FND_INLINE f32 f32_at(const FND_GPU u8 *row, u32 k) { return ((const FND_GPU f32 *)row)[k]; }
/* Weights 16 g .. 16 g + 15 of a row. */
FND_INLINE void f32_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    for (u32 i = 0; i < 16; i++) w[i] = f32_at(row, 16 * g + i);
}
#endif
