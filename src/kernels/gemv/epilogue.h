/* gemv/epilogue.h - what may follow a dot product, in this order only: + bias, activation, * gate,
 * + residual, store. */
#ifndef GEMV_EPILOGUE_H
#define GEMV_EPILOGUE_H
#include "gemv/x.h"

#define BIAS_ARGS(X) \
    X(IN, f32, bias, "[rows]", "added to every token's result")
FND_STAGE(bias, BIAS_ARGS, EPILOGUE_BIAS, TILE, TILE, OWN, "v + bias")
FND_INLINE fnd_val bias(fnd_val v, fnd_at at, const FND_GPU f32 *bias, u32 rows) {
    (void)rows;
    return v + fnd_val_load(fnd_in((const FND_GPU u8 *)bias, FND_ACT_F32), at.row, at);
}

#define GATE_ARGS(X) \
    X(IN, act, gate, "[tokens, rows]", "multiplies the result")
FND_STAGE(gate, GATE_ARGS, EPILOGUE_GATE, TILE, TILE, OWN, "v * gate")
FND_INLINE fnd_val gate(fnd_val v, fnd_at at, fnd_const_act gate, u32 tokens, u32 rows) {
    (void)tokens;
    return v * fnd_val_load(gate, (u64)at.token * rows + at.row, at);
}

#define RESIDUAL_ARGS(X) \
    X(IN, act, residual, "[tokens, rows]", "added to the result")
FND_STAGE(residual, RESIDUAL_ARGS, EPILOGUE_RESIDUAL, TILE, TILE, OWN, "v + residual")
FND_INLINE fnd_val residual(fnd_val v, fnd_at at, fnd_const_act residual, u32 tokens, u32 rows) {
    (void)tokens;
    return v + fnd_val_load(residual, (u64)at.token * rows + at.row, at);
}

#define STORE_ARGS(X) \
    X(OUT, act, y, "[tokens, rows]", "result; not Q8_0")
FND_STAGE(store, STORE_ARGS, EPILOGUE_STORE, TILE, NONE, OWN, "round once and write")
FND_INLINE void store(fnd_val v, fnd_at at, fnd_act y, u32 tokens, u32 rows) {
    (void)tokens;
    fnd_val_store(y, (u64)at.token * rows + at.row, v, at);
}
#endif
