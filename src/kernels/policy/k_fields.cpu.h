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
#endif
