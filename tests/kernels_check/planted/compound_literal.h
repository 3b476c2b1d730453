/* C that is not C++. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    fnd_at here = (fnd_at){ .row = 1, .count = 2 }; /* planted */
    return v + (f32)here.row;
}
