/* policy/q8_0/q8_0.cpu.h - Q8_0 as the CPU strategies see it: 8-bit codes u = q + 128 in tiles, and
 * per 32 weights a scale. */
#ifndef POLICY_Q8_0_CPU_H
#define POLICY_Q8_0_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q8_0/q8_0.h"

#define q8_0_PLANES      FND_PLANES_8
#define q8_0_unpack      fnd_unpack_8

FND_INLINE void q8_0_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}

/* One block of the tile's rows. */
#define q8_0_TAKES 1
FND_INLINE void q8_0_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    fnd_take_units(fields, block, stride, 1);
    fnd_take_8(planes, block + 2, stride, 128);
}
#endif
