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

/* One block of the tile's rows. */
#define q5_1_TAKES 1
FND_INLINE void q5_1_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    vec_u32 w[4];
    fnd_words4(block, stride, w);
    fnd_put_u16(fields, w[0]);
    fnd_put_u16(fields + 2 * FND_VEC, w[0] >> 16);
    fnd_take_5(planes, block + 8, stride, w[1]);
}
#endif
