/* norm/head_norm.h - root-mean-square normalisation of every head by itself, in place, with one weight
 * for all heads: what Qwen3 does to queries and keys before they are rotated. A warp has a head. */
#ifndef NORM_HEAD_NORM_H
#define NORM_HEAD_NORM_H
#include "fnd_device.h"

#define HEAD_NORM_ARGS(X)                                                        \
    X(INOUT, f32, x,     "[tokens, heads, head_dim]", "heads to normalise")      \
    X(IN,    f32, gamma, "[head_dim]",                "weight of the norm")      \
    X(VAL,   f32, eps,   "",                          "added to the mean square") \
    X(RULE, "tokens*heads <= 2147483648", "heads are counted in 32 bits")

FND_STAGE(head_norm, HEAD_NORM_ARGS, MAIN, NONE, NONE, ALL, "normalise each head by its root mean square")
FND_INLINE void head_norm(fnd_thread t, FND_GPU f32 *x, const FND_GPU f32 *gamma, f32 eps, u32 tokens, u32 heads, u32 head_dim) {
    u32 whole = head_dim / FND_VEC * FND_VEC;
    for (u32 u = t.group * FND_WARPS + t.warp; u < tokens * heads; u += t.groups * FND_WARPS) {
        FND_GPU f32 *head = x + (u64)u * head_dim;
        f32 square = 0.0f;
        vec squares = fnd_vec_splat(0.0f);
        for (u32 i = t.lane * FND_VEC; i < whole; i += FND_LANES * FND_VEC) {
            vec v = fnd_vec_load(head + i);
            squares = squares + v * v;
        }
        for (u32 i = whole + t.lane; i < head_dim; i += FND_LANES) square += head[i] * head[i];
        f32 scale = 1.0f / fnd_sqrt(fnd_lane_sum(fnd_vec_sum(squares) + square) / (f32)head_dim + eps);
        for (u32 i = t.lane * FND_VEC; i < whole; i += FND_LANES * FND_VEC) {
            fnd_vec_store(head + i, fnd_vec_load(head + i) * fnd_vec_splat(scale) * fnd_vec_load(gamma + i));
        }
        for (u32 i = whole + t.lane; i < head_dim; i += FND_LANES) head[i] = head[i] * scale * gamma[i];
    }
}
#endif
