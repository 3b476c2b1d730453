/* A function that is not FND_INLINE. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
f32 planted_half(f32 v);
f32 planted_half(f32 v) { return 0.5f * v; } /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return planted_half(v);
}
