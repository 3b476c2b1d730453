/* act.h - activations of any type: a pointer and its format.
 *
 * The composer prints the format as a constant (`fnd_in(a.x, FND_ACT_F16)`), so the choices below
 * are made by the compiler and leave no branch behind. Q8_0 rows are GGUF blocks: 34 bytes, an f16
 * scale d and 32 signed codes q, value d * q; their index must fall on the blocks it needs. */
#ifndef FND_ACT_H
#define FND_ACT_H
#include "fnd_device.h"

#define FND_ACT_F32  1u
#define FND_ACT_F16  2u
#define FND_ACT_BF16 3u
#define FND_ACT_Q8_0 4u

typedef struct fnd_const_act { const FND_GPU u8 *p; u32 format; } fnd_const_act;
typedef struct fnd_act { FND_GPU u8 *p; u32 format; } fnd_act;

FND_INLINE fnd_const_act fnd_in(const FND_GPU u8 *p, u32 format) {
    fnd_const_act a;
    a.p = p;
    a.format = format;
    return a;
}
FND_INLINE fnd_act fnd_out(FND_GPU u8 *p, u32 format) {
    fnd_act a;
    a.p = p;
    a.format = format;
    return a;
}
FND_INLINE fnd_const_act fnd_act_const(fnd_act a) { return fnd_in(a.p, a.format); }

/* Value i. */
FND_INLINE f32 fnd_act_get(fnd_const_act a, u64 i) {
    if (a.format == FND_ACT_F32) return ((const FND_GPU f32 *)a.p)[i];
    if (a.format == FND_ACT_F16) return fnd_f16_to_f32(((const FND_GPU u16 *)a.p)[i]);
    if (a.format == FND_ACT_BF16) return fnd_bf16_to_f32(((const FND_GPU u16 *)a.p)[i]);
    const FND_GPU u8 *block = a.p + i / 32 * 34;
    return fnd_f16_to_f32(fnd_load_u16(block)) * (f32)(i8)block[2 + i % 32];
}
/* FND_VEC values from i on. */
FND_INLINE vec fnd_act_load(fnd_const_act a, u64 i) {
    if (a.format == FND_ACT_F32) return fnd_vec_load((const FND_GPU f32 *)a.p + i);
    if (a.format == FND_ACT_F16) return fnd_vec_load_f16((const FND_GPU u16 *)a.p + i);
    f32 v[FND_VEC];
    for (u32 k = 0; k < FND_VEC; k++) v[k] = fnd_act_get(a, i + k);
    return fnd_vec_load_own(v);
}
/* Store value i. A Q8_0 tensor is stored by blocks only: fnd_act_put_block. */
FND_INLINE void fnd_act_put(fnd_act a, u64 i, f32 v) {
    if (a.format == FND_ACT_F32) ((FND_GPU f32 *)a.p)[i] = v;
    if (a.format == FND_ACT_F16) ((FND_GPU u16 *)a.p)[i] = fnd_f32_to_f16(v);
    if (a.format == FND_ACT_BF16) ((FND_GPU u16 *)a.p)[i] = fnd_f32_to_bf16(v);
}
/* Quantise 32 values into block `block` (values 32 * block ...): d = max|v| / 127, rounded to
 * nearest, ties away from zero, as GGUF writers do. */
FND_INLINE void fnd_act_put_block(fnd_act a, u64 block, const FND_OWN f32 *v) {
    FND_GPU u8 *out = a.p + block * 34;
    f32 most = 0.0f;
    for (u32 k = 0; k < 32; k++) most = fnd_fmax(most, fnd_fabs(v[k]));
    f32 d = most / 127.0f, inverse = d > 0.0f ? 1.0f / d : 0.0f;
    u16 half_d = fnd_f32_to_f16(d);
    out[0] = (u8)(half_d & 255u);
    out[1] = (u8)(half_d >> 8);
    for (u32 k = 0; k < 32; k++) {
        f32 q = v[k] * inverse;
        out[2 + k] = (u8)(i8)(i32)(q < 0.0f ? q - 0.5f : q + 0.5f);
    }
}
#endif
