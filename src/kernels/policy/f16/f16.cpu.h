/* policy/f16/f16.cpu.h - F16 as the CPU strategies see it: halves in tiles. */
#ifndef POLICY_F16_CPU_H
#define POLICY_F16_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/f16/f16.h"

#define f16_FLOATS 1
#define f16_PARTS  1 /* gemv/panel_dot.cpu.h */
/* Column k of a tile. */
FND_INLINE vec f16_load(const u8 *tile, u32 k) {
    return fnd_vec_load_f16((const u16 *)tile + (u64)k * FND_VEC);
}
#endif
