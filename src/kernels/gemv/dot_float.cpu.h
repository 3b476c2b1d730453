/* gemv/dot_float.cpu.h - POLICY_dot for formats of floats: one tile of FND_VEC rows times FND_TOKENS
 * tokens of f32 activations. A template, chosen in gemv/dot.cpu.h by the policy.
 *
 * Sums of 64 columns are added up first: that keeps the rounding of a long row small. With few
 * tokens, several sums at once keep the multipliers busy. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)
#define FND_SUMS_ (FND_TOKENS < 4 ? 4 : 1)

/* Columns first .. last - 1, `step` of them at once, of the first `tokens` tokens. */
FND_INLINE void P_(_dot_columns)(fnd_tile *out, const u8 *tile, const f32 *x, u32 first, u32 last, u32 step, const u32 tokens) {
    vec sum[FND_SUMS_][FND_TOKENS];
    for (u32 n = 0; n < step; n++)
        FND_UNROLL for (u32 i = 0; i < tokens; i++) sum[n][i] = fnd_vec_splat(0.0f);
    for (u32 k = first; k < last; k += step) {
        FND_UNROLL for (u32 n = 0; n < step; n++) {
            if (FND_TOKENS >= 4) { /* rows and tokens of a long span leave the L1 cache */
                __builtin_prefetch(tile + (k + n + 32) * P_(_row_bytes)(FND_VEC));
                __builtin_prefetch(x + (u64)(k + n + 32) * FND_TOKENS);
            }
            vec column = P_(_load)(tile, k + n);
            FND_UNROLL for (u32 i = 0; i < tokens; i++) sum[n][i] += column * x[(u64)(k + n) * FND_TOKENS + i];
        }
    }
    for (u32 n = 0; n < step; n++)
        FND_UNROLL for (u32 i = 0; i < tokens; i++) out->of[i] += sum[n][i];
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

FND_INLINE fnd_tile P_(_dot_tile)(const u8 *tile, const f32 *floats, u32 cols, const u32 tokens) {
    fnd_tile out;
    for (u32 i = 0; i < FND_TOKENS; i++) out.of[i] = fnd_vec_splat(0.0f);
    u32 k = 0;
    for (; k + 64 <= cols; k += 64) P_(_dot_columns)(&out, tile, floats, k, k + 64, FND_SUMS_, tokens);
    if (k < cols) P_(_dot_columns)(&out, tile, floats, k, cols, 1, tokens);
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
#undef FND_SUMS_
#undef P_
