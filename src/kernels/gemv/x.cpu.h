/* gemv/x.cpu.h - activations as the CPU strategies read them.
 *
 * For formats with codes: 8-bit activations, one scale per 32, in spans of FND_TOKENS tokens so that
 * the inner loop walks memory once:
 *     codes   [span][cols / FND_X_WIDTH][FND_TOKENS][FND_X_WIDTH] i8
 *     scales  [span][cols / 32][FND_TOKENS]   f32, x = scale * code
 *     sums    [span][cols / 32][FND_TOKENS]   f32, scale * sum of codes
 *     counts  [span][cols / 16][FND_TOKENS]   i32, less the sum of codes: of the first 16 of 32, then
 *                                             of all 32, which is what most formats ask for
 * For formats of floats (FND_X_FLOATS), in the same spans:
 *     floats  [span][cols][FND_TOKENS]        f32
 * Zeros fill up the last span: what memory holds there could be slow to multiply (subnormals).
 * With a matrix unit and many tokens codes lie otherwise, or there are halves instead of all that
 * (gemv/panel.cpu.h).
 *
 * With few tokens every worker prepares its own copy; with many the team splits the tokens and
 * shares the result, between two team barriers. */
#ifndef GEMV_X_H
#define GEMV_X_H
#include "codes.cpu.h"
#include "val.cpu.h"

#ifndef FND_TOKENS
  #define FND_TOKENS 1
#endif
#include "gemv/panel.cpu.h" /* of tiles, never of a file's rows */

/* Quads of columns that are multiplied together, and a token's codes for them, side by side. */
#if defined(FND_DOT_PAIRS) && FND_TOKENS % 2 == 0
  #define FND_DOT_QUADS 2
#else
  #define FND_DOT_QUADS 1
#endif
#define FND_X_WIDTH (4 * FND_DOT_QUADS)

/* Where weights lie as in the file: two tiles made of them, which all spans of tokens use (gemv/dot_rows.cpu.h). */
typedef struct fnd_x_tiles {
    const u8 *of[2]; /* which matrices; NULL: none yet */
    u32       next;  /* whose place the next one takes */
} fnd_x_tiles;

typedef struct fnd_x {
    f32 *row;    /* [cols] of this worker, where a prologue writes */
    i8  *codes;
    f32 *scales, *sums, *floats;
    i32 *counts;
    u32  cols, tokens;
    u32  first, end; /* this worker's tokens */
    u32  shared;     /* the team prepares them together */
#if FND_TOKENS > 1
    struct fnd_x_tiles *tiles;
    struct fnd_panels  *panels; /* NULL: the matrix unit is not used */
#endif
#ifdef FND_PANEL_HALVES
    u16 *halves, *rest;
#endif
} fnd_x;

#define FND_X_ALIGN_(bytes) (((u64)(bytes) + 63) & ~(u64)63)

#ifdef FND_PANEL_CODES
  #define FND_X_SUMS_ 3 /* as panels of codes want them */
FND_INLINE u32 fnd_x_panels_(fnd_thread t, u32 tokens) { return tokens >= t.unit_from; }
#else
  #define FND_X_SUMS_ 1
FND_INLINE u32 fnd_x_panels_(fnd_thread t, u32 tokens) { (void)t; (void)tokens; return 0; }
#endif
FND_INLINE u32 fnd_x_padded_(u32 tokens, u32 panels) {
    const u32 to = panels ? 16 : FND_TOKENS;
    return (tokens + to - 1) / to * to;
}

