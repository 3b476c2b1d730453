/* gemv/dot_float.cpu.h - POLICY_dot for formats of floats: one tile of FND_VEC rows times FND_TOKENS
 * tokens of f32 activations. A template, chosen in gemv/dot.cpu.h by the policy.
 *
 * Columns are summed by parts of 64: a part's in order, begun anew, then those of parts in order. That keeps the
 * rounding of a long row small, and any number of tokens gives the same bits. With few tokens neighbouring parts are
 * summed side by side, so that the multipliers are busy. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)
#define FND_FLOAT_PART  64u
#define FND_FLOAT_PARTS (FND_TOKENS >= 4 ? 1u : FND_TOKENS == 1 && sizeof(POLICY) == 2 ? 4u : 2u) /* side by side */

#ifdef FND_PANEL_HALVES
FND_INLINE vec P_(_panel_column)(const u8 *tile, u32 cols, u32 k, const u32 rest) {
    if (k >= cols) return fnd_vec_splat(0.0f);
    vec v = P_(_load)(tile, k);
    return rest ? v - fnd_amx_round(v) : v;
}
FND_INLINE void P_(_panel)(u16 *to, const u8 *tile, u32 cols, u32 first, u32 steps, const u32 rest) {
    for (u32 k = first; k < first + 32 * steps; k += 2, to += 32)
        fnd_amx_put(to, P_(_panel_column)(tile, cols, k, rest), P_(_panel_column)(tile, cols, k + 1, rest));
}
#undef P_
#define FND_PANEL_PARTS FND_CAT(POLICY, _PARTS)
#include "gemv/panel_halves.cpu.h"
#undef FND_PANEL_PARTS
#define P_(name) FND_CAT(POLICY, name)
#endif

#ifndef FND_PANEL_HALVES
/* `count` parts of `cols` columns at `tile` and x, of the first `tokens` tokens; ahead: what follows in memory is
 * fetched meanwhile. */
FND_INLINE void P_(_dot_parts)(fnd_val *out, const u8 *tile, const f32 *x, u32 cols, const u32 count, const u32 ahead, const u32 tokens) {
    const u32 bytes = (u32)P_(_row_bytes)(FND_VEC);
    const u8 *next = tile + FND_FLOAT_PART * FND_FLOAT_PARTS * bytes;
    vec sum[FND_FLOAT_PARTS][FND_TOKENS];
    for (u32 n = 0; n < count; n++)
        FND_UNROLL for (u32 i = 0; i < tokens; i++) sum[n][i] = fnd_vec_splat(0.0f);
    for (u32 k = 0; k < cols; k++, tile += bytes, x += FND_TOKENS) {
        if (FND_TOKENS >= 4) { /* rows and tokens of a long span leave the L1 cache */
            __builtin_prefetch(tile + 32 * bytes);
            __builtin_prefetch(x + 32 * FND_TOKENS);
        } else if (ahead) {
            for (u32 at = 0; at < count * bytes; at += 64) __builtin_prefetch(next + at);
            next += count * bytes;
        }
        FND_UNROLL for (u32 n = 0; n < count; n++) {
            vec column = P_(_load)(tile + n * FND_FLOAT_PART * bytes, 0);
            FND_UNROLL for (u32 i = 0; i < tokens; i++) sum[n][i] = fnd_vec_fma(column, x[n * FND_FLOAT_PART * FND_TOKENS + i], sum[n][i]);
        }
    }
    for (u32 n = 0; n < count; n++)
        FND_UNROLL for (u32 i = 0; i < tokens; i++) out[i] += sum[n][i];
}

FND_INLINE void P_(_dot_columns)(fnd_val *out, const u8 *tile, const f32 *x, u32 cols, const u32 ahead, const u32 tokens) {
    const u32 part = FND_FLOAT_PART, part_bytes = (u32)P_(_row_bytes)(FND_FLOAT_PART * FND_VEC);
    FND_UNROLL for (u32 count = FND_FLOAT_PARTS; count; count /= 2) {
        for (; cols >= part * count; cols -= part * count) {
            P_(_dot_parts)(out, tile, x, part, count, ahead, tokens);
            tile += part_bytes * count;
            x += part * FND_TOKENS * count;
        }
    }
    if (cols) P_(_dot_parts)(out, tile, x, cols, 1, ahead, tokens);
}

