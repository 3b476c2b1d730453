/* policy/q4_0/q4_0.cpu.h - Q4_0 as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale. */
#ifndef POLICY_Q4_0_CPU_H
#define POLICY_Q4_0_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q4_0/q4_0.h"

#define q4_0_PLANES      FND_PLANES_4
#define q4_0_unpack      fnd_unpack_4

/* Scales of one tile for a group of a block. */
FND_INLINE void q4_0_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}

/* One block of the tile's rows. */
#define q4_0_TAKES 1
FND_INLINE void q4_0_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    fnd_take_units(fields, block, stride, 1);
    fnd_take_4(planes, block + 2, stride);
}
#endif