#ifdef FND_PANELS
FND_INLINE void fnd_x_begin_panels_(fnd_x *x, u8 *at) {
    u64 padded = (x->tokens + 15) / 16 * 16;
    x->panels = (fnd_panels *)at;
    at += FND_X_ALIGN_(sizeof(fnd_panels));
    __builtin_memset(x->panels, 0, sizeof(fnd_panels));
    x->panels->panel = at;
    at += FND_PANEL_BYTES;
    x->panels->sums[0] = (f32 *)at;
    x->panels->sums[1] = (f32 *)(at + FND_PANEL_TILES * FND_VEC * padded * 4);
}
#endif
#ifdef FND_PANEL_HALVES
FND_INLINE void fnd_x_begin_halves_(fnd_x *x, u8 *at, u8 *own) {
    u64 padded = (x->tokens + 15) / 16 * 16, bytes = FND_X_ALIGN_(padded * ((x->cols + 31) & ~31u) * 2);
    x->halves = (u16 *)at;
    at += bytes;
    x->rest = (u16 *)0;
#ifdef FND_X_FLOATS
    x->rest = (u16 *)at;
    at += bytes;
#endif
    x->row = (f32 *)(own ? own : at);
    fnd_x_begin_panels_(x, (u8 *)x->row + FND_X_ALIGN_((u64)((x->cols + 31) & ~31u) * 4));
}
#endif

FND_INLINE fnd_x fnd_x_begin(fnd_thread t, u32 cols, u32 tokens) {
    u32 padded, shared = t.groups > 1 && tokens >= 8;
    u8 *at = shared ? t.shared_scratch : t.scratch;
    fnd_x x;
    if (shared) fnd_grid_barrier(t);
    x.cols = cols;
    x.tokens = tokens;
    x.shared = shared;
    x.first = shared ? (u32)((u64)tokens * t.group / t.groups) : 0;
    x.end = shared ? (u32)((u64)tokens * (t.group + 1) / t.groups) : tokens;
#if FND_TOKENS > 1
    x.panels = (struct fnd_panels *)0;
#endif
#ifdef FND_PANEL_HALVES
    (void)padded;
    x.codes = (i8 *)0;
    x.scales = x.sums = x.floats = (f32 *)0;
    x.counts = (i32 *)0;
    fnd_x_begin_halves_(&x, at, shared ? t.scratch : (u8 *)0);
    return x;
#else
    padded = fnd_x_padded_(tokens, fnd_x_panels_(t, tokens));
    x.codes = (i8 *)at;
    at += FND_X_ALIGN_((u64)padded * ((cols + 31) & ~31u));
    x.scales = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * 4 * ((cols + 31) / 32));
    x.sums = (f32 *)at;
    at += FND_X_ALIGN_((u64)padded * FND_X_SUMS_ * 4 * ((cols + 31) / 32));
    x.counts = (i32 *)at;
    at += FND_X_ALIGN_((u64)padded * 8 * ((cols + 31) / 32));
    x.floats = (f32 *)at;
#ifdef FND_X_FLOATS
    at += FND_X_ALIGN_((u64)padded * 4 * cols);
#endif
    x.row = (f32 *)(shared ? t.scratch : at);
#if FND_TOKENS > 1
    x.tiles = (fnd_x_tiles *)((u8 *)x.row + FND_X_ALIGN_((u64)cols * 4));
    x.tiles->of[0] = x.tiles->of[1] = (const u8 *)0;
    x.tiles->next = 0;
#endif
#ifdef FND_PANEL_CODES
    if (fnd_x_panels_(t, tokens)) fnd_x_begin_panels_(&x, (u8 *)x.row + FND_X_ALIGN_((u64)((cols + 31) & ~31u) * 4) + 64);
#endif
    return x;
#endif
}
#if FND_TOKENS > 1
/* The place of a tile of the matrix at `data`. Each has room for the widest format; pages that are not used take
 * no memory. */
FND_INLINE u8 *fnd_x_tile(fnd_x x, const u8 *data) {
    u32 place = x.tiles->of[0] == data ? 0 : x.tiles->of[1] == data ? 1 : x.tiles->next;
    if (x.tiles->of[place] != data) x.tiles->next = !place;
    x.tiles->of[place] = data;
    return (u8 *)x.tiles + FND_X_ALIGN_(sizeof(fnd_x_tiles)) + place * FND_X_ALIGN_((u64)x.cols * 4 * FND_VEC);
}
#endif
/* Neighbours: tokens that lie in one line of memory are written by one worker. */
#define FND_EACH_TOKEN(m, x) for (u32 m = (x).first; m < (x).end; m++)

