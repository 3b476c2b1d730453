/* activation/activation.h - elementwise functions: epilogues of matrix kernels, mains of their own
 * kernels (elementwise/unary.h). */
#ifndef ACTIVATION_ACTIVATION_H
#define ACTIVATION_ACTIVATION_H
#include "val.h"

#define NO_ARGS(X)

FND_STAGE(silu, NO_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "v / (1 + exp(-v))  (Elfwing et al. 2017)")
FND_INLINE fnd_val silu(fnd_val v, fnd_at at) {
    (void)at;
    return v / (fnd_val_splat(1.0f) + fnd_val_exp(-v));
}

FND_STAGE(gelu, NO_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "v/2 (1 + tanh(sqrt(2/pi) (v + 0.044715 v^3)))  (Hendrycks and Gimpel 2016)")
FND_INLINE fnd_val gelu(fnd_val v, fnd_at at) {
    (void)at;
    fnd_val inner = fnd_val_splat(0.7978845608f) * (v + fnd_val_splat(0.044715f) * v * v * v);
    return fnd_val_splat(0.5f) * v * (fnd_val_splat(1.0f) + fnd_val_tanh(inner));
}

FND_STAGE(relu, NO_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, "max(v, 0)")
FND_INLINE fnd_val relu(fnd_val v, fnd_at at) {
    (void)at;
    return fnd_val_max(v, fnd_val_splat(0.0f));
}

/* Two heads become one: silu(gate) * up. */
FND_STAGE(swiglu, NO_ARGS, EPILOGUE_ACTIVATION, TILES2, TILE, OWN, "silu(gate) * up  (Shazeer 2020)")
FND_INLINE fnd_val swiglu(fnd_val gate, fnd_val up, fnd_at at) { return silu(gate, at) * up; }
#endif
