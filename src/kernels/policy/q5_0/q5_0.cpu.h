/* policy/q5_0/q5_0.cpu.h - Q5_0 as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale. */
#ifndef POLICY_Q5_0_CPU_H
#define POLICY_Q5_0_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q5_0/q5_0.h"

#define q5_0_PLANES      FND_PLANES_5
#define q5_0_unpack      fnd_unpack_5

/* Scales of one tile for a group of a block. */
FND_INLINE void q5_0_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}
#endif
