/* A field that points nowhere in particular. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
typedef struct planted_pair {
    u32 count;
    const struct fnd_at *at; /* planted */
} planted_pair;
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v;
}
