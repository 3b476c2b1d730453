/* A pointer without an address space in the body of a macro. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
#define PLANTED_VALUE(x) \
    (*(const f32 *)&(x)) /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return PLANTED_VALUE(v);
}
