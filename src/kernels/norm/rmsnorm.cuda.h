/* norm/rmsnorm.cuda.h - rmsnorm on an NVIDIA GPU: the row is read once and waits in registers for its
 * scale; see norm/rmsnorm.h. */
#ifndef NORM_RMSNORM_H
#define NORM_RMSNORM_H
#include "act.h"

#define RMSNORM_KEPT 2u /* vectors of a thread: all of a row of FND_THREADS * 8 values */

FND_SHARED_CODE void rmsnorm(fnd_thread t, f32 *row, u32 m, fnd_const_act x, const f32 *gamma, f32 eps, u32 tokens, u32 dim) {
    (void)tokens;
    vec kept[RMSNORM_KEPT], weight[RMSNORM_KEPT], squares = fnd_vec_splat(0.0f);
    const u32 first = fnd_thread_index(t) * FND_VEC, step = FND_THREADS * FND_VEC, vectors = dim / FND_VEC * FND_VEC;
    const u64 at = (u64)m * dim;
    f32 square = 0.0f;
    FND_UNROLL for (u32 k = 0; k < RMSNORM_KEPT; k++) {
        u32 i = first + k * step;
        kept[k] = weight[k] = fnd_vec_splat(0.0f);
        if (i < vectors) {
            kept[k] = fnd_act_load(x, at + i);
            weight[k] = fnd_vec_load(gamma + i);
            squares = squares + kept[k] * kept[k];
        }
    }
    for (u32 i = first + RMSNORM_KEPT * step; i < vectors; i += step) {
        vec v = fnd_act_load(x, at + i);
        squares = squares + v * v;
    }
    for (u32 i = vectors + fnd_thread_index(t); i < dim; i += FND_THREADS) {
        f32 v = fnd_act_get(x, at + i);
        square += v * v;
    }
    f32 factor = 1.0f / fnd_sqrt(fnd_group_sum(t, fnd_vec_sum(squares) + square) / (f32)dim + eps);
    vec scale = fnd_vec_splat(factor);
    FND_UNROLL for (u32 k = 0; k < RMSNORM_KEPT; k++) {
        u32 i = first + k * step;
        if (i < vectors) fnd_vec_store(row + i, kept[k] * scale * weight[k]);
    }
    for (u32 i = first + RMSNORM_KEPT * step; i < vectors; i += step) fnd_vec_store(row + i, fnd_act_load(x, at + i) * scale * fnd_vec_load(gamma + i));
    for (u32 i = vectors + fnd_thread_index(t); i < dim; i += FND_THREADS) row[i] = fnd_act_get(x, at + i) * factor * gamma[i];
}
#endif
