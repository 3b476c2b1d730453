/* policy/q6_k/q6_k.cpu.h - Q6_K as the CPU strategies see it: 6-bit codes in tiles, and per 16
 * weights a scale of 8 bits. */
#ifndef POLICY_Q6_K_CPU_H
#define POLICY_Q6_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q6_k/q6_k.h"

#define q6_k_PLANES      FND_PLANES_6
#define q6_k_unpack      fnd_unpack_6

/* Scales of one tile for a group of a block. */
FND_INLINE void q6_k_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)min;
    vec d = fnd_vec_load_f16((const u16 *)(fields + 16 * FND_VEC));
    *scale = d * fnd_vec_of(fnd_vec_i8(fields + group * FND_VEC));
}
#endif
