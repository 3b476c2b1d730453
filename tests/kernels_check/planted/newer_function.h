/* A function that came with Metal 3.1; texts are compiled as 3.0. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return metal::nextafter(v, 1.0f); /* planted */
}
