/* policy/q5_1/q5_1.cpu.h - Q5_1 as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale and a minimum. */
#ifndef POLICY_Q5_1_CPU_H
#define POLICY_Q5_1_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q5_1/q5_1.h"

#define q5_1_PLANES      FND_PLANES_5
#define q5_1_unpack      fnd_unpack_5

/* Scales and minima of one tile for a group of a block. */
FND_INLINE void q5_1_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    *scale = fnd_vec_load_f16((const u16 *)fields);
    *min = fnd_vec_load_f16((const u16 *)fields + FND_VEC);
}
#endif
