/* largest.h - a user's main: the largest value of each row, whatever made the rows. */
#ifndef ROWS_LARGEST_H
#define ROWS_LARGEST_H
#include "act.h"
#include "squares.h"

#define LARGEST_ARGS(X) \
    X(IN, act, x, "[tokens, dim]", "what the rows were made of") \
    X(OUT, f32, largest, "[tokens]", "of each row")
FND_STAGE(largest, LARGEST_ARGS, MAIN, ROWS, NONE, OWN, "the largest value of each row")

/* Both are the same main behind other prologues: a kernel's name is its own, a stage's is shared. */
FND_COMPOUND(largest_of_norm, "rmsnorm | largest", "the largest value of each normalised row")
FND_COMPOUND(largest_share, "rows | softmax | largest", "the largest share of each row")

FND_INLINE void largest(fnd_thread t, const FND_GPU f32 *row, u32 m, fnd_const_act x, FND_GPU f32 *most_of, u32 tokens, u32 dim) {
    (void)x;
    (void)tokens;
    f32 most = -3.4028235e38f;
    fnd_group_barrier(t); /* other threads may have written what this one reads */
    for (u32 i = fnd_thread_index(t); i < dim; i += FND_THREADS) most = fnd_fmax(most, row[i]);
    most = fnd_group_max(t, most);
    if (fnd_thread_index(t) == 0) most_of[m] = most;
}
#endif
