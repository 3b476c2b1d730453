/* gemv/dot_float.cpu.h - POLICY_dot for formats of floats: one tile of FND_VEC rows times FND_TOKENS
 * tokens of f32 activations. A template, chosen in gemv/dot.cpu.h by the policy. */
#include "gemv/tile.cpu.h"

FND_INLINE fnd_tile FND_CAT(POLICY, _dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    (void)t;
    const u8 *tile = w.data + (r.row / FND_VEC) * fnd_tile_bytes(FND_CAT(POLICY, _row_bytes)(x.cols));
    const f32 *rows[FND_TOKENS];
    fnd_tile out;
    for (u32 i = 0; i < FND_TOKENS; i++) {
        rows[i] = x.rows + (u64)(s.first + fnd_min(i, s.count - 1)) * x.cols;
        out.of[i] = fnd_vec_splat(0.0f);
    }
    fnd_tile more = out; /* a second chain of sums, so that additions need not wait for each other */
    u32 k = 0;
    for (; k + 2 <= x.cols; k += 2) {
        vec even = FND_CAT(POLICY, _load)(tile, k), odd = FND_CAT(POLICY, _load)(tile, k + 1);
        for (u32 i = 0; i < FND_TOKENS; i++) {
            out.of[i] += even * rows[i][k];
            more.of[i] += odd * rows[i][k + 1];
        }
    }
    if (k < x.cols) {
        vec last = FND_CAT(POLICY, _load)(tile, k);
        for (u32 i = 0; i < FND_TOKENS; i++) out.of[i] += last * rows[i][k];
    }
    for (u32 i = 0; i < FND_TOKENS; i++) out.of[i] += more.of[i];
    return out;
}
