/* gemv/x.metal.h - activations as the Metal strategies read them, and rows shared out to SIMD groups.
 *
 * The rows stay f32, in the group's own scratch memory, padded with zeros to a multiple of 8 columns
 * (`pitch`), so that matrices of 8 x 8 can be loaded from them; the host has room for tokens padded to a
 * multiple of FND_TOKENS, of which nothing is used. See gemv/x.h for how prologues fill them.
 *
 * A warp (a SIMD group) has up to FND_ROWS neighbouring rows at once: with one token, so that enough loads
 * are in flight; with more, so that what was decoded and what was loaded is used often. The result of row k
 * is in lane k. */
#ifndef GEMV_X_H
#define GEMV_X_H
#include "val.h"

#ifndef FND_TOKENS
  #define FND_TOKENS 1
#endif
#define FND_MATRICES (FND_TOKENS % 8 == 0) /* tokens enough for matrices */

#if FND_MATRICES
  #define FND_ROWS     32u
  #define FND_ROW_UNIT 8u
  #undef FND_WARP_BYTES
  #define FND_WARP_BYTES 2048 /* 512 decoded weights; 8 tokens of 32 results */
#else
  #define FND_ROWS     4u
  #define FND_ROW_UNIT 1u
#endif

typedef struct fnd_x {
    FND_GPU f32 *rows; /* [tokens, pitch] */
    u32 cols, pitch, tokens;
} fnd_x;

FND_INLINE fnd_x fnd_x_begin(fnd_thread t, u32 cols, u32 tokens) {
    fnd_x x;
    x.rows = (FND_GPU f32 *)t.scratch;
    x.cols = cols;
    x.pitch = (cols + 7) / 8 * 8;
    x.tokens = tokens;
    return x;
}
#define FND_EACH_TOKEN(m, x) for (u32 m = 0; m < (x).tokens; m++)
FND_INLINE FND_GPU f32 *fnd_x_row(fnd_thread t, fnd_x x, u32 m) { (void)t; return x.rows + (u64)m * x.pitch; }
FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) {
    for (u32 k = x.cols + fnd_thread_index(t); k < x.pitch; k += FND_THREADS) x.rows[(u64)m * x.pitch + k] = 0.0f;
}
FND_INLINE void fnd_x_end(fnd_thread t, fnd_x x) { (void)x; fnd_group_barrier(t); }

typedef struct fnd_span { u32 first, count; } fnd_span;
typedef struct fnd_tile { fnd_val of[FND_TOKENS]; } fnd_tile;
typedef struct fnd_rows { u32 row, count; } fnd_rows;

FND_INLINE fnd_span fnd_span_of(fnd_x x, u32 first) {
    fnd_span s;
    s.first = first;
    s.count = fnd_min(FND_TOKENS, x.tokens - first);
    return s;
}
FND_INLINE fnd_at fnd_at_of(fnd_thread t, fnd_rows r, fnd_span s, u32 i) {
    fnd_at at;
    at.row = r.row + fnd_min(t.lane, r.count - 1);
    at.count = 1;
    at.token = s.first + i;
    at.writes = t.lane < r.count;
    return at;
}

/* The driver: every warp of the grid has a run of neighbouring units of rows, the groups' first warps first,
 * so that few rows still reach all groups; a run is cut into equal steps of at most FND_ROWS. */
typedef struct fnd_run { u32 row, end, step; } fnd_run;
FND_INLINE fnd_run fnd_run_of(fnd_thread t, u32 total) {
    u32 warps = t.groups * FND_WARPS, mine = t.warp * t.groups + t.group;
    u32 units = (total + FND_ROW_UNIT - 1) / FND_ROW_UNIT, each = units / warps, more = units % warps;
    u32 first = mine * each + fnd_min(mine, more), count = each + (mine < more ? 1u : 0u);
    u32 rounds = (count * FND_ROW_UNIT + FND_ROWS - 1) / FND_ROWS;
    fnd_run run;
    run.row = first * FND_ROW_UNIT;
    run.end = fnd_min((first + count) * FND_ROW_UNIT, total);
    run.step = rounds ? (count + rounds - 1) / rounds * FND_ROW_UNIT : FND_ROW_UNIT;
    return run;
}
FND_INLINE fnd_rows fnd_rows_of(fnd_run run, u32 row) {
    fnd_rows r;
    r.row = row;
    r.count = fnd_min(run.step, run.end - row);
    return r;
}
#define FND_EACH_TILE(r, t, total)                                                             \
    for (fnd_run r##_run = fnd_run_of(t, total); r##_run.row < r##_run.end; r##_run.row = r##_run.end) \
        for (u32 r##_i = r##_run.row; r##_i < r##_run.end; r##_i += r##_run.step)              \
            for (fnd_rows r = fnd_rows_of(r##_run, r##_i); r.count; r.count = 0)
#define FND_EACH_TILE_2 FND_EACH_TILE /* of two matrices that are joined */
#define FND_DOT_2(policy, w0, tile0, w1, tile1) fnd_tile tile0 = FND_CAT(policy, _dot)(t, w0, r, s, x), tile1 = FND_CAT(policy, _dot)(t, w1, r, s, x)
#define FND_EACH_SPAN(s, r, x)                                          \
    for (u32 s##_i = 0; s##_i < (x).tokens; s##_i += FND_TOKENS)        \
        for (fnd_span s = fnd_span_of(x, s##_i); s.count; s.count = 0)
#define FND_EACH_PLACE(at, i, t, r, s)       \
    for (u32 i = 0; i < (s).count; i++)      \
        for (fnd_at at = fnd_at_of(t, r, s, i); at.count; at.count = 0)
#endif
