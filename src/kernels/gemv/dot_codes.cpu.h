/* gemv/dot_codes.cpu.h - POLICY_dot for formats with codes: one tile of FND_VEC rows times FND_TOKENS
 * tokens of 8-bit activations.
 *
 * w = scale * (u - zero) + min, so over the weights that share a scale
 *     sum w x = scale * xscale * (sum u q - zero * sum q)  +  min * xscale * sum q:
 * what stands in brackets is an exact integer. It is rounded when it is multiplied by the scale, and when that
 * is added with xscale, in order of columns and fused: so every strategy with the same activations gives
 * the same bits (gemv/panel_codes.cpu.h). A template: included once for every POLICY;
 * policy/<POLICY>/<POLICY>.cpu.h gives BLOCK, GROUP, FIELD_BYTES, PLANES, unpack, ZERO, MIN and scales. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)

#ifdef FND_PANEL_HALVES
FND_INLINE void P_(_panel)(u16 *to, const u8 *tile, u32 cols, u32 first, u32 steps, const u32 rest) {
    const u32 quads = P_(_GROUP) / 4;
    const u8 *codes = tile + (u64)(first / 32) * P_(_PLANES);
    const u8 *fields = tile + (u64)(cols / 32) * P_(_PLANES) + (u64)(first / P_(_BLOCK)) * P_(_FIELD_BYTES) * FND_VEC;
    (void)rest;
    for (u32 block = 0; block < steps / (P_(_BLOCK) / 32); block++, fields += P_(_FIELD_BYTES) * FND_VEC) {
        for (u32 chunk = 0; chunk < P_(_BLOCK) / 32; chunk++, codes += P_(_PLANES), to += 512) {
            vec scale, min = fnd_vec_splat(0.0f), offset = min;
            FND_UNROLL for (u32 j = 0; j < 8; j++) {
                if (j % quads == 0) {
                    P_(_scales)(fields, chunk * (32 / P_(_GROUP)) + j / quads, &scale, &min);
                    offset = min - scale * (256.0f + P_(_ZERO));
                }
                /* A code in the fraction of 256.0f, where 2^15 counts one, makes that 256 + code. */
                vec_u32x1_ u = (vec_u32x1_)P_(_unpack)(codes, j);
                vec w0 = (vec)((u << 15 & 0x7f8000u) | 0x43800000u), w1 = (vec)((u << 7 & 0x7f8000u) | 0x43800000u);
                vec w2 = (vec)((u >> 1 & 0x7f8000u) | 0x43800000u), w3 = (vec)((u >> 9 & 0x7f8000u) | 0x43800000u);
                fnd_amx_put(to + 64 * j, w0 * scale + offset, w1 * scale + offset);
                fnd_amx_put(to + 64 * j + 32, w2 * scale + offset, w3 * scale + offset);
            }
        }
    }
}
#undef P_
#define FND_PANEL_PARTS 1
#include "gemv/panel_halves.cpu.h"
#undef FND_PANEL_PARTS
#define P_(name) FND_CAT(POLICY, name)
#elif defined(FND_PANELS)
#undef P_
#include "gemv/panel_codes.cpu.h"
#define P_(name) FND_CAT(POLICY, name)
#endif

#ifndef FND_PANEL_HALVES
/* 32 columns: codes at `codes`, their scales those of `group` and of the group after it. Here x stands
 * at these columns; of its tokens the first n are computed, by the same steps whatever n is. */
