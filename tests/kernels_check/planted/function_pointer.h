/* A pointer to a function. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
typedef f32 (*planted_function)(f32 v); /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v;
}
