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

/* One block of the tile's rows. */
#define q5_0_TAKES 1
FND_INLINE void q5_0_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    vec_u32 w[4];
    fnd_words4(block, stride, w);
    fnd_put_u16(fields, w[0]);
    fnd_take_5(planes, block + 6, stride, w[0] >> 16 | w[1] << 16);
}
#endif
