/* A parameter that points nowhere in particular. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
#define TWICE 2.0f
FND_INLINE f32 planted_first(const f32 *p) { return *p * TWICE; } /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 x = v;
    return planted_first(&x);
}
