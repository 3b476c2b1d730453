/* gemv/panel.cuda.h - matrix kernels with many tokens on an NVIDIA GPU: products by its matrix unit, of halves, with
 * sums in f32.
 *
 * Activations become halves once, for all groups: they share out the tokens, and meet before and behind that.
 * A token's values are scaled by a power of two, so that the largest lies in [2^13, 2^14): none overflows, and
 * what is 2^-27 of it is no subnormal yet.
 *     factors  [tokens]         f32, what a token's results are multiplied by
 *     halves   [tokens][pitch]  f16, zeros behind the columns
 *     rest     [tokens][pitch]  f16, what `halves` left of a value; only with F32 weights
 *
 * A group has a panel of rows x tokens at a time: one of a few shapes, so that few rows or tokens still give all
 * groups work. FND_PANEL_COLS columns of both are a stage in the group's memory: weights, decoded on the way
 * in, then activations, each [row][64 halves], the eight 16-byte pieces of a row exchanged by its number so that
 * eight rows meet all banks. Stages follow each other in a ring: one is multiplied while others arrive. */
#ifndef GEMV_PANEL_CUDA_H
#define GEMV_PANEL_CUDA_H
#include "gemv/panel_bytes.cuda.h"
#include "mma.cuda.h"
#include "val.h"
#include "wgmma.cuda.h"

#define FND_PANEL_COLS 64u
#define FND_PANEL_ROW_BYTES 128u /* of a row in a stage */

/* Warps stand beside each other: so many down the rows, the others along the tokens; each has blocks of 16
 * rows x 8 tokens. 0-2 are of one matrix, 3-5 of two whose results are joined; 5 where there is no room for others. */
#if FND_WGMMA /* four warps a block of 64 rows */
FND_INLINE u32 fnd_shape_down(u32 shape) { return shape < 2 ? 8u : 4u; }
FND_INLINE u32 fnd_shape_row_blocks(u32 shape) { (void)shape; return 1; }
FND_INLINE u32 fnd_shape_token_blocks(u32 shape) { return shape == 0 ? 16u : shape == 1 || shape == 3 ? 8u : shape == 4 ? 4u : 2u; }
#else
#define FND_WARPS_DOWN (FND_WARPS == 16 ? 4u : 2u)
FND_INLINE u32 fnd_shape_down(u32 shape) { return shape < 3 || shape == 5 ? FND_WARPS_DOWN : FND_WARPS_DOWN / 2; }
FND_INLINE u32 fnd_shape_row_blocks(u32 shape) { return shape == 2 || shape == 5 ? 1u : 2u; }
FND_INLINE u32 fnd_shape_token_blocks(u32 shape) { return shape == 0 ? 8u : shape == 1 || shape == 3 ? 4u : 2u; }
#endif
FND_INLINE u32 fnd_shape_rows(u32 shape) { return fnd_shape_down(shape) * fnd_shape_row_blocks(shape) * 16; }
FND_INLINE u32 fnd_shape_tokens(u32 shape) { return FND_WARPS / fnd_shape_down(shape) * fnd_shape_token_blocks(shape) * 8; }
#define FND_PLACES 64u /* of a thread, at most: half of them in each of two */

FND_INLINE u32 fnd_shape_bytes(u32 shape) { return (fnd_shape_rows(shape) * (shape < 3 ? 1 : 2) + fnd_shape_tokens(shape)) * FND_PANEL_ROW_BYTES; }
FND_INLINE u32 fnd_shape_fits(u32 shape) { return FND_PANEL_STAGES * fnd_shape_bytes(shape) <= FND_PANEL_BYTES; }

/* Padding of tokens: panels read whole, whatever stands behind the last token. */
#define FND_PANEL_PADDED(tokens) (((tokens) + 255u) & ~255u)

typedef struct fnd_x {
    u8  *stages;  /* of the group */
    f32 *rows;    /* two rows of the group, where prologues write */
    f32 *factors;
    u16 *halves, *rest;
    u32  cols, pitch, tokens;
    u32  first, step; /* the group's tokens */
    u32  turn;        /* which group has the first panel of the next matrix */
} fnd_x;