FND_INLINE f32 *fnd_x_row(fnd_thread t, fnd_x x, u32 m) {
    (void)t;
#if defined(FND_X_FLOATS) && FND_TOKENS == 1
    return x.floats + (u64)m * x.cols; /* a span of one token is a row */
#else
    (void)m;
    return x.row;
#endif
}

FND_INLINE void fnd_x_put_codes_(fnd_x x, const f32 *row, u32 m) {
    u32 at = m % FND_TOKENS;
    u64 first = m - at;
    i8 *codes = x.codes + first * x.cols + FND_X_WIDTH * at;
    f32 *scales = x.scales + first * (x.cols / 32) + at, *sums = x.sums + first * (x.cols / 32) + at;
    i32 *counts = x.counts + first * (x.cols / 16) + at;
    for (u32 g = 0; g < x.cols / 32; g++) {
        f32 total[2];
        i8 q[32];
        f32 scale = fnd_codes_make(row + 32 * g, q, total);
        for (u32 k = 0; k < 32; k += FND_X_WIDTH) __builtin_memcpy(codes + (u64)(32 * g + k) * FND_TOKENS, q + k, FND_X_WIDTH);
        scales[(u64)g * FND_TOKENS] = scale;
        sums[(u64)g * FND_TOKENS] = scale * (total[0] + total[1]);
        counts[(u64)(2 * g) * FND_TOKENS] = -(i32)total[0];
        counts[(u64)(2 * g + 1) * FND_TOKENS] = -(i32)(total[0] + total[1]);
    }
}
#ifdef FND_PANEL_CODES
FND_INLINE void fnd_x_put_blocks_(fnd_x x, const f32 *row, u32 m) {
    u64 steps = x.cols / 32, block = m / 16;
    i8 *codes = x.codes + block * steps * 512 + m % 16 * 32;
    f32 *scales = x.scales + block * steps * 16 + m % 16, *sums = x.sums + block * steps * 48 + m % 16;
    for (u32 g = 0; g < steps; g++, codes += 512, scales += 16, sums += 48) {
        f32 total[2], scale = fnd_codes_make(row + 32 * g, codes, total);
        scales[0] = scale;
        sums[0] = scale * (total[0] + total[1]);
        sums[16] = scale * total[0];
        sums[32] = scale * total[1];
    }
}
#endif
FND_INLINE void fnd_x_put_floats_(fnd_x x, const f32 *row, u32 m) {
    f32 *floats = x.floats + (u64)(m - m % FND_TOKENS) * x.cols + m % FND_TOKENS;
    for (u32 k = 0; k < x.cols; k++) floats[(u64)k * FND_TOKENS] = row[k];
}
#ifdef FND_PANEL_HALVES
FND_INLINE void fnd_x_put_halves_(fnd_x x, f32 *row, u32 m) {
    u32 steps = (x.cols + 31) / 32;
    u64 at = (u64)(m / 16) * steps * 512 + m % 16 * 32;
    for (u32 k = x.cols; k < steps * 32; k++) row[k] = 0.0f;
    for (u32 k = 0; k < steps; k++, at += 512) fnd_amx_put_halves(x.halves + at, x.rest ? x.rest + at : x.rest, fnd_vec_load(row + 32 * k), fnd_vec_load(row + 32 * k + 16));
}
#endif
FND_INLINE void fnd_x_put(fnd_thread t, fnd_x x, u32 m) {
    f32 *row = fnd_x_row(t, x, m);
#ifdef FND_PANEL_HALVES
    fnd_x_put_halves_(x, row, m);
    if (m + 1 < x.tokens) return;
    __builtin_memset(row, 0, 4 * (u64)x.cols);
    for (u32 at = m + 1; at % 16; at++) fnd_x_put_halves_(x, row, at);
#else
#if FND_TOKENS > 1
    const u32 panels = x.panels != 0;
#else
    const u32 panels = 0;
#endif
    for (u32 at = m; at < (m + 1 == x.tokens ? fnd_x_padded_(x.tokens, panels) : m + 1); at++) {
        if (at > m) __builtin_memset(row, 0, 4 * (u64)x.cols);
#ifdef FND_PANEL_CODES
        if (x.panels) fnd_x_put_blocks_(x, row, at);
        else
#endif
#ifdef FND_X_CODES
        fnd_x_put_codes_(x, row, at);
#endif
#if defined(FND_X_FLOATS) && FND_TOKENS > 1
        fnd_x_put_floats_(x, row, at);
#endif
    }
#endif
}
FND_INLINE void fnd_x_end(fnd_thread t, fnd_x x) {
    if (x.shared) fnd_grid_barrier(t);
}

