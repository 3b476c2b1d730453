/* An entry point of its own, and a parameter that says not what it is. */
#include "val.h"

kernel void planted_entry(FND_GPU f32 *y, u32 which) { y[which] = 0.0f; } /* planted */

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v;
}
