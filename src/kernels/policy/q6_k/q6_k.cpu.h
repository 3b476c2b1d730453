/* policy/q6_k/q6_k.cpu.h - Q6_K as the CPU strategies see it: 6-bit codes in tiles, and per 16
 * weights a scale of 8 bits. */
#ifndef POLICY_Q6_K_CPU_H
#define POLICY_Q6_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q6_k/q6_k.h"

#define q6_k_BITS        6
#define q6_k_PLANES      FND_PLANES_6
#define q6_k_unpack      fnd_unpack_6
#define q6_k_dot4        fnd_dot4
#define q6_k_BLOCK       256
#define q6_k_GROUP       16
#define q6_k_ZERO        32
#define q6_k_MIN         0
#define q6_k_FIELD_BYTES 18
#define q6_k_FIELDS(X)   X(192, 1, 16) X(208, 2, 1)

/* Code of weight k of a block. */
FND_INLINE u32 q6_k_code(const u8 *block, u32 k) {
    u32 quarter = k % 128 / 32;
    u32 low = (u32)(block[k / 128 * 64 + quarter % 2 * 32 + k % 32] >> (quarter / 2 * 4)) & 15u;
    return low | ((u32)(block[128 + k / 128 * 32 + k % 32] >> (2 * quarter)) & 3u) << 4;
}
/* Scales of one tile for a group of a block. */
FND_INLINE void q6_k_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)min;
    vec d = fnd_vec_load_f16((const u16 *)(fields + 16 * FND_VEC));
    *scale = d * fnd_vec_of(fnd_vec_i8(fields + group * FND_VEC));
}
#endif
