/* softcap.h - an epilogue of one's own: cap * tanh(v / cap), which keeps results within +-cap.
 * Registered by custom_epilogue.c. One argument, by value; the stage sees a vector of results on a
 * CPU and a single one on a GPU, and is the same text. */
#ifndef EXAMPLES_SOFTCAP_H
#define EXAMPLES_SOFTCAP_H
#include "val.h"

#define SOFTCAP_ARGS(X) \
    X(VAL, f32, cap, "", "results stay within -cap .. cap")
FND_STAGE(softcap, SOFTCAP_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "cap * tanh(v / cap)")
FND_INLINE fnd_val softcap(fnd_val v, fnd_at at, f32 cap) {
    (void)at;
    return fnd_val_splat(cap) * fnd_val_tanh(v * fnd_val_splat(1.0f / cap));
}

/* A kernel may be declared in the text too, instead of in C: fnd_kernel_get(f, "capped", ...). */
FND_COMPOUND(capped, "rows | dot | bias | softcap | store", "y = cap * tanh((W x + bias) / cap)")
#endif
