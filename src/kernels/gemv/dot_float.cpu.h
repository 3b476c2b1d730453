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

/* `count` parts of `cols` columns at `tile` and x, of the first `tokens` tokens; ahead: what follows in memory is
 * fetched meanwhile. */
FND_INLINE void P_(_dot_parts)(fnd_tile *out, const u8 *tile, const f32 *x, u32 cols, const u32 count, const u32 ahead, const u32 tokens) {
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
        FND_UNROLL for (u32 i = 0; i < tokens; i++) out->of[i] += sum[n][i];
}

FND_INLINE void P_(_dot_columns)(fnd_tile *out, const u8 *tile, const f32 *x, u32 cols, const u32 ahead, const u32 tokens) {
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
FND_INLINE void P_(_panel_ahead)(const u8 *tile, u32 cols, u32 first) {
    (void)cols;
    fnd_fetch_ahead(tile + first * P_(_row_bytes)(FND_VEC), (u32)P_(_row_bytes)(FND_VEC) * 32);
}
#undef P_
#define FND_PANEL_PARTS FND_CAT(POLICY, _PARTS)
#include "gemv/panel_halves.cpu.h"
#undef FND_PANEL_PARTS
#define P_(name) FND_CAT(POLICY, name)
#endif

#if FND_STREAMS > 1
/* Columns first .. last - 1 of the tiles of all streams. */
FND_INLINE void P_(_dot_streams)(vec *sum, const u8 *const *tile, const f32 *x, u32 first, u32 last) {
    for (u32 k = first; k < last; k++)
        FND_UNROLL for (u32 i = 0; i < FND_STREAMS; i++) sum[i] = fnd_vec_fma(P_(_load)(tile[i], k), x[k], sum[i]);
}

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u64 bytes = fnd_tile_bytes(P_(_row_bytes)(x.cols));
    const u32 column = (u32)P_(_row_bytes)(FND_VEC), line = column < 64 ? 64 / column : 1; /* columns in one of memory */
    const f32 *floats = x.floats + (u64)s.first * x.cols;
    const u8 *tile[FND_STREAMS];
    fnd_tile out;
    (void)t;
    for (u32 i = 0; i < FND_STREAMS; i++) {
        tile[i] = fnd_stream_tile(w, r, i, bytes);
        out.of[i] = fnd_vec_splat(0.0f);
    }
    for (u32 part = 0; part < x.cols; part += FND_FLOAT_PART) {
        const u32 end = fnd_min(part + FND_FLOAT_PART, x.cols);
        vec sum[FND_STREAMS];
        u32 k = part;
        for (u32 i = 0; i < FND_STREAMS; i++) sum[i] = fnd_vec_splat(0.0f);
        for (; k + line <= end; k += line) {
            FND_UNROLL for (u32 i = 0; i < FND_STREAMS; i++) fnd_fetch_ahead(tile[i] + (u64)k * column + FND_FETCH_AHEAD, column < 64 ? 64 : column);
            P_(_dot_streams)(sum, tile, floats, k, k + line);
        }
        P_(_dot_streams)(sum, tile, floats, k, end);
        for (u32 i = 0; i < FND_STREAMS; i++) out.of[i] += sum[i];
    }
    return out;
}
#else
FND_INLINE fnd_tile P_(_dot_tile)(const u8 *tile, const f32 *floats, u32 cols, const u32 tokens) {
    fnd_tile out;
    for (u32 i = 0; i < FND_TOKENS; i++) out.of[i] = fnd_vec_splat(0.0f);
    P_(_dot_columns)(&out, tile, floats, cols, 1, tokens);
    return out;
}

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)t;
#ifdef FND_PANEL_HALVES
    if (x.panels) return P_(_panel_dot)(w, r, s, x);
#endif
    const u8 *tile = w.data + (r.row / FND_VEC) * fnd_tile_bytes(P_(_row_bytes)(x.cols));
    const f32 *floats = x.floats + (u64)s.first * x.cols;
    if (FND_IS_NARROW(s)) return P_(_dot_tile)(tile, floats, x.cols, FND_NARROW);
    return P_(_dot_tile)(tile, floats, x.cols, FND_TOKENS);
}
#endif
#undef P_
