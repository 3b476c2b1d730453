/* A function that calls itself. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE f32 planted_power(f32 v, u32 n) { /* planted */
    return n ? v * planted_power(v, n - 1) : 1.0f;
}
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return planted_power(v, 3);
}
