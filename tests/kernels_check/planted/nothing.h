/* Breaks no rule: the strict check must pass. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 twice[2], sum = 0.0f;
    const FND_OWN f32 *p = twice, *q = twice + 1;
    twice[0] = v;
    twice[1] = v;
    sum = *p * *q;
    return fnd_val_splat(sum);
}
