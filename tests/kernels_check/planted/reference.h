/* A reference that names no address space. */
#include "val.h"

FND_INLINE f32 planted_of(f32 &v) { return v; } /* planted */

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return planted_of(v);
}
