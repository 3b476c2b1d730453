/* policy/q4_1/q4_1.cpu.h - Q4_1 as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale and a minimum. */
#ifndef POLICY_Q4_1_CPU_H
#define POLICY_Q4_1_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q4_1/q4_1.h"

#define q4_1_BITS        4
#define q4_1_PLANES      FND_PLANES_4
#define q4_1_unpack      fnd_unpack_4
#define q4_1_dot4        fnd_dot4
#define q4_1_BLOCK       32 /* weights of a block */
#define q4_1_GROUP       32 /* weights that share a scale */
#define q4_1_ZERO        0  /* the code of weight 0, where there is no minimum */
#define q4_1_MIN         1  /* has a minimum */
#define q4_1_FIELD_BYTES 4  /* packed scales of a block: X(offset, bytes of a unit, units) */
#define q4_1_FIELDS(X)   X(0, 2, 1) X(2, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q4_1_code(const u8 *block, u32 k) {
    return (u32)(block[4 + k % 16] >> (k / 16 * 4)) & 15u;
}
/* Scales and minima of one tile for a group of a block. */
FND_INLINE void q4_1_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    *scale = fnd_vec_load_f16((const u16 *)fields);
    *min = fnd_vec_load_f16((const u16 *)fields + FND_VEC);
}
#endif
