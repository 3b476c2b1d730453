/* policy/k_fields.cpu.h - the scales and minima of policy/k_scales.h, for a tile of FND_VEC rows at
 * once: fields are d, dmin and the 12 packed bytes, [unit][row]. */
#ifndef POLICY_K_FIELDS_CPU_H
#define POLICY_K_FIELDS_CPU_H
#include "gemv/tile.cpu.h"

FND_INLINE void fnd_k_fields(const u8 *fields, u32 j, vec *scale, vec *min) {
    const u8 *packed = fields + 4 * FND_VEC;
    vec_i32 s, m;
    if (j < 4) {
        s = fnd_vec_u8(packed + j * FND_VEC) & 63;
        m = fnd_vec_u8(packed + (j + 4) * FND_VEC) & 63;
    } else {
        vec_i32 low = fnd_vec_u8(packed + (j + 4) * FND_VEC);
        s = (low & 15) | (fnd_vec_u8(packed + (j - 4) * FND_VEC) >> 6 << 4);
        m = low >> 4 | (fnd_vec_u8(packed + j * FND_VEC) >> 6 << 4);
    }
    *scale = fnd_vec_load_f16((const u16 *)fields) * fnd_vec_of(s);
    *min = -fnd_vec_load_f16((const u16 *)fields + FND_VEC) * fnd_vec_of(m);
}

/* The fields of a block of as many rows (gemv/take.cpu.h). */
FND_INLINE void fnd_take_k_fields(u8 *fields, const u8 *block, u64 stride) {
    vec_u32 w[4];
    fnd_words4(block, stride, w);
    fnd_put_u16(fields, w[0]);
    fnd_put_u16(fields + 2 * FND_VEC, w[0] >> 16);
    FND_UNROLL for (u32 n = 0; n < 12; n++) fnd_put_u8(fields + (4 + n) * FND_VEC, w[1 + n / 4] >> n % 4 * 8);
}
#endif
