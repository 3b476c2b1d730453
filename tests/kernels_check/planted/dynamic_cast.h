/* A cast checked at run time. */
#include "val.h"

typedef struct planted_base { f32 v; } planted_base;

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    planted_base b;
    FND_OWN planted_base *p = &b;
    return dynamic_cast<FND_OWN planted_base *>(p)->v + v; /* planted */
}
