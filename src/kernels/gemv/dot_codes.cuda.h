/* gemv/dot_codes.cuda.h - POLICY_dot for formats with codes: a warp has up to FND_ROWS rows, a lane 32
 * columns of each at a time, times FND_TOKENS tokens of 8-bit activations.
 *
 * w = scale * (u - zero) + min, so over the weights that share a scale
 *     sum w x = scale * xscale * sum u q  +  (min - scale * zero) * xscale * sum q. */
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)

/* What 32 columns add for one token: q their activations' codes, FND_TOKENS words apart. */
FND_INLINE f32 P_(_dot32)(fnd_codes c, const u32 *q, f32 xscale, const f32 *sums, const f32 *scale, const f32 *min) {
    f32 out = 0.0f;
    FND_UNROLL for (u32 half = 0; half < 32 / P_(_GROUP); half++) {
        i32 acc = 0;
        FND_UNROLL for (u32 j = half * P_(_GROUP) / 4; j < (half + 1) * P_(_GROUP) / 4; j++) acc = fnd_dot4(acc, c.of[j], q[j * FND_TOKENS]);
        out += (f32)acc * (scale[half] * xscale);
        if (P_(_ZERO) || P_(_MIN)) {
            f32 sum = P_(_GROUP) == 32 ? sums[FND_TOKENS] : half ? sums[FND_TOKENS] - sums[0] : sums[0];
            out += ((P_(_MIN) ? min[half] : 0.0f) - scale[half] * (f32)P_(_ZERO)) * sum;
        }
    }
    return out;
}

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u64 pitch = fnd_row_pitch(P_(_row_bytes)(x.cols));
    const u32 groups = x.cols / 32;
    const u8 *low = w.data + r.row * pitch, *high = low + groups * FND_LOW_BYTES(P_(_BITS)), *fields = high + groups * FND_HIGH_BYTES(P_(_BITS));
    const u32 *q = (const u32 *)(x.codes + (u64)s.first * x.cols);
    const f32 *xscales = x.scales + (u64)s.first * groups, *sums = x.sums + (u64)s.first * 2 * groups;
    f32 out[FND_TOKENS][FND_ROWS];
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++)
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) out[i][k] = 0.0f;
    for (u32 g = t.lane; g < groups; g += FND_LANES) {
        fnd_codes c[FND_ROWS];
        f32 scale[FND_ROWS][2], min[FND_ROWS][2];
        FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
            u64 row = fnd_min(k, r.count - 1) * pitch; /* a row too many is read again, and dropped */
            c[k] = P_(_codes)(fnd_codes_load(low + row + g * FND_LOW_BYTES(P_(_BITS)), high + row + g * FND_HIGH_BYTES(P_(_BITS)), P_(_BITS)));
            const u8 *field = fields + row + g * 32 / P_(_BLOCK) * P_(_FIELD_BYTES);
            FND_UNROLL for (u32 h = 0; h < 32 / P_(_GROUP); h++) P_(_scales)(field, g * 32 % P_(_BLOCK) / P_(_GROUP) + h, &scale[k][h], &min[k][h]);
        }
        FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
            const u32 *mine = q + (u64)g * 8 * FND_TOKENS + i;
            FND_UNROLL for (u32 k = 0; k < FND_ROWS; k++) {
                out[i][k] += P_(_dot32)(c[k], mine, xscales[(u64)g * FND_TOKENS + i], sums + (u64)2 * g * FND_TOKENS + i, scale[k], min[k]);
            }
        }
    }
    fnd_tile tile;
    FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) tile.of[i] = fnd_rows_to_lanes(t, out[i]);
    return tile;
}
#undef P_
