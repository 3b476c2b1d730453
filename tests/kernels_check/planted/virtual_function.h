/* A virtual function. */
#include "val.h"

typedef struct planted_object {
    virtual f32 value(f32 v) { return v; } /* planted */
} planted_object;

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return v;
}
