/* window.h - a user's prologue with a mistake that only Metal refuses: a pointer without an address space. */
#ifndef MINE_WINDOW_H
#define MINE_WINDOW_H
#include "fnd_device.h"

#define WINDOW_ARGS(X) \
    X(IN, f32, x, "[tokens, dim]", "rows") \
    X(VAL, f32, least, "", "smaller values become 0")
FND_STAGE(window, WINDOW_ARGS, PROLOGUE, NONE, ROWS, OWN, "rows without small values")
FND_COMPOUND(window_linear, "window | dot | store", "y = W window(x)")

FND_INLINE void window(fnd_thread t, FND_GPU f32 *row, u32 m, const FND_GPU f32 *x, f32 least, u32 tokens, u32 dim) {
    (void)tokens;
    const f32 *limit = &least; /* planted */
    for (u32 i = fnd_thread_index(t); i < dim; i += FND_THREADS) {
        f32 v = x[(u64)m * dim + i];
        row[i] = v < *limit && -v < *limit ? 0.0f : v;
    }
}
#endif
