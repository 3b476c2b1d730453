/* A conversion that Metal does not make by itself. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    metal::float4 a(v, v, v, v);
    metal::int4 b = a; /* planted */
    return v + (f32)b.x;
}
