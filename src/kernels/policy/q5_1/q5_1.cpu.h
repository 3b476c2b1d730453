/* policy/q5_1/q5_1.cpu.h - Q5_1 as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale and a minimum. */
#ifndef POLICY_Q5_1_CPU_H
#define POLICY_Q5_1_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q5_1/q5_1.h"

#define q5_1_BITS        5
#define q5_1_PLANES      FND_PLANES_5
#define q5_1_unpack      fnd_unpack_5
#define q5_1_dot4        fnd_dot4
#define q5_1_BLOCK       32
#define q5_1_GROUP       32
#define q5_1_ZERO        0
#define q5_1_MIN         1
#define q5_1_FIELD_BYTES 4
#define q5_1_FIELDS(X)   X(0, 2, 1) X(2, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q5_1_code(const u8 *block, u32 k) {
    u32 low = (u32)(block[8 + k % 16] >> (k / 16 * 4)) & 15u;
    return low | ((u32)(block[4 + k / 8] >> k % 8) & 1u) << 4;
}
/* Scales and minima of one tile for a group of a block. */
FND_INLINE void q5_1_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    *scale = fnd_vec_load_f16((const u16 *)fields);
    *min = fnd_vec_load_f16((const u16 *)fields + FND_VEC);
}
#endif
