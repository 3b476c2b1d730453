/* norm/put_rows.h - the end of a kernel whose result is its rows: a standalone norm, a copy between
 * activation types (rows + put_rows), a softmax. */
#ifndef NORM_PUT_ROWS_H
#define NORM_PUT_ROWS_H
#include "elementwise/put.h"

#define PUT_ROWS_ARGS(X) \
    X(OUT, act, y, "[tokens, dim]", "the rows; Q8_0 needs a multiple of 32 columns")

FND_STAGE(put_rows, PUT_ROWS_ARGS, MAIN, ROWS, NONE, ALL, "write each row, rounded once")
FND_INLINE void put_rows(fnd_thread t, const FND_GPU f32 *row, u32 m, fnd_act y, u32 tokens, u32 dim) {
    (void)tokens;
    fnd_group_barrier(t); /* a thread writes values that others computed */
    for (u32 first = fnd_thread_index(t) * 32; first < dim; first += FND_THREADS * 32) {
        f32 v[32];
        u32 count = fnd_min(32, dim - first);
        for (u32 k = 0; k < count; k++) v[k] = row[first + k];
        fnd_act_put_run(y, (u64)m * dim + first, v, count);
    }
    fnd_group_barrier(t); /* the next row may reuse the memory of this one */
}
#endif
