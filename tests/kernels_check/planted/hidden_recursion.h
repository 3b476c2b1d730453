/* Functions that call each other, one by way of a macro. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE f32 planted_odd(f32 v, u32 n);
#define PLANTED_ODD(v, n) planted_odd(v, n)
FND_INLINE f32 planted_even(f32 v, u32 n) { return n ? PLANTED_ODD(v, n - 1) : v; }
FND_INLINE f32 planted_odd(f32 v, u32 n) { return n ? planted_even(v, n - 1) : -v; } /* planted */
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    return planted_even(v, 3);
}