FND_INLINE fnd_x fnd_x_begin(fnd_thread t, u32 cols, u32 tokens) {
    fnd_x x;
    x.cols = cols;
    x.pitch = (cols + FND_PANEL_COLS - 1) / FND_PANEL_COLS * FND_PANEL_COLS;
    x.tokens = tokens;
    x.turn = 0;
    u64 padded = FND_PANEL_PADDED(tokens);
#if defined(__CUDACC__)
#ifdef FND_BODIES_ONLY
    fnd_grid_barrier(t); /* in a program: what stood there may still be read */
#endif
    x.first = t.group;
    x.step = t.groups;
    x.stages = fnd_cuda_shared;
    u8 *at = t.shared_scratch;
#else
    x.first = 0;
    x.step = 1;
    x.stages = t.scratch;
    u8 *at = t.scratch + FND_PANEL_BYTES;
#endif
    x.factors = (f32 *)at;
    x.halves = (u16 *)(at + padded * 4);
    x.rest = x.halves + padded * x.pitch;
    x.rows = (f32 *)x.stages;
    if (8 * (u64)cols > FND_PANEL_BYTES) x.rows = (f32 *)(x.rest + padded * x.pitch) + (u64)(x.step > 1 ? t.group : 0) * 2 * x.pitch;
    return x;
}
#define FND_EACH_TOKEN(m, x) for (u32 m = (x).first; m < (x).tokens; m += (x).step)
FND_INLINE f32 *fnd_x_row(fnd_thread t, fnd_x x, u32 m) {
    (void)t;
    return x.rows + (u64)(m / x.step % 2) * x.cols; /* the one before may still be read */
}

FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) {
    const f32 *row = fnd_x_row(t, x, m);
    f32 peak = 0.0f;
    fnd_group_barrier(t);
    for (u32 i = fnd_thread_index(t); i < x.cols; i += FND_THREADS) peak = fnd_fmax(peak, fnd_fabs(row[i]));
    u32 exponent = fnd_max(14, fnd_min(fnd_f32_bits(fnd_group_max(t, peak)) >> 23, 253));
    f32 scale = fnd_bits_f32((267 - exponent) << 23);
    if (fnd_thread_index(t) == 0) x.factors[m] = fnd_bits_f32((exponent - 13) << 23);
    for (u32 i = fnd_thread_index(t) * 2; i < x.pitch; i += FND_THREADS * 2) {
        f32 a = i < x.cols ? row[i] * scale : 0.0f, b = i + 1 < x.cols ? row[i + 1] * scale : 0.0f;
        u32 both = fnd_halves(a, b);
        *(u32 *)(x.halves + (u64)m * x.pitch + i) = both;
#if defined(FND_X_F32) || FND_TOKENS == 1
        *(u32 *)(x.rest + (u64)m * x.pitch + i) = fnd_halves(a - fnd_half_low(both), b - fnd_half_high(both));
#endif
    }
}
FND_INLINE void fnd_x_end(fnd_thread t, fnd_x x) {
    (void)x;
#if defined(__CUDACC__)
    fnd_grid_barrier(t);
#else
    fnd_group_barrier(t);
#endif
}

/* A panel: its rows, its tokens, and what a thread has of its results: of each block of 16 x 8 four. */
typedef struct fnd_rows { u32 row, count, first_token, shape, heads; } fnd_rows;
typedef struct fnd_span { u32 first, count; } fnd_span;
typedef struct fnd_tile { fnd_val of[FND_PLACES]; } fnd_tile;

/* Which shape is done first: all groups take the panels of a matrix in turn, and a round takes as long as a
 * panel is large, or longer: small ones load more for each product. */
FND_INLINE u32 fnd_shape_choose(u32 rows, u32 tokens, u32 groups, const u32 heads) {
    const u32 end = heads == 1 ? 3u : fnd_shape_fits(4) ? 5u : 6u;
    u32 best = end - 1, least = 0xffffffffu;
    FND_PANEL_UNROLL for (u32 shape = heads == 2 ? 3u : 0u; shape < end; shape++) {
        u32 down = fnd_shape_rows(shape), along = fnd_shape_tokens(shape);
        u32 panels = ((rows + down - 1) / down) * ((tokens + along - 1) / along);
        u32 cost = (panels + groups - 1) / groups * (down * along / 256 * (shape == 0 || shape == 3 ? 20u : shape == 2 || shape == 5 ? 36u : 24u) + 64u);
        if (fnd_shape_fits(shape) && cost < least) {
            least = cost;
            best = shape;
        }
    }
    return best;
}