FND_INLINE void P_(_dot32)(fnd_val *out, const u8 *codes, const u8 *fields, u32 group, fnd_x x, const u32 n) {
    const u32 quads = P_(_GROUP) / 4; /* of a group: 8 or 4 */
    const i32 zero = FND_ZERO_LEFT(P_(_ZERO));
    FND_UNROLL for (u32 first = 0; first < 8; first += quads, group++) {
        vec_i32 acc[FND_TOKENS];
        i32 counts[FND_TOKENS], start[FND_TOKENS] = { 0 };
        FND_UNROLL for (u32 i = 0; i < n; i++) {
            counts[i] = quads == 8 ? x.counts[FND_TOKENS + i] : first == 0 ? x.counts[i] : x.counts[FND_TOKENS + i] - x.counts[i];
            start[i] = zero * counts[i];
        }
        if (n > 1 && zero != 0) __asm__("" : "+m"(start)); /* one vector of numbers, then loads that spread them */
        fnd_dots sums = fnd_dots_begin(start, n);
        FND_UNROLL for (u32 j = first; j < first + quads; j += FND_DOT_QUADS) {
            vec_u8x4 u[FND_DOT_QUADS];
            FND_UNROLL for (u32 k = 0; k < FND_DOT_QUADS; k++) u[k] = P_(_unpack)(codes, j + k);
            fnd_dots_add(&sums, u, x.codes, j, P_(_ZERO) == 128, n);
        }
        fnd_dots_end(sums, acc, n);
        vec scale, min = fnd_vec_splat(0.0f);
        P_(_scales)(fields, group, &scale, &min);
        FND_UNROLL for (u32 i = 0; i < n; i++)
            out[i] = fnd_vec_fma(fnd_vec_of(acc[i]) * scale, x.scales[i], out[i]);
        if (!P_(_MIN)) continue;
        FND_UNROLL for (u32 i = 0; i < n; i++)
            out[i] = fnd_vec_fma(min, quads == 8 ? x.sums[i] : x.scales[i] * -(f32)counts[i], out[i]);
    }
}

/* Some blocks of one tile times n tokens; bytes: to the tile after it, whose fields are wanted at its start. */
FND_INLINE void P_(_dot_blocks)(fnd_val *out, const u8 *codes, const u8 *fields, fnd_x x, u32 blocks, u64 bytes, fnd_ahead *ahead, const u32 n) {
    fnd_val sum[FND_TOKENS];
    FND_UNROLL for (u32 i = 0; i < n; i++) sum[i] = out[i];
    for (u32 block = 0; block < blocks; block++, fields += P_(_FIELD_BYTES) * FND_VEC) {
        if (ahead->streams) fnd_fetch_ahead(fields + bytes, P_(_FIELD_BYTES) * FND_VEC);
        for (u32 chunk = 0; chunk < P_(_BLOCK) / 32; chunk++, codes += P_(_PLANES), x = fnd_x_past(x, 32)) {
            if (ahead->streams) fnd_fetch_next(ahead, P_(_PLANES));
            P_(_dot32)(sum, codes, fields, chunk * (32 / P_(_GROUP)), x, n);
        }
    }
    FND_UNROLL for (u32 i = 0; i < n; i++) out[i] = sum[i];
}

/* The tiles of all streams, `most` columns of each in turn, so that sums stay in registers meanwhile. */
FND_INLINE void P_(_dot_tiles)(fnd_tile *out, fnd_weight w, fnd_rows r, u32 first_token, fnd_x x, const u32 n) {
    const u32 turn = fnd_max(FND_TURN_COLS, P_(_BLOCK)), most = r.streams == 1 ? x.cols : turn;
    const u64 bytes = fnd_tile_bytes(P_(_row_bytes)(x.cols)), apart = r.apart / FND_VEC * bytes;
    const u8 *codes = w.data + r.row / FND_VEC * bytes, *fields = codes + (u64)(x.cols / 32) * P_(_PLANES);
    fnd_ahead ahead = fnd_ahead_of(codes + (r.streams == 1 ? 2 * turn : turn) / 32 * P_(_PLANES), apart, first_token == 0 ? r.streams : 0);
    fnd_tile_zero(out, r.streams, n);
    x = fnd_x_at(x, first_token);
    for (u32 col = 0; col < x.cols; col += most) {
        const u32 cols = fnd_min(most, x.cols - col);
        for (u32 i = 0; i < r.streams; i++)
            P_(_dot_blocks)(out->of + i * FND_TOKENS, codes + i * apart, fields + i * apart, x, cols / P_(_BLOCK), bytes, &ahead, n);
        codes += cols / 32 * P_(_PLANES);
        fields += cols / P_(_BLOCK) * P_(_FIELD_BYTES) * FND_VEC;
        x = fnd_x_past(x, cols);
    }
}

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    fnd_tile out;
    (void)t;
#ifdef FND_PANEL_CODES
    if (x.panels) return P_(_panel_dot)(w, r, s, x);
#endif
    if (FND_IS_NARROW(s))
        P_(_dot_tiles)(&out, w, r, s.first, x, FND_NARROW);
    else
        P_(_dot_tiles)(&out, w, r, s.first, x, FND_TOKENS);
    return out;
}
#endif
#undef P_
