/* policy/q5_k/q5_k.cpu.h - Q5_K as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q5_K_CPU_H
#define POLICY_Q5_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q5_k/q5_k.h"

#define q5_k_BITS        5
#define q5_k_PLANES      FND_PLANES_5
#define q5_k_unpack      fnd_unpack_5
#define q5_k_dot4        fnd_dot4
#define q5_k_scales      fnd_k_fields
#define q5_k_BLOCK       256
#define q5_k_GROUP       32
#define q5_k_ZERO        0
#define q5_k_MIN         1
#define q5_k_FIELD_BYTES 16
#define q5_k_FIELDS(X)   X(0, 2, 1) X(2, 2, 1) X(4, 1, 12)

/* Code of weight k of a block. */
FND_INLINE u32 q5_k_code(const u8 *block, u32 k) {
    u32 low = (u32)(block[48 + k / 64 * 32 + k % 32] >> (k / 32 % 2 * 4)) & 15u;
    return low | ((u32)(block[16 + k % 32] >> k / 32) & 1u) << 4;
}
#endif
