/* An attribute that Metal does not have. */
#include "val.h"

typedef struct planted_pair { f32 a [[of_the_thread]], b; } planted_pair; /* planted */

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v;
}
