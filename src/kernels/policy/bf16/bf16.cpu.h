/* policy/bf16/bf16.cpu.h - BF16 as the CPU strategies see it: 16-bit floats in tiles. */
#ifndef POLICY_BF16_CPU_H
#define POLICY_BF16_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/bf16/bf16.h"

#define bf16_FLOATS 1
#define bf16_PARTS  1 /* gemv/panel_dot.cpu.h */
/* Column k of a tile. */
FND_INLINE vec bf16_load(const u8 *tile, u32 k) {
    return (vec)(fnd_vec_u16((const u16 *)tile + (u64)k * FND_VEC) << 16);
}
#endif
