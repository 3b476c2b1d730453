/* gemv/dot_float.cuda.h - POLICY_dot for formats of floats: a warp has up to FND_ROWS rows, a lane 8
 * columns of each at a time, times FND_TOKENS tokens of f32 activations. */
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u64 pitch = fnd_row_pitch(P_(_row_bytes)(x.cols));
    const u8 *rows = w.data + r.row * pitch;
    f32 out[FND_TOKENS][FND_ROWS];
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++)
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) out[i][k] = 0.0f;
    u32 whole = x.cols / 8 * 8;
    #pragma unroll 2
    for (u32 c = t.lane * 8; c < whole; c += FND_LANES * 8) {
        f32 v[FND_ROWS][8];
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) P_(_load8)(rows + fnd_min(k, r.count - 1) * pitch, c, v[k]);
        FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
            const f32 *xs = x.rows + (u64)(s.first + fnd_min(i, s.count - 1)) * x.cols + c;
            FND_UNROLL for (u32 n = 0; n < 8; n++) {
                f32 value = xs[n];
                FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) out[i][k] += v[k][n] * value;
            }
        }
    }
    for (u32 c = whole + t.lane; c < x.cols; c += FND_LANES) {
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
            f32 weight = P_(_at)(rows + fnd_min(k, r.count - 1) * pitch, c);
            FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) out[i][k] += weight * x.rows[(u64)(s.first + fnd_min(i, s.count - 1)) * x.cols + c];
        }
    }
    fnd_tile tile;
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) tile.of[i] = fnd_rows_to_lanes(t, out[i]);
    return tile;
}
#undef P_
