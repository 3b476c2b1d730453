/* policy/q8_0/q8_0.cpu.h - Q8_0 as the CPU strategies see it: 8-bit codes u = q + 128 in tiles, and
 * per 32 weights a scale. */
#ifndef POLICY_Q8_0_CPU_H
#define POLICY_Q8_0_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/q8_0/q8_0.h"

#define q8_0_BITS        8
#define q8_0_PLANES      FND_PLANES_8
#define q8_0_unpack      fnd_unpack_8
#define q8_0_dot4        fnd_dot4_wide
#define q8_0_BLOCK       32
#define q8_0_GROUP       32
#define q8_0_ZERO        128
#define q8_0_MIN         0
#define q8_0_FIELD_BYTES 2
#define q8_0_FIELDS(X)   X(0, 2, 1)

FND_INLINE u32 q8_0_code(const u8 *block, u32 k) { return (u32)block[2 + k] ^ 128u; }
FND_INLINE void q8_0_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}
#endif
