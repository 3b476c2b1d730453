/* The outer pointer has an address space, the inner one too, but what is in between has none. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 x = v;
    FND_OWN f32 *p = &x;
    FND_OWN f32 **q = &p; /* planted */
    return **q;
}
