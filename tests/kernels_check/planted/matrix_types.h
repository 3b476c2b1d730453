/* A product of matrices of different types. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    metal::simdgroup_float8x8 a(1.0f), sum(0.0f);
    metal::simdgroup_half8x8 b(1.0h);
    metal::simdgroup_multiply_accumulate(sum, a, b, sum); /* planted */
    return v;
}
