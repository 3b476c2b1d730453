/* policy/q4_k/q4_k.cpu.h - Q4_K as the CPU strategies see it: 4-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q4_K_CPU_H
#define POLICY_Q4_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q4_k/q4_k.h"

#define q4_k_PLANES      FND_PLANES_4
#define q4_k_unpack      fnd_unpack_4
#define q4_k_scales      fnd_k_fields

/* One block of the tile's rows. */
#define q4_k_TAKES 1
FND_INLINE void q4_k_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    fnd_take_k_fields(fields, block, stride);
    FND_UNROLL for (u32 c = 0; c < 4; c++, planes += 2 * FND_PLANES_4) {
        vec_u32 w[8];
        fnd_words8(block + 16 + 32 * c, stride, w);
        fnd_put_nibbles(planes, w, 0);
        fnd_put_nibbles(planes + FND_PLANES_4, w, 4);
    }
}
#endif
