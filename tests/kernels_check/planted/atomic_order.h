/* An atomic with an order that Metal does not have. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    FND_GPU metal::atomic_uint *p = 0;
    return v + (f32)metal::atomic_load_explicit(p, metal::memory_order_seq_cst); /* planted */
}
