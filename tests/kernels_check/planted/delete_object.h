/* Memory given back to a heap. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    f32 x[1];
    FND_OWN f32 *p = x;
    x[0] = v;
    delete p; /* planted */
    return v;
}
