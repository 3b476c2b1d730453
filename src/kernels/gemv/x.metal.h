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

#include "gemv/runs.h"

/* The driver: every warp of the grid has a run of neighbouring units of rows, the groups' first warps first,
 * so that few rows still reach all groups; a run is cut into equal steps of at most FND_ROWS. */
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
#endif
