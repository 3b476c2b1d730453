/* gemv/dot_codes.cuda.h - POLICY_dot for formats with codes: a warp has up to FND_ROWS rows, a lane 32
 * columns of each at a time, times FND_TOKENS tokens of 8-bit activations.
 *
 * w = scale * (u - zero) + min, so over the weights that share a scale
 *     sum w x = scale * xscale * sum u q  +  (min - scale * zero) * xscale * sum q. */
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)

/* 32 columns of a row, on the way from memory. */
typedef struct P_(_32) {
    fnd_raw codes;
    f32 scale[32 / P_(_GROUP)], min[32 / P_(_GROUP)];
} P_(_32);

FND_INLINE P_(_32) P_(_fetch)(const u8 *row, u32 groups, u32 g) {
    const u8 *high = row + groups * FND_LOW_BYTES(P_(_BITS)), *fields = high + groups * FND_HIGH_BYTES(P_(_BITS));
    P_(_32) w;
    w.codes = fnd_raw_load(row + g * FND_LOW_BYTES(P_(_BITS)), high + g * FND_HIGH_BYTES(P_(_BITS)), P_(_BITS));
    const u8 *field = fields + g * 32 / P_(_BLOCK) * P_(_FIELD_BYTES);
    FND_UNROLL for (u32 h = 0; h < 32 / P_(_GROUP); h++) P_(_scales)(field, g * 32 % P_(_BLOCK) / P_(_GROUP) + h, &w.scale[h], &w.min[h]);
    return w;
}

/* What they add for one token; q: the codes of its activations. */
FND_INLINE f32 P_(_dot32)(const P_(_32) *w, const fnd_codes *c, const u32 *q, f32 xscale, f32 sum16, f32 sum32) {
    f32 out = 0.0f;
    FND_UNROLL for (u32 half = 0; half < 32 / P_(_GROUP); half++) {
        i32 acc = 0;
        FND_UNROLL for (u32 j = half * P_(_GROUP) / 4; j < (half + 1) * P_(_GROUP) / 4; j++) acc = fnd_dot4(acc, c->of[j], q[j]);
        out += (f32)acc * (w->scale[half] * xscale);
        if (P_(_ZERO) || P_(_MIN)) {
            f32 sum = P_(_GROUP) == 32 ? sum32 : half ? sum32 - sum16 : sum16;
            out += ((P_(_MIN) ? w->min[half] : 0.0f) - w->scale[half] * (f32)P_(_ZERO)) * sum;
        }
    }
    return out;
}

/* `rows` (a constant: 1, 2 or 4) rows, of which `count` are real: one too many is read again and its
 * result dropped. */
FND_INLINE void P_(_dot_rows)(fnd_thread t, const u32 rows, u32 count, const u8 *w, fnd_span s, fnd_x x, f32 (*out)[FND_ROWS]) {
    const u64 pitch = fnd_row_pitch(P_(_row_bytes)(x.cols));
    const u32 groups = x.cols / 32, steps = FND_ROWS / rows;
    const i8 *q = x.codes + (u64)s.first * x.cols;
    const f32 *xscales = x.scales + (u64)s.first * groups, *sums = x.sums + (u64)s.first * 2 * groups;
    for (u32 base = t.lane; base < groups; base += steps * FND_LANES) {
        P_(_32) part[FND_ROWS];
        FND_UNROLL for (u32 n = 0; n < FND_ROWS; n++) {
            part[n] = P_(_fetch)(w + fnd_min(n % rows, count - 1) * pitch, groups, fnd_min(base + n / rows * FND_LANES, groups - 1));
        }
        FND_UNROLL for (u32 step = 0; step < steps; step++) {
            u32 g = base + step * FND_LANES;
            if (g >= groups) continue;
            FND_UNROLL for (u32 k = 0; k < rows; k++) {
                const P_(_32) *of = &part[step * rows + k];
                fnd_codes c = P_(_codes)(fnd_codes_of(of->codes, P_(_BITS)));
                FND_UNROLL for (u32 i = 0; i < FND_TOKENS; i++) {
                    fnd_codes mine = fnd_x_codes_load(q, g, i);
                    out[i][k] += P_(_dot32)(of, &c, mine.of, xscales[(u64)g * FND_TOKENS + i], sums[(u64)2 * g * FND_TOKENS + i], sums[((u64)2 * g + 1) * FND_TOKENS + i]);
                }
            }
        }
    }
}

#include "gemv/dot_entry.cuda.h"
#undef P_
