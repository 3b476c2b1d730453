/* squares.h - a user's main that loops by itself. What it writes is complete for the group that wrote it
 * (OWN) and nobody else reads it, so another main may follow in the same kernel. */
#ifndef SQUARES_H
#define SQUARES_H
#include "elementwise/put.h" /* fnd_grid_index */

#define SQUARES_ARGS(X) \
    X(OUT, f32, squares, "[places]", "0, 1, 4, 9 ...") \
    X(RULE, "places <= 4096", "squares are exact in 32 bits")
FND_STAGE(square_numbers, SQUARES_ARGS, MAIN, NONE, NONE, OWN, "the squares of whole numbers")
FND_COMPOUND(squares_and_ones, "square_numbers | ones", "both, in one launch")

FND_INLINE void square_numbers(fnd_thread t, FND_GPU f32 *squares, u32 places) {
    for (u32 i = fnd_grid_index(t); i < places; i += fnd_grid_size(t)) squares[i] = (f32)(i * i);
}
#endif
