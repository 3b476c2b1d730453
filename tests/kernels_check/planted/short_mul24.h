/* A product of 24 bits, which there is of int and uint only. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v + (f32)metal::mul24((u64)2, (u64)3); /* planted */
}