/* A worker reads its run of tiles as up to FND_STREAMS streams at once, a part of the run each: more lines of memory are
 * under way than the prefetcher keeps for one. One is enough for more spans of tokens, which wait for arithmetic, and
 * where tiles are made in scratch memory. */
#define FND_STREAMS 4u
#ifdef FND_FILE_ROWS
  #define FND_STREAMS_TO FND_TOKENS
#else
  #define FND_STREAMS_TO (2 * FND_TOKENS)
#endif
typedef struct fnd_span { u32 first, count; } fnd_span;
#ifdef FND_PANEL_HALVES
typedef struct fnd_tile { fnd_val of[FND_TOKENS]; } fnd_tile;
#else
typedef struct fnd_tile { fnd_val of[FND_STREAMS * FND_TOKENS]; } fnd_tile; /* [stream][token] */
#endif

/* A span of few tokens, as that of a small batch or the last of a prompt, is not computed as if it were full. */
#define FND_NARROW      (FND_TOKENS == 8 ? 4u : FND_TOKENS)
#define FND_IS_NARROW(s) (FND_NARROW < FND_TOKENS && (s).count <= FND_NARROW)

FND_INLINE u32 fnd_streams_of_(fnd_x x) { return x.tokens > FND_STREAMS_TO ? 1 : FND_STREAMS; }
FND_INLINE u32 fnd_spans_of_(fnd_x x) { return (x.tokens + FND_TOKENS - 1) / FND_TOKENS; }
FND_INLINE fnd_span fnd_span_of(fnd_x x, u32 first) {
    fnd_span s;
    s.first = first;
    s.count = fnd_min(FND_TOKENS, x.tokens - first);
    return s;
}

#define FND_TILES_(total) (((total) + FND_VEC - 1) / FND_VEC)
/* A step of a worker's run of tiles, and of it the turn at hand: the tiles `row`, row + apart and so on, one of each stream. */
#ifdef FND_PANELS
  #define FND_STEP_TILES FND_PANEL_TILES
#else
  #define FND_STEP_TILES FND_STREAMS
#endif
#include "gemv/share.cpu.h"
typedef struct fnd_rows {
    u32 row, count, streams, apart; /* count: rows of the first tile that are there */
    u32 first, end;                 /* rows of the step, where it is a panel: first .. end - 1 */
    u32 step, run, run_end;         /* which step; rows of the run */
} fnd_rows;

FND_INLINE fnd_rows fnd_rows_of(u32 step, u32 first_tile, u32 last_tile, u32 total) {
    fnd_rows r;
    r.step = step;
    r.run = first_tile * FND_VEC;
    r.run_end = fnd_min(last_tile * FND_VEC, total);
    r.first = r.row = r.run + step * FND_STEP_TILES * FND_VEC;
    r.end = fnd_min(r.first + FND_STEP_TILES * FND_VEC, r.run_end);
    r.count = fnd_min(FND_VEC, r.end - r.row);
    r.streams = 1;
    r.apart = 0;
    return r;
}
/* Its turns: of a panel all tiles take a span of tokens before the next, so that what epilogues write for a token is one
 * stretch; else the tiles of all streams take all spans. */
