/* gemv/dot.h - POLICY_dot: one row of a weight matrix times FND_TOKENS rows of activations.
 *
 * A template: included once for every POLICY of a kernel. The portable strategy: a warp has a row,
 * its lanes take 16 weights in turn, decode them once and use them for every token. */
#include "gemv/x.h"
#include "gemv/dot_args.h"

FND_INLINE fnd_tile FND_CAT(POLICY, _dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const FND_GPU u8 *row = w.data + (u64)r.row * FND_CAT(POLICY, _row_bytes)(x.cols);
    fnd_tile sum;
    for (u32 i = 0; i < FND_TOKENS; i++) sum.of[i] = 0.0f;
    for (u32 g = t.lane; g < x.cols / 16; g += FND_LANES) {
        f32 weight[16];
        FND_CAT(POLICY, _decode16)(row, g, weight);
        for (u32 i = 0; i < FND_TOKENS; i++) {
            const FND_GPU f32 *xs = x.rows + (u64)(s.first + fnd_min(i, s.count - 1)) * x.cols + 16 * g;
            vec part = fnd_vec_load_own(weight) * fnd_vec_load(xs);
            for (u32 k = FND_VEC; k < 16; k += FND_VEC) part = part + fnd_vec_load_own(weight + k) * fnd_vec_load(xs + k);
            sum.of[i] += fnd_vec_sum(part);
        }
    }
    for (u32 k = x.cols / 16 * 16 + t.lane; k < x.cols; k += FND_LANES) { /* tail: formats without blocks */
        f32 weight = FND_CAT(POLICY, _at)(row, k);
        for (u32 i = 0; i < FND_TOKENS; i++) {
            sum.of[i] += weight * x.rows[(u64)(s.first + fnd_min(i, s.count - 1)) * x.cols + k];
        }
    }
    for (u32 i = 0; i < FND_TOKENS; i++) sum.of[i] = fnd_lane_sum(sum.of[i]);
    return sum;
}
