/* An atomic in a thread's own memory. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    metal::atomic_uint x;
    return v + (f32)metal::atomic_fetch_add_explicit(&x, 1u, metal::memory_order_relaxed); /* planted */
}
