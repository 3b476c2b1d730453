/* right.h - kernels without a mistake, for any number of warps. */
#include "norm/rmsnorm.h"
#include "policy/q4_1/q4_1.h"
#define POLICY q4_1
#include "gemv/dot.h"
#undef POLICY

/* y[group] = sum of x, y[groups + group] = maximum of x, y[2 groups + group] = x of lane 7 */
#define REDUCE_TENSORS(F) F(IN, f32, x) F(OUT, f32, y)
#define REDUCE_VALUES(F)  F(VAL, u32, n)
FND_KERNEL(reduce, REDUCE_TENSORS, REDUCE_VALUES, 24) {
    f32 sum = 0.0f, most = -1e30f;
    for (u32 i = fnd_thread_index(t); i < a.n; i += FND_THREADS) {
        sum += a.x[i];
        most = fnd_fmax(most, a.x[i]);
    }
    sum = fnd_group_sum(t, sum);
    most = fnd_group_max(t, most);
    f32 seventh = fnd_lane_get(a.x[t.lane], 7), next = fnd_lane_get((f32)t.lane, (t.lane + 1) % FND_LANES);
    if (fnd_thread_index(t) != 0) return;
    a.y[t.group] = sum;
    a.y[t.groups + t.group] = most;
    a.y[2 * t.groups + t.group] = seventh + next;
}

/* y [cols, rows] = x [rows, cols] transposed, by tiles of 32 x 32 in group memory */
#define TRANSPOSE_TENSORS(F) F(IN, f32, x) F(OUT, f32, y)
#define TRANSPOSE_VALUES(F)  F(VAL, u32, rows) F(VAL, u32, cols)
FND_KERNEL(transpose, TRANSPOSE_TENSORS, TRANSPOSE_VALUES, 24) {
    FND_GROUP_ARRAY(f32, tile, 32 * 33);
    u32 across = (a.cols + 31) / 32, tiles = across * ((a.rows + 31) / 32);
    for (u32 k = t.group; k < tiles; k += t.groups) {
        u32 row = k / across * 32, col = k % across * 32;
        for (u32 r = t.warp; r < 32; r += FND_WARPS)
            if (row + r < a.rows && col + t.lane < a.cols) tile[r * 33 + t.lane] = a.x[(row + r) * a.cols + col + t.lane];
        fnd_group_barrier(t);
        for (u32 c = t.warp; c < 32; c += FND_WARPS)
            if (col + c < a.cols && row + t.lane < a.rows) a.y[(col + c) * a.rows + row + t.lane] = tile[t.lane * 33 + c];
        fnd_group_barrier(t);
    }
}

/* Neighbouring lanes exchange through group memory; a lane operation is where they meet. */
FND_KERNEL(exchange, REDUCE_TENSORS, REDUCE_VALUES, 24) {
    FND_GROUP_ARRAY(u8, tile, FND_THREADS);
    u32 k = fnd_thread_index(t);
    for (u32 i = t.group * FND_THREADS + k; i / FND_THREADS * FND_THREADS < a.n; i += t.groups * FND_THREADS) {
        tile[k] = (u8)k;
        if (fnd_lane_sum(1.0f) != 32.0f) return;
        u8 other = tile[k ^ 1];
        if (fnd_lane_sum(1.0f) != 32.0f) return;
        if (i < a.n) a.y[i] = a.x[i] + (f32)other;
    }
}

/* In place: what another thread wrote before a barrier may be read after it. */
#define SHIFT_TENSORS(F) F(INOUT, f32, y)
FND_KERNEL(reverse, SHIFT_TENSORS, REDUCE_VALUES, 16) {
    if (t.group != 0) return;
    u32 k = fnd_thread_index(t);
    for (u32 first = 0; first < a.n; first += 2 * FND_THREADS) {
        u32 i = first / 2 + k;
        if (i < a.n / 2) {
            f32 low = a.y[i], high = a.y[a.n - 1 - i];
            a.y[i] = high;
            a.y[a.n - 1 - i] = low;
        }
    }
    fnd_group_barrier(t);
    for (u32 i = a.n - 1 - k; i < a.n; i -= FND_THREADS) a.y[i] += 1.0f;
}

/* y = rmsnorm(x, gamma) */
#define NORM_TENSORS(F) F(IN, u8, x) F(IN, f32, gamma) F(OUT, f32, y)
#define NORM_VALUES(F)  F(VAL, f32, eps) F(VAL, u32, tokens) F(VAL, u32, dim)
FND_KERNEL(norm, NORM_TENSORS, NORM_VALUES, 40) {
    for (u32 m = t.group; m < a.tokens; m += t.groups)
        rmsnorm(t, a.y + (u64)m * a.dim, m, fnd_in(a.x, FND_ACT_F32), a.gamma, a.eps, a.tokens, a.dim);
}

/* y = w * rmsnorm(x, gamma) */
#define GEMV_TENSORS(F) F(WEIGHT, u8, w) F(IN, u8, x) F(IN, f32, gamma) F(OUT, f32, y)
#define GEMV_VALUES(F)  F(VAL, f32, eps) F(VAL, u32, rows) F(VAL, u32, cols)
FND_KERNEL(norm_gemv, GEMV_TENSORS, GEMV_VALUES, 56) {
    fnd_x x = fnd_x_begin(t, a.cols, 1);
    rmsnorm(t, fnd_x_row(t, x, 0), 0, fnd_in(a.x, FND_ACT_F32), a.gamma, a.eps, 1, a.cols);
    fnd_x_put(t, x, 0);
    fnd_x_end(t, x);
    FND_EACH_TILE(r, t, a.rows) {
        FND_EACH_SPAN(s, r, x) {
            fnd_tile v = q4_1_dot(t, a.w, r, s, x);
            FND_EACH_PLACE(at, i, t, r, s) if (at.writes) a.y[at.row] = v.of[i];
        }
    }
}
