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

/* One block of the tile's rows. */
#define q6_k_TAKES 1
FND_INLINE void q6_k_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    vec_u32 w[4], low[2][8], high[8];
    fnd_words4(block + 192, stride, w);
    FND_UNROLL for (u32 n = 0; n < 16; n++) fnd_put_u8(fields + n * FND_VEC, w[n / 4] >> n % 4 * 8);
    fnd_words4(block + 194, stride, w);
    fnd_put_u16(fields + 16 * FND_VEC, w[3] >> 16);
    for (u32 h = 0; h < 2; h++) {
        fnd_words8(block + 64 * h, stride, low[0]);
        fnd_words8(block + 64 * h + 32, stride, low[1]);
        fnd_words8(block + 128 + 32 * h, stride, high);
        FND_UNROLL for (u32 q = 0; q < 4; q++, planes += FND_PLANES_6) {
            vec_u32 above[2] = { { 0 }, { 0 } };
            fnd_put_nibbles(planes, low[q % 2], q / 2 * 4);
            FND_UNROLL for (u32 j = 0; j < 8; j++) above[j / 4] |= ((high[j] >> 2 * q) & 0x03030303u) << j % 4 * 2;
            fnd_put_u32(planes + FND_PLANES_4, above[0]);
            fnd_put_u32(planes + FND_PLANES_4 + 4 * FND_VEC, above[1]);
        }
    }
}
#endif
