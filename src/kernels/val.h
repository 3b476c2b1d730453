/* val.h - fnd_val: what one thread holds of a result. Here: one row at a time.
 *
 * A place is where a result stands: row `row` (the first of `count` neighbouring rows) of token
 * `token`. Epilogues take and give an fnd_val and may ask for the place. */
#ifndef FND_VAL_H
#define FND_VAL_H
#include "act.h"

#define FND_VALS 1
typedef f32 fnd_val;

typedef struct fnd_at { u32 row, count, token; u32 writes; } fnd_at;

FND_INLINE fnd_val fnd_val_splat(f32 v) { return v; }
FND_INLINE fnd_val fnd_val_exp(fnd_val v) { return fnd_exp(v); }
FND_INLINE fnd_val fnd_val_tanh(fnd_val v) { return fnd_tanh(v); }
FND_INLINE fnd_val fnd_val_max(fnd_val a, fnd_val b) { return fnd_fmax(a, b); }
/* Values index .. index + at.count - 1 of an array; a thread that writes no result needs none, and would
 * meet the one that writes where the result goes over the array. */
FND_INLINE fnd_val fnd_val_load(fnd_const_act a, u64 index, fnd_at at) { return at.writes ? fnd_act_get(a, index) : 0.0f; }
FND_INLINE void fnd_val_store(fnd_act a, u64 index, fnd_val v, fnd_at at) {
    if (at.writes) fnd_act_put(a, index, v);
}
#endif
