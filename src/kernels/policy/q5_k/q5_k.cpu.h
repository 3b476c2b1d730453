/* policy/q5_k/q5_k.cpu.h - Q5_K as the CPU strategies see it: 5-bit codes in tiles, and per 32
 * weights a scale and a minimum of 6 bits. */
#ifndef POLICY_Q5_K_CPU_H
#define POLICY_Q5_K_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/k_fields.cpu.h"
#include "policy/q5_k/q5_k.h"

#define q5_k_PLANES      FND_PLANES_5
#define q5_k_unpack      fnd_unpack_5
#define q5_k_scales      fnd_k_fields

/* One block of the tile's rows. */
#define q5_k_TAKES 1
FND_INLINE void q5_k_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    vec_u32 high[8], w[8];
    fnd_take_k_fields(fields, block, stride);
    fnd_words8(block + 16, stride, high);
    FND_UNROLL for (u32 c = 0; c < 8; c++, planes += FND_PLANES_5) {
        vec_u32 above = { 0 };
        if (c % 2 == 0) fnd_words8(block + 48 + 16 * c, stride, w);
        fnd_put_nibbles(planes, w, c % 2 * 4);
        FND_UNROLL for (u32 j = 0; j < 8; j++) above |= ((high[j] >> c) & 0x01010101u) << j;
        fnd_put_u32(planes + FND_PLANES_4, above);
    }
}
#endif
