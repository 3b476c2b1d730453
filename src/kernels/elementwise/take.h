/* elementwise/take.h - the beginning of an elementwise kernel, and what only such kernels need. Sums
 * and products of two tensors are take + residual and take + gate (gemv/epilogue.h). */
#ifndef ELEMENTWISE_TAKE_H
#define ELEMENTWISE_TAKE_H
#include "val.h"

#define TAKE_ARGS(X) \
    X(IN, act, x, "[tokens, rows]", "values to work on") \
    X(RULE, "tokens*rows <= 2147483648", "places are counted in 32 bits")
FND_STAGE(take, TAKE_ARGS, MAIN, NONE, TILE, OWN, "the value of x at each place")
FND_INLINE fnd_val take(fnd_at at, fnd_const_act x, u32 tokens, u32 rows) {
    (void)tokens;
    return fnd_val_load(x, (u64)at.token * rows + at.row, at);
}

#define SCALE_ARGS(X) \
    X(VAL, f32, factor, "", "multiplies every value")
FND_STAGE(scale, SCALE_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "v * factor")
FND_INLINE fnd_val scale(fnd_val v, fnd_at at, f32 factor) {
    (void)at;
    return v * fnd_val_splat(factor);
}
#endif
