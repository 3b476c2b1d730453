/* A matrix loaded from a thread's own memory. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 x[64];
    metal::simdgroup_float8x8 a;
    metal::simdgroup_load(a, (FND_OWN f32 *)x, 8ul); /* planted */
    return v;
}
