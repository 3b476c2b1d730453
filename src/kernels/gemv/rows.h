/* gemv/rows.h - the prologue of a matrix kernel whose input needs no work: rows of any activation
 * type, as f32. */
#ifndef GEMV_ROWS_H
#define GEMV_ROWS_H
#include "act.h"

#define ROWS_ARGS(X) \
    X(IN, act, x, "[tokens, dim]", "rows to multiply")

FND_STAGE(rows, ROWS_ARGS, PROLOGUE, NONE, ROWS, OWN, "take each row as it is")
FND_INLINE void rows(fnd_thread t, FND_GPU f32 *row, u32 m, fnd_const_act x, u32 tokens, u32 dim) {
    (void)tokens;
    u32 i;
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= dim; i += FND_THREADS * FND_VEC) {
        fnd_vec_store(row + i, fnd_act_load(x, (u64)m * dim + i));
    }
    for (u32 k = i; k < dim && k < i + FND_VEC; k++) row[k] = fnd_act_get(x, (u64)m * dim + k);
}
#endif