/* The panels of a matrix, those of the same rows one after the other, shared out to the groups. */
typedef struct fnd_panels { u32 item, items, spans, rows, shape; } fnd_panels;
FND_INLINE fnd_panels fnd_panels_of(fnd_thread t, fnd_x *x, u32 rows, const u32 heads) {
    fnd_panels p;
    p.rows = rows;
    p.shape = fnd_shape_choose(rows, x->tokens, t.groups, heads);
    u32 down = fnd_shape_rows(p.shape), along = fnd_shape_tokens(p.shape);
    p.spans = (x->tokens + along - 1) / along;
    p.items = (rows + down - 1) / down * p.spans;
    p.item = (t.group + t.groups - x->turn) % t.groups;
    x->turn = (x->turn + p.items) % t.groups;
    return p;
}
FND_INLINE fnd_rows fnd_rows_of(fnd_panels p, const u32 heads) {
    fnd_rows r;
    r.shape = p.shape;
    r.heads = heads;
    r.row = p.item / p.spans * fnd_shape_rows(p.shape);
    r.count = fnd_min(fnd_shape_rows(p.shape), p.rows - r.row);
    r.first_token = p.item % p.spans * fnd_shape_tokens(p.shape);
    return r;
}
FND_INLINE fnd_span fnd_span_of(fnd_x x, fnd_rows r) {
    fnd_span s;
    s.first = r.first_token;
    s.count = fnd_min(fnd_shape_tokens(r.shape), x.tokens - s.first);
    return s;
}
FND_INLINE fnd_at fnd_at_of(fnd_thread t, fnd_rows r, fnd_span s, u32 i) {
    u32 down = fnd_shape_down(r.shape), row_blocks = fnd_shape_row_blocks(r.shape), token_blocks = fnd_shape_token_blocks(r.shape);
    u32 block = i / 4 / token_blocks, along = i / 4 % token_blocks;
    u32 row = (t.warp % down * row_blocks + block) * 16 + t.lane / 4 + i / 2 % 2 * 8;
    u32 token = (t.warp / down * token_blocks + along) * 8 + t.lane % 4 * 2 + i % 2;
    fnd_at at;
    at.row = r.row + fnd_min(row, r.count - 1);
    at.token = s.first + fnd_min(token, s.count - 1);
    at.count = 1;
    at.writes = row < r.count && token < s.count;
    return at;
}

