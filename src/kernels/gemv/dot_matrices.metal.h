/* gemv/dot_matrices.metal.h - POLICY_dot for spans of tokens, by matrices of 8 x 8.
 *
 * A warp has 8, 16 or 32 rows. All its lanes together decode 512 weights, each once for all tokens of the
 * span, into memory of the warp: 16, 32 or 64 columns of each row, a lane 16 of them. Then for every 8
 * columns
 *     result[token, row] += x[token, column] * weight[row, column]
 * with x loaded as it lies in the group's scratch memory. */

#define P_(name) FND_CAT(POLICY, name)
#define FND_TOKEN_BLOCKS_ (FND_TOKENS / 8)

/* `blocks` (a constant: 1, 2 or 4) of 8 rows, of which `r.count` are real: the last is decoded again for
 * those too many, and the results are dropped. */
FND_INLINE fnd_tile P_(_dot_blocks)(fnd_thread t, const u32 blocks, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u32 rows = 8 * blocks, depth = 512 / rows;
    const u32 own_row = t.lane % rows, own_column = t.lane / rows * 16;
    const FND_GPU u8 *row = w.data + (u64)(r.row + fnd_min(own_row, r.count - 1)) * P_(_row_bytes)(x.cols);
    FND_WARP_ARRAY(f32, weights, 512);
    fnd_mat8 sum[FND_TOKEN_BLOCKS_][4];
    fnd_tile tile;
    FND_UNROLL for (u32 i = 0; i < FND_TOKEN_BLOCKS_; i++) {
        FND_UNROLL for (u32 k = 0; k < blocks; k++) sum[i][k] = fnd_mat8_zero();
    }
    for (u32 first = 0; first < x.cols; first += depth) {
        const u32 column = first + own_column, steps = fnd_min(depth, x.pitch - first) / 8;
        f32 own[16];
        if (column + 16 <= x.cols) {
            P_(_decode16)(row, column / 16, own);
        } else { /* formats without blocks, and behind the row's end */
            for (u32 i = 0; i < 16; i++) own[i] = column + i < x.cols ? P_(_at)(row, column + i) : 0.0f;
        }
        fnd_warp_barrier(t); /* those before have been used */
        FND_UNROLL for (u32 i = 0; i < 16; i += FND_VEC) fnd_vec_store(weights + own_row * depth + own_column + i, fnd_vec_load_own(own + i));
        fnd_warp_barrier(t);
        for (u32 k = 0; k < steps; k++) {
            fnd_mat8 xs[FND_TOKEN_BLOCKS_];
            FND_UNROLL for (u32 i = 0; i < FND_TOKEN_BLOCKS_; i++) fnd_mat8_load(t, xs[i], x.rows + (u64)(s.first + 8 * i) * x.pitch + first + 8 * k, x.pitch);
            FND_UNROLL for (u32 b = 0; b < blocks; b++) {
                fnd_mat8 ws;
                fnd_mat8_load_turned(t, ws, weights + 8 * b * depth + 8 * k, depth);
                FND_UNROLL for (u32 i = 0; i < FND_TOKEN_BLOCKS_; i++) fnd_mat8_add_product(sum[i][b], xs[i], ws);
            }
        }
    }
    FND_UNROLL for (u32 i = 0; i < FND_TOKEN_BLOCKS_; i++) {
        fnd_warp_barrier(t);
        FND_UNROLL for (u32 b = 0; b < blocks; b++) fnd_mat8_store(t, sum[i][b], weights + 8 * b, rows);
        fnd_warp_barrier(t);
        FND_UNROLL for (u32 k = 0; k < 8; k++) tile.of[8 * i + k] = weights[k * rows + own_row];
    }
    fnd_warp_barrier(t); /* before another head's weights stand there */
    return tile;
}

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    if (r.count <= 8) return P_(_dot_blocks)(t, 1, w, r, s, x);
    if (r.count <= 16) return P_(_dot_blocks)(t, 2, w, r, s, x);
    return P_(_dot_blocks)(t, 4, w, r, s, x);
}
#undef FND_TOKEN_BLOCKS_
#undef P_
