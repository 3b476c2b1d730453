/* A pointer to group memory from a pointer to device memory. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE f32 planted_get(const FND_GPU f32 *from) {
    const FND_GROUP f32 *p = from; /* planted */
    return *p;
}
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return planted_get((const FND_GPU f32 *)0) + v;
}
