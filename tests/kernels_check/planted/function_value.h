/* A function taken as a value. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE f32 planted_twice(f32 v) { return 2.0f * v; }
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    u64 at_all = (u64)&planted_twice; /* planted */
    return v + (f32)at_all;
}
