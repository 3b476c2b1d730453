/* val.cpu.h - fnd_val on a CPU whose strategies compute tiles of FND_VEC rows: a vec. */
#ifndef FND_VAL_H
#define FND_VAL_H
#include "act.h"

#define FND_VALS FND_VEC
typedef vec fnd_val;

typedef struct fnd_at { u32 row, count, token; u32 writes; } fnd_at;

FND_INLINE fnd_val fnd_val_splat(f32 v) { return fnd_vec_splat(v); }
FND_INLINE fnd_val fnd_val_exp(fnd_val v) { return fnd_vec_exp(v); }
FND_INLINE fnd_val fnd_val_tanh(fnd_val v) { return fnd_vec_tanh(v); }
FND_INLINE fnd_val fnd_val_max(fnd_val a, fnd_val b) { return fnd_vec_max(a, b); }
/* Values index .. index + at.count - 1 of an array; lanes past them are 0. */
FND_INLINE fnd_val fnd_val_load(fnd_const_act a, u64 index, fnd_at at) {
    if (at.count == FND_VALS) return fnd_act_load(a, index);
    f32 v[FND_VALS] = { 0 };
    for (u32 i = 0; i < at.count; i++) v[i] = fnd_act_get(a, index + i);
    return fnd_vec_load(v);
}
FND_INLINE void fnd_val_store(fnd_act a, u64 index, fnd_val v, fnd_at at) {
    f32 lanes[FND_VALS];
    if (a.format == FND_ACT_F32 && at.count == FND_VALS) {
        fnd_vec_store((f32 *)a.p + index, v);
        return;
    }
    fnd_vec_store(lanes, v);
    for (u32 i = 0; i < at.count; i++) fnd_act_put(a, index + i, lanes[i]);
}
#endif
