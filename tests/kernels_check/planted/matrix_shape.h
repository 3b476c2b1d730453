/* A matrix of a shape that SIMD groups do not have. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    metal::simdgroup_matrix<f32, 16, 8> m; /* planted */
    (void)m;
    return v;
}
