/* gemv/dot_float.cpu.h - POLICY_dot for formats of floats: one tile of FND_VEC rows times FND_TOKENS
 * tokens of f32 activations. A template, chosen in gemv/dot.cpu.h by the policy.
 *
 * Sums of 64 columns are added up first: that keeps the rounding of a long row small. With few
 * tokens, several sums at once keep the multipliers busy. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)
#define FND_SUMS_ (FND_TOKENS < 4 ? 4 : 1)

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)t;
    const u8 *tile = w.data + (r.row / FND_VEC) * fnd_tile_bytes(P_(_row_bytes)(x.cols));
    const f32 *rows[FND_TOKENS];
    fnd_tile out;
    for (u32 i = 0; i < FND_TOKENS; i++) {
        rows[i] = x.rows + (u64)(s.first + fnd_min(i, s.count - 1)) * x.cols;
        out.of[i] = fnd_vec_splat(0.0f);
    }
    for (u32 first = 0; first < x.cols; first += 64) {
        u32 k = first, end = fnd_min(first + 64, x.cols);
        vec sum[FND_TOKENS][FND_SUMS_];
        for (u32 i = 0; i < FND_TOKENS * FND_SUMS_; i++) sum[i / FND_SUMS_][i % FND_SUMS_] = fnd_vec_splat(0.0f);
        for (; k + FND_SUMS_ <= end; k += FND_SUMS_) {
            for (u32 n = 0; n < FND_SUMS_; n++) {
                vec column = P_(_load)(tile, k + n);
                for (u32 i = 0; i < FND_TOKENS; i++) sum[i][n] += column * rows[i][k + n];
            }
        }
        for (; k < end; k++)
            for (u32 i = 0; i < FND_TOKENS; i++) sum[i][0] += P_(_load)(tile, k) * rows[i][k];
        for (u32 n = 0; n < FND_SUMS_; n++)
            for (u32 i = 0; i < FND_TOKENS; i++) out.of[i] += sum[i][n];
    }
    return out;
}
#undef FND_SUMS_
#undef P_
