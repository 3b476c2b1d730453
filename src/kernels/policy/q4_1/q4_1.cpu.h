/* policy/q4_1/q4_1.cpu.h - Q4_1 as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale and a minimum. */
#ifndef POLICY_Q4_1_CPU_H
#define POLICY_Q4_1_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q4_1/q4_1.h"

#define q4_1_PLANES      FND_PLANES_4
#define q4_1_unpack      fnd_unpack_4

/* Scales and minima of one tile for a group of a block. */
FND_INLINE void q4_1_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    *scale = fnd_vec_load_f16((const u16 *)fields);
    *min = fnd_vec_load_f16((const u16 *)fields + FND_VEC);
}

/* One block of the tile's rows. */
#define q4_1_TAKES 1
FND_INLINE void q4_1_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    fnd_take_units(fields, block, stride, 2);
    fnd_take_4(planes, block + 4, stride);
}
#endif
