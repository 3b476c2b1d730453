/* norm/rmsnorm.h - root-mean-square normalisation (Zhang and Sennrich 2019):
 * y = x / sqrt(mean(x^2) + eps) * gamma, in f32. */
#ifndef NORM_RMSNORM_H
#define NORM_RMSNORM_H
#include "act.h"

#define RMSNORM_ARGS(X)                                                      \
    X(IN,  act, x,     "[tokens, dim]", "rows to normalise")                 \
    X(IN,  f32, gamma, "[dim]",         "weight of the norm")                \
    X(VAL, f32, eps,   "",              "added to the mean square")

/* Prologue: normalise row m into `row`. All threads of the group call it. */
FND_STAGE(rmsnorm, RMSNORM_ARGS, PROLOGUE, NONE, ROWS, OWN, "normalise each row by its root mean square")
FND_INLINE void rmsnorm(fnd_thread t, FND_GPU f32 *row, u32 m, fnd_const_act x, const FND_GPU f32 *gamma, f32 eps, u32 tokens, u32 dim) {
    (void)tokens;
    u32 i;
    f32 square = 0.0f;
    vec squares = fnd_vec_splat(0.0f);
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) {
        vec v = fnd_act_load(x, (u64)m * dim + i);
        squares = squares + v * v;
    }
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) {
        f32 v = fnd_act_get(x, (u64)m * dim + k);
        square += v * v;
    }
    f32 scale = 1.0f / fnd_sqrt(fnd_group_sum(t, fnd_vec_sum(squares) + square) / (f32)dim + eps);
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) {
        fnd_vec_store(row + i, fnd_act_load(x, (u64)m * dim + i) * fnd_vec_splat(scale) * fnd_vec_load(gamma + i));
    }
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) row[k] = fnd_act_get(x, (u64)m * dim + k) * scale * gamma[k];
}
#endif
