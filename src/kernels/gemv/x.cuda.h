/* gemv/x.cuda.h - activations as the CUDA strategies read them, and rows shared out to warps.
 *
 * For formats with codes: 8-bit activations, one scale per 32, in spans of FND_TOKENS tokens:
 *     codes   [span][cols / 4][FND_TOKENS][4] i8
 *     scales  [span][cols / 32][FND_TOKENS]   f32, x = scale * code
 *     sums    [span][cols / 16][FND_TOKENS]   f32, scale * sum of codes: of the first 16 of 32, then of
 *                                             all 32
 * For formats of floats (FND_X_FLOATS): the rows as they are, [tokens, cols] f32.
 *
 * Every group prepares its own copy, in its scratch memory: a warp has 32 columns at a time. A warp has
 * up to FND_ROWS neighbouring rows at once, so that enough loads are in flight; the result of row k is
 * in lane k. */
#ifndef GEMV_X_H
#define GEMV_X_H
#include "gemv/panel_bytes.cuda.h"
#include "gemv/words.cuda.h"
#include "mma.cuda.h" /* here, not below: a text is flattened, each file where it is included first */
#include "val.h"

#ifndef FND_TOKENS
  #define FND_TOKENS 1
#endif
/* Many tokens are for the matrix unit; the simulator has no other way. */
#if FND_TOKENS >= 32 || !defined(__CUDACC__)
  #define FND_PANELS 1
  #include "gemv/panel.cuda.h"
#else
#define FND_ROWS (FND_TOKENS == 1 ? 4u : 2u)

typedef struct fnd_x {
    f32 *rows; /* [tokens, cols] where prologues write; with FND_X_FLOATS kept, else one row used anew */
    i8  *codes;
    f32 *scales, *sums;
    u32  cols, tokens;
} fnd_x;

#define FND_X_ALIGN_(bytes) (((u64)(bytes) + 63) & ~(u64)63)

FND_INLINE fnd_x fnd_x_begin(fnd_thread t, u32 cols, u32 tokens) {
    u32 padded = (tokens + FND_TOKENS - 1) / FND_TOKENS * FND_TOKENS;
    u8 *at = t.scratch;
    fnd_x x;
    x.cols = cols;
    x.tokens = tokens;
    x.codes = (i8 *)at;
    at += FND_X_ALIGN_((u64)padded * ((cols + 31) & ~31u));
    x.scales = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * 4 * ((cols + 31) / 32));
    x.sums = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * 8 * ((cols + 31) / 32));
    x.rows = (f32 *)at;
    return x;
}
#define FND_EACH_TOKEN(m, x) for (u32 m = 0; m < (x).tokens; m++)
FND_INLINE f32 *fnd_x_row(fnd_thread t, fnd_x x, u32 m) {
    (void)t;
#ifdef FND_X_FLOATS
    return x.rows + (u64)m * x.cols;
#else
    return x.rows + (u64)(m % 2) * x.cols; /* the one before may still be read */
#endif
}

/* Quantise a row: a warp 32 columns at a time, a lane one. */
FND_INLINE void fnd_x_put_codes_(fnd_thread t, fnd_x x, const f32 *row, u32 m) {
    u32 at = m % FND_TOKENS;
    u64 first = m - at;
    i8 *codes = x.codes + first * x.cols + 4 * at;
    f32 *scales = x.scales + first * (x.cols / 32) + at, *sums = x.sums + first * (x.cols / 16) + at;
    for (u32 g = t.warp; g < x.cols / 32; g += FND_WARPS) {
        f32 v = row[32 * g + t.lane], peak = fnd_lane_max(fnd_fabs(v));
        f32 scale = peak / 127.0f, inverse = peak > 0.0f ? 127.0f / peak : 0.0f;
        f32 q = fnd_round(v * inverse), all = fnd_lane_sum(q), half = fnd_lane_sum(t.lane < 16 ? q : 0.0f);
        codes[((u64)(8 * g + t.lane / 4) * FND_TOKENS) * 4 + t.lane % 4] = (i8)(i32)q;
        if (t.lane == 0) {
            scales[(u64)g * FND_TOKENS] = scale;
            sums[(u64)(2 * g) * FND_TOKENS] = scale * half;
            sums[(u64)(2 * g + 1) * FND_TOKENS] = scale * all;
        }
    }
}
FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) {
#ifdef FND_X_CODES
    fnd_group_barrier(t);
    fnd_x_put_codes_(t, x, fnd_x_row(t, x, m), m);
#endif
    (void)t, (void)x, (void)m;
}
FND_INLINE void fnd_x_end(fnd_thread t, fnd_x x) { (void)x; fnd_group_barrier(t); }

