/* gemv/dot_float.cuda.h - POLICY_dot for formats of floats: a warp has up to FND_ROWS rows, a lane 8
 * columns of each at a time, times FND_TOKENS tokens of f32 activations. */
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)
#define FND_PARTS_ 8u /* loads in flight */

/* `rows`, `count`: see gemv/dot_codes.cuda.h. */
FND_INLINE void P_(_dot_rows)(fnd_thread t, const u32 rows, u32 count, const u8 *w, fnd_span s, fnd_x x, f32 (*out)[FND_ROWS]) {
    const u64 pitch = fnd_row_pitch(P_(_row_bytes)(x.cols));
    const u32 steps = FND_PARTS_ / rows, whole = x.cols / 8 * 8;
    for (u32 base = t.lane * 8; base < whole; base += steps * FND_LANES * 8) {
        P_(_raw8) part[FND_PARTS_];
        FND_UNROLL for (u32 n = 0; n < FND_PARTS_; n++) {
            part[n] = P_(_fetch8)(w + fnd_min(n % rows, count - 1) * pitch, fnd_min(base + n / rows * FND_LANES * 8, whole - 8));
        }
        FND_UNROLL for (u32 step = 0; step < steps; step++) {
            u32 c = base + step * FND_LANES * 8;
            if (c >= whole) continue;
            FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
                f32 xs[8];
                fnd_x_floats_load(x, s.first + fnd_min(i, s.count - 1), c, xs);
                FND_UNROLL for (u32 k = 0; k < rows; k++) {
                    f32 v[8];
                    P_(_widen8)(part[step * rows + k], v);
                    FND_UNROLL for (u32 n = 0; n < 8; n++) out[i][k] += v[n] * xs[n];
                }
            }
        }
    }
    for (u32 c = whole + t.lane; c < x.cols; c += FND_LANES) {
        FND_UNROLL for (u32 k = 0; k < rows; k++) {
            f32 weight = P_(_at)(w + fnd_min(k, count - 1) * pitch, c);
            FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) out[i][k] += weight * x.rows[(u64)(s.first + fnd_min(i, s.count - 1)) * x.cols + c];
        }
    }
}

#include "gemv/dot_entry.cuda.h"
#undef FND_PARTS_
#undef P_
