/* Of C++17, where Metal 3 is C++14. */
#include "val.h"

#define PLANTED_ARGS(X)
FND_STAGE(planted, PLANTED_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "breaks a rule")
FND_INLINE fnd_val planted(fnd_val v, fnd_at at) {
    (void)at;
    if constexpr (sizeof(fnd_val) > 4) v = -v; /* planted */
    return v;
}