/* The codes of token i of a span (from q on) for 32 columns. */
FND_INLINE fnd_codes fnd_x_codes_load(const i8 *q, u32 g, u32 i) {
    fnd_codes c;
#if FND_TOKENS == 1
    const fnd_four *p = (const fnd_four *)(q + 32 * g);
    fnd_four a = p[0], b = p[1];
    c.of[0] = a.x; c.of[1] = a.y; c.of[2] = a.z; c.of[3] = a.w;
    c.of[4] = b.x; c.of[5] = b.y; c.of[6] = b.z; c.of[7] = b.w;
#else
    const u32 *p = (const u32 *)q + (u64)g * 8 * FND_TOKENS + i;
    FND_UNROLL for (u32 j = 0; j < 8; j++) c.of[j] = p[j * FND_TOKENS];
#endif
    (void)i;
    return c;
}
/* Columns c .. c + 7 of a token. */
FND_INLINE void fnd_x_floats_load(fnd_x x, u32 token, u32 c, f32 *v) {
#if FND_TOKENS == 1
    const fnd_four *p = (const fnd_four *)(x.rows + c);
    fnd_four a = p[0], b = p[1];
    const u32 words[8] = { a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w };
    FND_UNROLL for (u32 i = 0; i < 8; i++) v[i] = fnd_bits_f32(words[i]);
#else
    FND_UNROLL for (u32 i = 0; i < 8; i++) v[i] = x.rows[(u64)token * x.cols + c + i];
#endif
    (void)token;
}

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

/* The driver: every warp of the grid has a run of neighbouring rows, the groups' first warps first, so
 * that few rows still reach all groups; a run is cut into equal steps of at most FND_ROWS. */
typedef struct fnd_run { u32 row, end, step; } fnd_run;
FND_INLINE fnd_run fnd_run_of(fnd_thread &t, u32 total) {
    u32 warps = t.groups * FND_WARPS, mine = (t.warp * t.groups + t.group + t.turn) % warps;
    u32 each = total / warps, more = total % warps; /* the first `more` warps have one row more */
    t.turn = (t.turn + warps - more) % warps;       /* and other warps the first of the next matrix */
    fnd_run run;
    run.row = mine * each + fnd_min(mine, more);
    run.end = run.row + each + (mine < more ? 1u : 0u);
    u32 rounds = (run.end - run.row + FND_ROWS - 1) / FND_ROWS;
    run.step = rounds ? (run.end - run.row + rounds - 1) / rounds : 1;
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

/* Sums of all lanes for every row; row k's to lane k. */
FND_INLINE f32 fnd_rows_to_lanes(fnd_thread t, u32 count, const f32 *sums) {
    f32 mine = 0.0f;
    FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
        if (k >= count) break;
        f32 sum = fnd_lane_sum(sums[k]);
        if (t.lane == k) mine = sum;
    }
    return mine;
}

/* The body of a POLICY_dot: dot_rows with as many rows as there are, a constant there. */
#define FND_DOT_BY_ROWS(dot_rows, t, r, w, s, x)                                       \
    f32 out[FND_TOKENS][FND_ROWS];                                                     \
    fnd_tile tile;                                                                     \
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++)                                    \
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) out[i][k] = 0.0f;                \
    if ((r).count == 1)                                                                \
        dot_rows(t, 1, (r).count, w, s, x, out);                                       \
    else                                                                               \
        dot_rows(t, FND_ROWS, (r).count, w, s, x, out);                                \
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) (tile).of[i] = fnd_rows_to_lanes(t, (r).count, out[i]); \
    return tile;
#endif
#endif
