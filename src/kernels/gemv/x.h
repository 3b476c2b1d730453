/* gemv/x.h - the left operand of a matrix kernel: `tokens` rows of `cols` activations.
 *
 * A prologue writes one f32 row at a time (fnd_x_row), all threads of the group together; fnd_x_put
 * turns it into what the strategy reads. Portable form: the rows stay as they are, in the group's
 * own scratch memory.
 *
 *     fnd_x x = fnd_x_begin(t, cols, tokens);
 *     FND_EACH_TOKEN(m, x) {
 *         rmsnorm(t, fnd_x_row(t, x, m), m, ...);
 *         fnd_x_put(t, x, m);
 *     }
 *     fnd_x_end(t, x);
 */
#ifndef GEMV_X_H
#define GEMV_X_H
#include "val.h"

#ifndef FND_TOKENS
  #define FND_TOKENS 1 /* tokens computed together: 1 for decode, more for prefill */
#endif

typedef struct fnd_x {
    FND_GPU f32 *rows; /* [tokens, cols] */
    u32 cols, tokens;
} fnd_x;

FND_INLINE fnd_x fnd_x_begin(fnd_thread t, u32 cols, u32 tokens) {
    fnd_x x;
    x.rows = (FND_GPU f32 *)t.scratch;
    x.cols = cols;
    x.tokens = tokens;
    return x;
}
#define FND_EACH_TOKEN(m, x) for (u32 m = 0; m < (x).tokens; m++)
FND_INLINE FND_GPU f32 *fnd_x_row(fnd_thread t, fnd_x x, u32 m) { (void)t; return x.rows + (u64)m * x.cols; }
FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) { (void)t; (void)x; (void)m; }
FND_INLINE void fnd_x_end(fnd_thread t, fnd_x x) { (void)x; fnd_group_barrier(t); }

#include "gemv/spans.h"

/* A tile of results: one row, FND_TOKENS tokens. */
typedef struct fnd_tile { fnd_val of[FND_TOKENS]; } fnd_tile;
typedef struct fnd_rows { u32 row, count; } fnd_rows;

FND_INLINE fnd_rows fnd_rows_of(u32 row) { fnd_rows r; r.row = row; r.count = 1; return r; }
FND_INLINE fnd_at fnd_at_of(fnd_thread t, fnd_rows r, fnd_span s, u32 i) {
    fnd_at at;
    at.row = r.row;
    at.count = r.count;
    at.token = s.first + i;
    at.writes = t.lane == 0;
    return at;
}

/* The driver: rows to warps of resident groups, spans of tokens, places of a tile. */
#define FND_EACH_TILE(r, t, total)                                                             \
    for (u32 r##_i = (t).group * FND_WARPS + (t).warp; r##_i < (total); r##_i += (t).groups * FND_WARPS) \
        for (fnd_rows r = fnd_rows_of(r##_i); r.count; r.count = 0)
#define FND_EACH_PLACE(at, i, t, r, s)       \
    for (u32 i = 0; i < (s).count; i++)      \
        for (fnd_at at = fnd_at_of(t, r, s, i); at.count; at.count = 0)
#endif
