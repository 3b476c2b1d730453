/* A vec times a number: only C has it. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    vec twice = fnd_vec_splat(v) * 2.0f; /* planted */
    return fnd_vec_sum(twice);
}
