/* policy/q5_0/q5_0.cpu.h - Q5_0 as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale. */
#ifndef POLICY_Q5_0_CPU_H
#define POLICY_Q5_0_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q5_0/q5_0.h"

#define q5_0_BITS        5
#define q5_0_PLANES      FND_PLANES_5
#define q5_0_unpack      fnd_unpack_5
#define q5_0_dot4        fnd_dot4
#define q5_0_BLOCK       32
#define q5_0_GROUP       32
#define q5_0_ZERO        16
#define q5_0_MIN         0
#define q5_0_FIELD_BYTES 2
#define q5_0_FIELDS(X)   X(0, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q5_0_code(const u8 *block, u32 k) {
    u32 low = (u32)(block[6 + k % 16] >> (k / 16 * 4)) & 15u;
    return low | ((u32)(block[2 + k / 8] >> k % 8) & 1u) << 4;
}
/* Scales of one tile for a group of a block. */
FND_INLINE void q5_0_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}
#endif
