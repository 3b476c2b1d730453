/* policy/q4_k/q4_k.cpu.h - Q4_K as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q4_K_CPU_H
#define POLICY_Q4_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q4_k/q4_k.h"

#define q4_k_BITS        4
#define q4_k_PLANES      FND_PLANES_4
#define q4_k_unpack      fnd_unpack_4
#define q4_k_dot4        fnd_dot4
#define q4_k_scales      fnd_k_fields
#define q4_k_BLOCK       256
#define q4_k_GROUP       32
#define q4_k_ZERO        0
#define q4_k_MIN         1
#define q4_k_FIELD_BYTES 16
#define q4_k_FIELDS(X)   X(0, 2, 1) X(2, 2, 1) X(4, 1, 12)

/* Code of weight k of a block. */
FND_INLINE u32 q4_k_code(const u8 *block, u32 k) {
    return (u32)(block[16 + k / 64 * 32 + k % 32] >> (k / 32 % 2 * 4)) & 15u;
}
#endif
