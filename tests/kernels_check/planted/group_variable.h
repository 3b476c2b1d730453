/* Group memory outside an entry point. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    FND_GROUP f32 shared[4]; /* planted */
    return v + (f32)sizeof(shared);
}