FND_INLINE u32 fnd_by_panels_(fnd_x x) {
#ifdef FND_PANELS
    return x.panels != 0;
#else
    (void)x;
    return 0;
#endif
}
FND_INLINE u32 fnd_turns_(fnd_rows r, fnd_x x) {
    const u32 streams = fnd_streams_of_(x), each = FND_STEP_TILES / streams;
    if (fnd_by_panels_(x)) return FND_TILES_(r.end - r.first);
    return fnd_min(each, (FND_TILES_(r.run_end - r.run) + streams - 1) / streams - r.step * each);
}
FND_INLINE u32 fnd_outer_(fnd_rows r, fnd_x x) { return fnd_by_panels_(x) ? fnd_spans_of_(x) : fnd_turns_(r, x); }
FND_INLINE u32 fnd_inner_(fnd_rows r, fnd_x x) { return fnd_by_panels_(x) ? fnd_turns_(r, x) : fnd_spans_of_(x); }
/* The last tiles of a run may be fewer than streams. */
FND_INLINE fnd_span fnd_turn_to_(fnd_rows *r, fnd_x x, u32 outer, u32 inner) {
    const u32 streams = fnd_streams_of_(x), tiles = FND_TILES_(r->run_end - r->run), part = tiles / streams;
    u32 turn = r->step * (FND_STEP_TILES / streams) + outer, span = inner;
    r->row = r->run + (turn < part ? turn : part * streams) * FND_VEC;
    r->streams = turn < part ? streams : tiles % streams;
    r->apart = turn < part ? part * FND_VEC : FND_VEC;
    if (fnd_by_panels_(x)) {
        r->row = r->first + inner * FND_VEC;
        r->streams = 1;
        span = outer;
    }
    r->count = fnd_min(FND_VEC, r->run_end - r->row);
    return fnd_span_of(x, span * FND_TOKENS);
}
FND_INLINE u32 fnd_places_(fnd_rows r, fnd_span s) { return (r.streams - 1) * FND_TOKENS + s.count; }
FND_INLINE fnd_at fnd_at_of(fnd_rows r, fnd_span s, u32 i) {
    fnd_at at;
    at.row = r.row + i / FND_TOKENS * r.apart;
    at.count = i % FND_TOKENS < s.count ? fnd_min(FND_VEC, r.run_end - at.row) : 0;
    at.token = s.first + i % FND_TOKENS;
    at.writes = 1;
    return at;
}

/* The driver: steps that the worker claims, of its own run of tiles and of others'. */
#define FND_EACH_TILE(r, t, total)                                                                          \
    for (fnd_claim r##_c = fnd_claim_begin(t, FND_TILES_(total)); fnd_claim_next(&r##_c);)                  \
        for (u32 r##_i = r##_c.first; r##_i < r##_c.end; r##_i++)                                           \
            for (fnd_rows r = fnd_rows_of(r##_i, r##_c.first_tile, r##_c.last_tile, total); r.count; r.count = 0)
#define FND_EACH_TILE_2 FND_EACH_TILE /* of two matrices that are joined */
#define FND_DOT_2(policy, w0, tile0, w1, tile1) fnd_tile tile0 = FND_CAT(policy, _dot)(t, w0, r, s, x), tile1 = FND_CAT(policy, _dot)(t, w1, r, s, x)
#define FND_EACH_SPAN(s, r, x)                                                                  \
    for (u32 s##_outer = 0, s##_outers = fnd_outer_(r, x); s##_outer < s##_outers; s##_outer++) \
        for (u32 s##_inner = 0, s##_inners = fnd_inner_(r, x); s##_inner < s##_inners; s##_inner++) \
            for (fnd_span s = fnd_turn_to_(&r, x, s##_outer, s##_inner); s.count; s.count = 0)
#define FND_EACH_PLACE(at, i, t, r, s)       \
    for (u32 i = 0; i < fnd_places_(r, s); i++) \
        for (fnd_at at = fnd_at_of(r, s, i); at.count; at.count = 0)
#endif
