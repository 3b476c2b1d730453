/* An array parameter is a pointer. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE f32 planted_sum(const f32 w[2]) { return w[0] + w[1]; } /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 w[2];
    w[0] = v;
    w[1] = v;
    return planted_sum(w);
}