#if FND_TOKENS < 8
/* Columns first .. last - 1 of the tiles of all streams; sum: [stream][n]. */
FND_INLINE void P_(_dot_streams)(vec *sum, const u8 *const *tile, const f32 *x, u32 first, u32 last, const u32 n) {
    for (u32 k = first; k < last; k++) {
        FND_UNROLL for (u32 i = 0; i < FND_STREAMS; i++) {
            vec column = P_(_load)(tile[i], k);
            FND_UNROLL for (u32 m = 0; m < n; m++) sum[i * n + m] = fnd_vec_fma(column, x[k * FND_TOKENS + m], sum[i * n + m]);
        }
    }
}

/* The tiles of all streams side by side, n tokens. */
FND_INLINE void P_(_dot_tiles)(fnd_tile *out, fnd_weight w, fnd_rows r, const f32 *floats, u32 cols, const u32 n) {
    const u64 bytes = fnd_tile_bytes(P_(_row_bytes)(cols));
    const u32 column = (u32)P_(_row_bytes)(FND_VEC), line = column < 64 ? 64 / column : 1; /* columns in one of memory */
    const u8 *tile[FND_STREAMS]; /* where there are fewer streams the last one's, again */
    for (u32 i = 0; i < FND_STREAMS; i++) tile[i] = w.data + (r.row + fnd_min(i, r.streams - 1) * r.apart) / FND_VEC * bytes;
    fnd_tile_zero(out, FND_STREAMS, n);
    for (u32 part = 0; part < cols; part += FND_FLOAT_PART) {
        const u32 end = fnd_min(part + FND_FLOAT_PART, cols);
        vec sum[FND_STREAMS * FND_TOKENS];
        u32 k = part;
        FND_UNROLL for (u32 i = 0; i < FND_STREAMS * n; i++) sum[i] = fnd_vec_splat(0.0f);
        for (; k + line <= end; k += line) {
            FND_UNROLL for (u32 i = 0; i < FND_STREAMS; i++) fnd_fetch_ahead(tile[i] + (u64)k * column + FND_FETCH_AHEAD, column < 64 ? 64 : column);
            P_(_dot_streams)(sum, tile, floats, k, k + line, n);
        }
        P_(_dot_streams)(sum, tile, floats, k, end, n);
        FND_UNROLL for (u32 i = 0; i < FND_STREAMS * n; i++) out->of[i / n * FND_TOKENS + i % n] += sum[i];
    }
}
#else
/* A part of each stream's tile in turn: the sums of one fill the registers. */
FND_INLINE void P_(_dot_tiles)(fnd_tile *out, fnd_weight w, fnd_rows r, const f32 *floats, u32 cols, const u32 n) {
    const u64 bytes = fnd_tile_bytes(P_(_row_bytes)(cols)), apart = r.apart / FND_VEC * bytes;
    const u8 *tile = w.data + r.row / FND_VEC * bytes;
    fnd_tile_zero(out, r.streams, n);
    for (u32 part = 0; part < cols; part += FND_FLOAT_PART, floats += FND_FLOAT_PART * FND_TOKENS, tile += P_(_row_bytes)(FND_FLOAT_PART * FND_VEC))
        for (u32 i = 0; i < r.streams; i++) P_(_dot_parts)(out->of + i * FND_TOKENS, tile + i * apart, floats, fnd_min(FND_FLOAT_PART, cols - part), 1, 1, n);
}
#endif

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const f32 *floats = x.floats + (u64)s.first * x.cols;
    fnd_tile out;
    (void)t;
    if (FND_IS_NARROW(s))
        P_(_dot_tiles)(&out, w, r, floats, x.cols, FND_NARROW);
    else
        P_(_dot_tiles)(&out, w, r, floats, x.cols, FND_TOKENS);
    return out;
}
#endif
#undef P_
