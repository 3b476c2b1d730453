/* gemv/dot_lanes.metal.h - POLICY_dot for few tokens: a lane multiplies 16 columns of up to FND_ROWS rows at
 * a time, with activations that it has loaded once for them.
 *
 * Codes of 4 bits are not shifted into place: they are masked where they stand in their word, which makes
 * them 16, 256 or 4,096 times too large, and the activations are divided by that before (policies that say
 * MASKED; gemv/masked.metal.h). */

#define P_(name) FND_CAT(POLICY, name)

#if !P_(_MASKED)
FND_INLINE f32 P_(_dot16)(const FND_GPU u8 *row, u32 g, const FND_OWN f32 *x) {
    f32 w[16];
    P_(_decode16)(row, g, w);
    vec part = fnd_vec_load_own(w) * fnd_vec_load_own(x);
    FND_UNROLL for (u32 k = FND_VEC; k < 16; k += FND_VEC) part = part + fnd_vec_load_own(w + k) * fnd_vec_load_own(x + k);
    return fnd_vec_sum(part);
}
#endif

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u64 row_bytes = P_(_row_bytes)(x.cols);
    const FND_GPU u8 *rows = w.data + (u64)r.row * row_bytes;
    f32 out[FND_TOKENS][FND_ROWS];
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) out[i][k] = 0.0f;
    }
    for (u32 g = t.lane; g < x.cols / 16; g += FND_LANES) {
        FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
            const FND_GPU f32 *from = x.rows + (u64)(s.first + fnd_min(i, s.count - 1)) * x.pitch + 16 * g;
            f32 xs[16];
            vec sum = fnd_vec_splat(0.0f);
            FND_UNROLL for (u32 k = 0; k < 16; k += FND_VEC) {
                vec v = fnd_vec_load(from + k);
                sum = sum + v;
                fnd_vec_store(xs + k, v);
            }
#if P_(_MASKED)
            f32 sum16 = fnd_vec_sum(sum);
            fnd_prescale16(P_(_high)(g), xs);
            FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
                if (k < r.count) out[i][k] += P_(_masked16)(rows + k * row_bytes, g, xs, sum16);
            }
#else
            (void)sum;
            FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
                if (k < r.count) out[i][k] += P_(_dot16)(rows + k * row_bytes, g, xs);
            }
#endif
        }
    }
    for (u32 c = x.cols / 16 * 16 + t.lane; c < x.cols; c += FND_LANES) { /* tail: formats without blocks */
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
            if (k >= r.count) continue;
            f32 weight = P_(_at)(rows + k * row_bytes, c);
            FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) out[i][k] += weight * x.rows[(u64)(s.first + fnd_min(i, s.count - 1)) * x.pitch + c];
        }
    }
    fnd_tile tile;
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
        tile.of[i] = 0.0f;
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
            f32 sum = fnd_lane_sum(out[i][k]);
            if (t.lane == k) tile.of[i] = sum;
        }
    }
    return tile;
}
#undef P_
