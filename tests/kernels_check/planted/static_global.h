/* A variable at file scope. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
static u32 planted_calls; /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v + (f32)planted_calls;
}
