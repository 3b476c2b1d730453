/* gemv/tile.cpu.h - weights in tiles of FND_VEC rows, as the CPU strategies read them, and how codes of
 * every width come out of them.
 *
 * A tile holds FND_VEC rows (R below) in as many bytes as the file has for them, padded to 64:
 *     codes   for every 32 columns, by the width of the codes:
 *             8 bits   8 vectors of R x 4 bytes; vector j holds columns 4j .. 4j+3 of every row
 *             4 bits   4 vectors; vector j: low nibbles are quad j, high nibbles quad j + 4
 *             5 bits   the 4 vectors of 4 bits, then 1 vector: bit j of a byte is bit 4 for quad j
 *             6 bits   the 4 vectors of 4 bits, then 2 vectors: of vector h, bits 2j and 2j+1 are
 *                      bits 4-5 for quad 4h + j
 *     fields  for every block of the format, its packed scales, unit by unit: [unit][row]
 * Formats of floats: [col][row]. Rows past the last of the matrix are zero. */
#ifndef GEMV_TILE_CPU_H
#define GEMV_TILE_CPU_H
#include "gemv/dots.cpu.h"
#include "gemv/take.cpu.h"

/* The first span of tokens, often the only one, reads every weight from memory: each stream of tiles is
 * fetched some bytes ahead, across the ends of tiles, so that memory never waits for arithmetic. Fetching
 * past the end does no harm. */
#define FND_FETCH_AHEAD 1024
FND_INLINE void fnd_fetch_ahead(const u8 *p, u32 bytes) {
    FND_UNROLL for (u32 i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 3);
}

/* Columns of each stream that are multiplied in turn. Meanwhile 32 columns of every stream, one after the other, are
 * fetched, so that all streams are under way all the time. */
#define FND_TURN_COLS 128u
typedef struct fnd_ahead {
    const u8 *at, *row;
    u64       apart;
    u32       streams, stream; /* 0 streams: nothing is fetched */
} fnd_ahead;
FND_INLINE fnd_ahead fnd_ahead_of(const u8 *first, u64 apart, u32 streams) {
    fnd_ahead a = { .at = first, .row = first, .apart = apart, .streams = streams };
    return a;
}
FND_INLINE void fnd_fetch_next(fnd_ahead *a, u32 bytes) {
    fnd_fetch_ahead(a->at, bytes);
    a->at += a->apart;
    if (++a->stream < a->streams) return;
    a->stream = 0;
    a->at = a->row += bytes;
}

/* Into the second cache, where what is needed later does not push out of the first what is needed now. */
FND_INLINE void fnd_fetch_early(const u8 *p, u32 bytes) {
    FND_UNROLL for (u32 i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

FND_INLINE u64 fnd_tile_bytes(u64 row_bytes) { return (row_bytes * FND_VEC + 63) & ~(u64)63; }
FND_INLINE void fnd_tile_zero(fnd_tile *tile, u32 streams, const u32 tokens) {
    for (u32 i = 0; i < streams; i++)
        FND_UNROLL for (u32 k = 0; k < tokens; k++) tile->of[i * FND_TOKENS + k] = fnd_vec_splat(0.0f);
}
/* Activations from the span that begins with `token` on; past some columns. */
FND_INLINE fnd_x fnd_x_at(fnd_x x, u32 token) {
    x.codes += (u64)token * x.cols;
    x.scales += (u64)token * (x.cols / 32);
    x.sums += (u64)token * (x.cols / 32);
    x.counts += (u64)token * (x.cols / 16);
    x.floats += (u64)token * x.cols;
    return x;
}
FND_INLINE fnd_x fnd_x_past(fnd_x x, u32 cols) {
    x.codes += cols * FND_TOKENS;
    x.scales += cols / 32 * FND_TOKENS;
    x.sums += cols / 32 * FND_TOKENS;
    x.counts += cols / 16 * FND_TOKENS;
    return x;
}
/* What of a policy's ZERO is left in the sums of its products. */
#define FND_ZERO_LEFT(zero) ((zero) == 128 ? FND_WIDE_ZERO : (zero))

FND_INLINE vec_u8x4 fnd_nibbles_low_(vec_u8x4 v) { return v & 15; }
FND_INLINE vec_u8x4 fnd_nibbles_high_(vec_u8x4 v) { return v >> 4; }

/* fnd_unpack_<bits>: quad j (0..7) of the 32 columns whose planes start at p. j is a constant after
 * unrolling, so the choices cost nothing. */
#define FND_PLANES_8 (32 * FND_VEC)
#define FND_PLANES_4 (16 * FND_VEC)
#define FND_PLANES_5 (20 * FND_VEC)
#define FND_PLANES_6 (24 * FND_VEC)
FND_INLINE vec_u8x4 fnd_unpack_8(const u8 *p, u32 j) { return fnd_codes_load_(p + j * 4 * FND_VEC); }
FND_INLINE vec_u8x4 fnd_unpack_4(const u8 *p, u32 j) {
    vec_u8x4 v = fnd_codes_load_(p + (j & 3) * 4 * FND_VEC);
    return j < 4 ? fnd_nibbles_low_(v) : fnd_nibbles_high_(v);
}
FND_INLINE vec_u8x4 fnd_unpack_5(const u8 *p, u32 j) {
    vec_u8x4 high = fnd_codes_load_(p + FND_PLANES_4);
    vec_u16x2_ h = (vec_u16x2_)high;
    h = j <= 4 ? h << (4 - j) : h >> (j - 4);
    return fnd_unpack_4(p, j) | ((vec_u8x4)h & 16);
}
FND_INLINE vec_u8x4 fnd_unpack_6(const u8 *p, u32 j) {
    vec_u8x4 high = fnd_codes_load_(p + FND_PLANES_4 + (j >> 2) * 4 * FND_VEC);
    vec_u16x2_ h = (vec_u16x2_)high;
    u32 from = (j & 3) * 2;
    h = from <= 4 ? h << (4 - from) : h >> (from - 4);
    return fnd_unpack_4(p, j) | ((vec_u8x4)h & 48);
}
#endif
