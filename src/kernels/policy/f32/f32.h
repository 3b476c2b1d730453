/* policy/f32/f32.h - F32: IEEE single precision, 4 bytes a weight, no blocks. */
#ifndef POLICY_F32_H
#define POLICY_F32_H
#include "fnd_device.h"

FND_POLICY(f32, 1, 4, "single precision")

FND_INLINE u64 f32_row_bytes(u32 cols) { return (u64)cols * 4; }
FND_INLINE f32 f32_at(const FND_GPU u8 *row, u32 k) { return ((const FND_GPU f32 *)row)[k]; }
FND_INLINE void f32_decode16(const FND_GPU u8 *row, u32 g, FND_OWN f32 *w) {
    for (u32 i = 0; i < 16; i++) w[i] = f32_at(row, 16 * g + i);
}
#endif