/* The driver, in a composed text, where the activations are `x`. */
#define FND_EACH_PANEL_(r, t, total, heads)                                                                     \
    for (fnd_panels r##_p = fnd_panels_of(t, &x, total, heads); r##_p.item < r##_p.items; r##_p.item += (t).groups) \
        for (fnd_rows r = fnd_rows_of(r##_p, heads); r.count; r.count = 0)
#define FND_EACH_TILE(r, t, total)   FND_EACH_PANEL_(r, t, total, 1u)
#define FND_EACH_TILE_2(r, t, total) FND_EACH_PANEL_(r, t, total, 2u)
#define FND_EACH_SPAN(s, r, x) for (fnd_span s = fnd_span_of(x, r); s.count; s.count = 0)
#define FND_EACH_PLACE(at, i, t, r, s)                                                                          \
    FND_PANEL_UNROLL for (u32 i = 0; i < FND_PLACES; i++)                                                             \
        if (i < FND_PLACES / (r).heads && i < 4 * fnd_shape_row_blocks((r).shape) * fnd_shape_token_blocks((r).shape)) \
            for (fnd_at at = fnd_at_of(t, r, s, i); at.count; at.count = 0)

/* Two matrices of one format, joined: their products share what is loaded of the activations. */
#define FND_DOT_2(policy, w0, tile0, w1, tile1) \
    fnd_tile tile0, tile1;                      \
    FND_CAT(policy, _dot_2)(t, w0, w1, r, s, x, &tile0, &tile1)

/* ---- a stage --------------------------------------------------------------------------------- */
/* Piece `piece` of 8 halves of a row. */
FND_INLINE u8 *fnd_piece_at(u8 *of, u32 row, u32 piece) { return of + row * FND_PANEL_ROW_BYTES + ((piece ^ (row & 7)) << 4); }

/* Activations of `tokens` tokens from `from` on, into a stage; all threads together. */
FND_INLINE void fnd_stage_activations(fnd_thread t, u8 *to, const u16 *from, u32 pitch, const u32 tokens) {
    u32 piece = fnd_thread_index(t) % 8;
    FND_PANEL_UNROLL for (u32 n = 0; n < (tokens * 8 + FND_THREADS - 1) / FND_THREADS; n++) {
        u32 token = (n * FND_THREADS + fnd_thread_index(t)) / 8;
        if (token < tokens) fnd_copy16(fnd_piece_at(to, token, piece), (const u8 *)from + (token * pitch * 2 + piece * 16), 16);
    }
}

#if FND_WGMMA
/* sum += weights x activations, of a stage; there when it has been waited for. */
FND_INLINE void fnd_stage_multiply(fnd_thread t, const u32 shape, u8 *weights, u8 *activations, fnd_tile *tile) {
    const u32 down = fnd_shape_down(shape), token_blocks = fnd_shape_token_blocks(shape);
    u32 warp = __shfl_sync(0xffffffffu, t.warp, 0); /* the same for all lanes, as the compiler sees */
    u64 a = fnd_wgmma_matrix(weights + warp % down / 4 * 64 * FND_PANEL_ROW_BYTES);
    u64 b = fnd_wgmma_matrix(activations + warp / down * token_blocks * 8 * FND_PANEL_ROW_BYTES);
    FND_PANEL_UNROLL for (u32 k = 0; k < FND_PANEL_COLS / 16; k++) fnd_wgmma(token_blocks, tile->of, a + 2 * k, b + 2 * k);
}
FND_INLINE void fnd_stage_begin() { fnd_wgmma_begin(); }
FND_INLINE void fnd_stage_end() { fnd_wgmma_end(); }
FND_INLINE void fnd_stage_publish() { fnd_wgmma_publish(); }
FND_INLINE void fnd_stage_wait_others() { fnd_wgmma_wait_others(); }
FND_INLINE void fnd_stage_wait(const u32 shape, fnd_tile *tile) { fnd_wgmma_wait(tile->of, fnd_shape_token_blocks(shape)); }
#else
#define fnd_stage_begin()            ((void)0)
#define fnd_stage_end()              ((void)0)
#define fnd_stage_publish()          ((void)0)
#define fnd_stage_wait(shape, tile) ((void)(tile))
/* sum += weights x activations, of a stage. */
FND_INLINE void fnd_stage_multiply(fnd_thread t, const u32 shape, u8 *weights, u8 *activations, fnd_tile *tile) {
    const u32 down = fnd_shape_down(shape), row_blocks = fnd_shape_row_blocks(shape), token_blocks = fnd_shape_token_blocks(shape);
    u32 row = t.warp % down * row_blocks * 16 + t.lane % 16, token = t.warp / down * token_blocks * 8 + t.lane / 16 * 8 + t.lane % 8;
    FND_PANEL_UNROLL for (u32 k = 0; k < FND_PANEL_COLS / 16; k++) {
        u32 a[2][4], b[8][2];
        FND_PANEL_UNROLL for (u32 i = 0; i < row_blocks; i++) fnd_mma_load(t, a[i], fnd_piece_at(weights, row + 16 * i, 2 * k + t.lane / 16));
        FND_PANEL_UNROLL for (u32 i = 0; i < token_blocks; i += 2) fnd_mma_load(t, b[i], fnd_piece_at(activations, token + 8 * i, 2 * k + t.lane / 8 % 2));
        FND_PANEL_UNROLL for (u32 i = 0; i < row_blocks; i++) {
            FND_PANEL_UNROLL for (u32 j = 0; j < token_blocks; j++) fnd_mma(t, tile->of + 4 * (i * token_blocks + j), a[i], b[j]);
        }
    }
}
#endif
#endif
