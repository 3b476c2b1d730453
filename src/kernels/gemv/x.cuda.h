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
    x.scales = x.sums = (f32 *)at;
#ifdef FND_X_CODES
    at += FND_X_ALIGN_((u64)padded * ((cols + 31) & ~31u));
    x.scales = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * 4 * ((cols + 31) / 32));
    x.sums = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * 8 * ((cols + 31) / 32));
#endif
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

/* Quantise a row: 8 lanes have 32 columns, a lane 4 neighbours. */
FND_INLINE f32 fnd_eight_max(f32 v) {
    for (i32 step = 4; step; step >>= 1) v = fnd_fmax(v, __shfl_xor_sync(0xffffffffu, v, step));
    return v;
}
FND_INLINE void fnd_x_put_codes_(fnd_thread t, fnd_x x, const f32 *row, u32 m) {
    const u32 at = m % FND_TOKENS, groups = x.cols / 32, part = t.lane % 8;
    u64 first = m - at;
    i8 *codes = x.codes + first * x.cols + 4 * at;
    f32 *scales = x.scales + first * groups + at, *sums = x.sums + first * 2 * groups + at;
    for (u32 from = 4 * t.warp; from < groups; from += 4 * FND_WARPS) {
        u32 g = fnd_min(from + t.lane / 8, groups - 1); /* the last may be done more than once */
        vec v = fnd_vec_load(row + 32 * g + 4 * part);
        f32 peak = fnd_eight_max(fnd_fmax(fnd_fmax(fnd_fabs(v.x), fnd_fabs(v.y)), fnd_fmax(fnd_fabs(v.z), fnd_fabs(v.w))));
        f32 scale = peak / 127.0f, inverse = peak > 0.0f ? 127.0f / peak : 0.0f;
        i32 q0 = (i32)fnd_round(v.x * inverse), q1 = (i32)fnd_round(v.y * inverse), q2 = (i32)fnd_round(v.z * inverse), q3 = (i32)fnd_round(v.w * inverse);
        i32 half = q0 + q1 + q2 + q3;
        half += __shfl_xor_sync(0xffffffffu, half, 1);
        half += __shfl_xor_sync(0xffffffffu, half, 2);
        i32 all = half + __shfl_xor_sync(0xffffffffu, half, 4);
        *(u32 *)(codes + (u64)(8 * g + part) * FND_TOKENS * 4) = (u32)(q0 & 255) | (u32)(q1 & 255) << 8 | (u32)(q2 & 255) << 16 | (u32)q3 << 24;
        if (part == 0) {
            scales[(u64)g * FND_TOKENS] = scale;
            sums[(u64)(2 * g) * FND_TOKENS] = scale * (f32)half;
            sums[(u64)(2 * g + 1) * FND_TOKENS] = scale * (f32)all;
        }
    }
}
#ifdef FND_STREAM /* all in the group's memory */
FND_SHARED_CODE void fnd_x_put_one_(fnd_thread t, u32 cols) {
    t.scratch = fnd_cuda_shared;
    fnd_x x = fnd_x_begin(t, cols, 1);
    fnd_x_put_codes_(t, x, x.rows, 0);
}
#endif
FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) {
#ifdef FND_X_CODES
    fnd_group_barrier(t);
  #ifdef FND_STREAM
    fnd_x_put_one_(t, x.cols);
  #else
    fnd_x_put_codes_(t, x, fnd_x_row(t, x, m), m);
  #endif
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

#include "gemv/runs.h"

/* The driver: every warp of the grid has a run of neighbouring rows, the groups' first warps first, so
 * that few rows still reach all groups; a run is cut into equal steps of at most FND_ROWS. */
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

#ifdef FND_STREAM
/* The same with a weight stream (dialect/stream.cuda.h): a group's rows are neighbours and come in pieces of
 * `step` rows, which its warps have in turn; every tile needs a piece of each of `dots` matrices, whose rows
 * have `row_bytes` together. */
FND_INLINE fnd_share fnd_streamed_share(fnd_thread &t, u32 total, u32 dots, u32 row_bytes) {
    fnd_share s = fnd_share_of(t.group, t.groups, t.turn, total, row_bytes);
    s.tile = (t.warp + FND_WARPS - t.tile % FND_WARPS) % FND_WARPS;
    t.tile += s.tiles;
    t.piece += s.tiles * dots;
    t.chunk += (s.tiles + s.tiles_of_chunk - 1) / s.tiles_of_chunk * dots;
    return s;
}
/* Rows of the tile, whose first piece and chunk are the next. */
FND_INLINE fnd_rows fnd_streamed_rows(fnd_thread &t, fnd_share s, u32 dots) {
    u32 chunk = s.tile / s.tiles_of_chunk, chunks = (s.tiles + s.tiles_of_chunk - 1) / s.tiles_of_chunk;
    t.next_piece = t.piece - (s.tiles - s.tile) * dots;
    t.next_chunk = t.chunk - (chunks - chunk) * dots;
    t.rows_before = (s.tile - chunk * s.tiles_of_chunk) * s.step;
    fnd_rows r;
    r.row = s.row + s.tile * s.step;
    r.count = fnd_min(s.step, s.end - r.row);
    return r;
}
#define FND_EACH_STREAMED_TILE(r, t, total, dots, row_bytes)                                       \
    for (fnd_share r##_s = fnd_streamed_share(t, total, dots, row_bytes); r##_s.tile < r##_s.tiles; r##_s.tile += FND_WARPS) \
        for (fnd_rows r = fnd_streamed_rows(t, r##_s, dots); r.count; r.count = 0)
#endif

/* Sums of all lanes for every row; row k's to lane k. Half of the lanes give away one half of the rows for
 * the other half of the rest, so each row costs less than a reduction of its own. */
FND_INLINE f32 fnd_swap_add(u32 lane, u32 bit, f32 low, f32 high) {
    f32 keep = lane & bit ? high : low, give = lane & bit ? low : high;
    return keep + __shfl_xor_sync(0xffffffffu, give, (i32)bit);
}
FND_INLINE f32 fnd_rows_to_lanes(fnd_thread t, u32 count, const f32 *sums) {
    f32 even, odd;
#if FND_TOKENS == 1
    if (count > 2) {
        even = fnd_swap_add(t.lane, 2, sums[0], sums[2]);
        odd = fnd_swap_add(t.lane, 2, sums[1], sums[3]);
    } else
#endif
    { /* in the same order: a row's sum does not depend on its neighbours */
        even = sums[0] + __shfl_xor_sync(0xffffffffu, sums[0], 2);
        odd = sums[1] + __shfl_xor_sync(0xffffffffu, sums[1], 2);
    }
    f32 mine = fnd_swap_add(t.lane, 1, even, odd);
    for (i32 step = 4; step <= 16; step <<= 1) mine += __shfl_xor_sync(0xffffffffu, mine, step);
    (void)count;
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
    else if (FND_ROWS > 2 && (r).count == 2)                                           \
        dot_rows(t, 2, (r).count, w, s, x, out);                                       \
    else                                                                               \
        dot_rows(t, FND_ROWS, (r).count, w, s, x, out);                                \
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) (tile).of[i] = fnd_rows_to_lanes(t, (r).count, out[i]); \
    return tile;
#endif
#endif
