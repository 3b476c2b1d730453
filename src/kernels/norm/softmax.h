/* norm/softmax.h - softmax of rows, in place: exp(v - max) / sum. */
#ifndef NORM_SOFTMAX_H
#define NORM_SOFTMAX_H
#include "act.h"

/* x is what an earlier prologue made the rows of; it only says how long they are. */
#define SOFTMAX_ARGS(X) \
    X(IN, act, x, "[tokens, dim]", "what the rows were made of")

FND_STAGE(softmax, SOFTMAX_ARGS, PROLOGUE, ROWS, ROWS, OWN, "exp(v - max) / sum, for each row")
FND_INLINE void softmax(fnd_thread t, FND_GPU f32 *row, u32 m, fnd_const_act x, u32 tokens, u32 dim) {
    (void)m;
    (void)x;
    (void)tokens;
    u32 i;
    f32 most = -3.4028235e38f, total = 0.0f;
    vec mosts = fnd_vec_splat(-3.4028235e38f), totals = fnd_vec_splat(0.0f);
    fnd_group_barrier(t); /* the rows may have been written by other threads than read them here */
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) mosts = fnd_vec_max(mosts, fnd_vec_load(row + i));
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) most = fnd_fmax(most, row[k]);
    most = fnd_group_max(t, fnd_fmax(most, fnd_vec_max_lane(mosts)));
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) {
        vec e = fnd_vec_exp(fnd_vec_load(row + i) - fnd_vec_splat(most));
        fnd_vec_store(row + i, e);
        totals = totals + e;
    }
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) total += row[k] = fnd_exp(row[k] - most);
    f32 share = 1.0f / fnd_group_sum(t, fnd_vec_sum(totals) + total);
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) {
        fnd_vec_store(row + i, fnd_vec_load(row + i) * fnd_vec_splat(share));
    }
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) row[k] *= share;
}
#endif
