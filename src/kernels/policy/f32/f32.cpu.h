/* policy/f32/f32.cpu.h - F32 as the CPU strategies see it: floats in tiles. */
#ifndef POLICY_F32_CPU_H
#define POLICY_F32_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/f32/f32.h"

#define f32_FLOATS 1
#define f32_PARTS  3 /* gemv/panel_dot.cpu.h */
/* Column k of a tile. */
FND_INLINE vec f32_load(const u8 *tile, u32 k) {
    return fnd_vec_load((const f32 *)tile + (u64)k * FND_VEC);
}
#endif
