/* gemv/dot_panel.cuda.h - POLICY_dot with many tokens: a panel of rows x tokens (gemv/panel.cuda.h).
 *
 * F16 weights are copied as they lie. Others are fetched while the stage before is multiplied, then decoded:
 * a thread has 16 columns of a row, 8 neighbours and the 8 that are 16 further (codes of 4 bits lie so). Codes are made
 * halves without a conversion: 1024 + u is a half with u in its low bits. Scales are multiplied by
 * FND_PANEL_LIFT first: small ones would be subnormals. F32 weights and their activations are two halves each, and
 * three products are summed. */
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)
#if FND_CAT(POLICY, _FLOATS)
  #define FND_PANEL_LIFT 1.0f
#else
  #define FND_PANEL_LIFT 64.0f
#endif

#define FND_PANEL_IS_f16 1
#define FND_PANEL_IS_f32 2
#if FND_CAT(FND_PANEL_IS_, POLICY) == FND_PANEL_IS_f16
  #define FND_PANEL_DIRECT_ 1u
  #define FND_PANEL_PASSES_ 1u
#else
  #define FND_PANEL_DIRECT_ 0u
  #if FND_CAT(FND_PANEL_IS_, POLICY) == FND_PANEL_IS_f32
    #define FND_PANEL_PASSES_ 3u
  #else
    #define FND_PANEL_PASSES_ 1u
  #endif
#endif

/* 16 columns of a row, on the way from memory: columns 8 h .. and 16 + 8 h .. of 32. */
#if FND_CAT(POLICY, _FLOATS)
typedef struct P_(_part) { f32 v[16]; } P_(_part);
FND_INLINE P_(_part) P_(_part_load)(const u8 *row, u32 cols, u32 g, u32 h) {
    P_(_part) p;
    FND_PANEL_UNROLL for (u32 n = 0; n < 2; n++) {
        u32 c = 32 * g + 16 * n + 8 * h;
        if (c + 8 <= cols) {
            P_(_widen8)(P_(_fetch8)(row, c), p.v + 8 * n);
        } else {
            for (u32 i = 0; i < 8; i++) p.v[8 * n + i] = c + i < cols ? P_(_at)(row, c + i) : 0.0f;
        }
    }
    return p;
}
/* 8 halves; `rest`: what they leave of the values. */
FND_INLINE fnd_four P_(_part_halves)(const P_(_part) *p, u32 n, u32 rest) {
    u32 words[4];
    fnd_four out;
    FND_PANEL_UNROLL for (u32 i = 0; i < 4; i++) {
        f32 a = p->v[8 * n + 2 * i], b = p->v[8 * n + 2 * i + 1];
        words[i] = fnd_halves(a, b);
        if (rest) words[i] = fnd_halves(a - fnd_half_low(words[i]), b - fnd_half_high(words[i]));
    }
    out.x = words[0]; out.y = words[1]; out.z = words[2]; out.w = words[3];
    return out;
}
#else
typedef struct P_(_part) { u32 low[2], low2[2], high; f32 scale[2], min[2]; u32 none; } P_(_part);
FND_INLINE P_(_part) P_(_part_load)(const u8 *row, u32 cols, u32 g, u32 h) {
    const u32 groups = cols / 32, each = FND_LOW_BYTES(P_(_BITS));
    P_(_part) p;
    p.none = g >= groups; /* behind the row's end: zeros */
    g = fnd_min(g, groups - 1);
    const u8 *low = row + (u64)g * each + 8 * h, *high = row + (u64)groups * each + (u64)g * FND_HIGH_BYTES(P_(_BITS));
    const u8 *fields = row + (u64)groups * (each + FND_HIGH_BYTES(P_(_BITS))) + (u64)(g * 32 / P_(_BLOCK)) * P_(_FIELD_BYTES);
    u64 both = *(const u64 *)low, both2 = P_(_BITS) == 8 ? *(const u64 *)(low + 16) : 0;
    FND_PANEL_UNROLL for (u32 i = 0; i < 2; i++) {
        p.low[i] = (u32)(both >> 32 * i);
        p.low2[i] = (u32)(both2 >> 32 * i);
    }
    p.high = 0;
    if (P_(_BITS) == 5) p.high = fnd_load_word(high) >> 8 * h;
    if (P_(_BITS) == 6) p.high = (u32)((const u16 *)high)[h] | (u32)((const u16 *)high)[2 + h] << 16;
    FND_PANEL_UNROLL for (u32 n = 0; n < 2; n++) {
        p.min[n] = 0.0f;
        P_(_scales)(fields, g * 32 % P_(_BLOCK) / P_(_GROUP) + (P_(_GROUP) == 16 ? n : 0), &p.scale[n], &p.min[n]);
    }
    return p;
}
FND_INLINE fnd_codes P_(_part_codes)(const P_(_part) *p) {
    fnd_codes c;
    FND_PANEL_UNROLL for (u32 i = 0; i < 2; i++) {
        c.of[i] = P_(_BITS) == 8 ? p->low[i] : p->low[i] & 0x0f0f0f0fu;
        c.of[2 + i] = P_(_BITS) == 8 ? p->low2[i] : p->low[i] >> 4 & 0x0f0f0f0fu;
        c.of[4 + i] = c.of[6 + i] = 0;
        if (P_(_BITS) == 5) {
            c.of[i] |= ((p->high >> 4 * i & 15u) * 0x02040810u) & 0x10101010u;
            c.of[2 + i] |= ((p->high >> (16 + 4 * i) & 15u) * 0x02040810u) & 0x10101010u;
        }
        if (P_(_BITS) == 6) {
            u32 a = p->high >> 8 * i, b = p->high >> (16 + 8 * i);
            c.of[i] |= ((a & 3u) << 4) | ((a & 12u) << 10) | ((a & 48u) << 16) | ((a & 192u) << 22);
            c.of[2 + i] |= ((b & 3u) << 4) | ((b & 12u) << 10) | ((b & 48u) << 16) | ((b & 192u) << 22);
        }
    }
    return P_(_codes)(c);
}
FND_INLINE fnd_four P_(_part_halves)(const P_(_part) *p, u32 n, u32 rest) {
    const u32 zero = (0x6400u | P_(_ZERO)) * 0x10001u;
    fnd_codes c = P_(_part_codes)(p);
    f32 lift = p->none ? 0.0f : FND_PANEL_LIFT;
    u32 scale = fnd_halves(p->scale[n] * lift, p->scale[n] * lift), min = fnd_halves(p->min[n] * lift, p->min[n] * lift), words[4];
    fnd_four out;
    (void)rest;
    FND_PANEL_UNROLL for (u32 i = 0; i < 4; i++) {
        u32 u = fnd_halves_sub(fnd_bytes_of(c.of[2 * n + i / 2], 0x64646464u, i % 2 ? 0x4342u : 0x4140u), zero);
        words[i] = P_(_MIN) ? fnd_halves_fma(u, scale, min) : fnd_halves_mul(u, scale);
    }
    out.x = words[0]; out.y = words[1]; out.z = words[2]; out.w = words[3];
    return out;
}
#endif

/* Parts of a stage that a thread has: part u of `rows` x 4. Neighbours have the parts of a row; rows next to each
 * other are two apart, so that their pieces meet different banks. */
#define FND_PARTS_(rows) (((rows) * 4 + FND_THREADS - 1) / FND_THREADS)
FND_INLINE u32 P_(_part_row)(u32 u) { u32 row = u / 4; return (row & ~3u) | (row & 1u) << 1 | (row >> 1 & 1u); }

FND_INLINE void P_(_stage_fetch)(fnd_thread t, P_(_part) *parts, const u32 rows, const u32 heads, const u8 *w0, const u8 *w1, u32 count, u32 cols, u32 k) {
    const u64 pitch = fnd_row_pitch(P_(_row_bytes)(cols));
    FND_PANEL_UNROLL for (u32 n = 0; n < FND_PARTS_(rows * heads); n++) {
        u32 u = n * FND_THREADS + fnd_thread_index(t), row = P_(_part_row)(u);
        const u8 *w = heads == 2 && row >= rows ? w1 : w0;
        if (u < rows * heads * 4) parts[n] = P_(_part_load)(w + fnd_min(row % rows, count - 1) * pitch, cols, 2 * k + u / 2 % 2, u % 2);
    }
}
FND_INLINE void P_(_stage_decode)(fnd_thread t, const P_(_part) *parts, const u32 rows, u8 *to, u32 rest) {
    FND_PANEL_UNROLL for (u32 n = 0; n < FND_PARTS_(rows); n++) {
        u32 u = n * FND_THREADS + fnd_thread_index(t), row = P_(_part_row)(u);
        if (u >= rows * 4) continue;
        *(fnd_four *)fnd_piece_at(to, row, u / 2 % 2 * 4 + u % 2) = P_(_part_halves)(&parts[n], 0, rest);
        *(fnd_four *)fnd_piece_at(to, row, u / 2 % 2 * 4 + u % 2 + 2) = P_(_part_halves)(&parts[n], 1, rest);
    }
}
/* Halves, as they lie. */
FND_INLINE void P_(_stage_copy)(fnd_thread t, u8 *to, const u32 rows, const u8 *w, u32 count, u32 cols, u32 k) {
    const u32 pitch = (u32)fnd_row_pitch(P_(_row_bytes)(cols)); /* a panel has less than 4 GiB */
    u32 piece = fnd_thread_index(t) % 8, c = k * FND_PANEL_COLS + piece * 8, bytes = c < cols ? fnd_min(2 * (cols - c), 16) : 0;
    FND_PANEL_UNROLL for (u32 n = 0; n < (rows * 8 + FND_THREADS - 1) / FND_THREADS; n++) {
        u32 row = (n * FND_THREADS + fnd_thread_index(t)) / 8;
        if (row < rows) fnd_copy16(fnd_piece_at(to, row, piece), w + (fnd_min(row, count - 1) * pitch + (bytes ? 2 * c : 0)), bytes);
    }
}

/* What is copied of a step: activations, and weights that are halves. */
FND_INLINE void P_(_stage_copy_all)(fnd_thread t, u8 *to, const u32 rows, const u32 heads, const u32 tokens, const u8 *w0, const u8 *w1, u32 count, fnd_x x, u64 at, u32 k, u32 rest) {
    fnd_stage_activations(t, to + rows * heads * FND_PANEL_ROW_BYTES, (rest ? x.rest : x.halves) + at + k * FND_PANEL_COLS, x.pitch, tokens);
    if (FND_PANEL_DIRECT_) P_(_stage_copy)(t, to, rows, w0, count, x.cols, k);
    if (FND_PANEL_DIRECT_ && heads == 2) P_(_stage_copy)(t, to + rows * FND_PANEL_ROW_BYTES, rows, w1, count, x.cols, k);
}
/* Products of a stage, of one matrix or two. */
FND_INLINE void P_(_stage_use)(fnd_thread t, const u32 shape, const u32 heads, u8 *stage, fnd_tile *tile0, fnd_tile *tile1) {
    const u32 bytes = fnd_shape_rows(shape) * FND_PANEL_ROW_BYTES;
    fnd_stage_begin();
    fnd_stage_multiply(t, shape, stage, stage + heads * bytes, tile0);
    if (heads == 2) fnd_stage_multiply(t, shape, stage + bytes, stage + heads * bytes, tile1);
    fnd_stage_end();
}
FND_INLINE void P_(_tile_scale)(fnd_thread t, const u32 shape, fnd_span s, fnd_x x, fnd_tile *tile) {
    const u32 row_blocks = fnd_shape_row_blocks(shape), token_blocks = fnd_shape_token_blocks(shape);
    FND_PANEL_UNROLL for (u32 j = 0; j < token_blocks * 2; j++) {
        u32 token = (t.warp / fnd_shape_down(shape) * token_blocks + j / 2) * 8 + t.lane % 4 * 2 + j % 2;
        f32 factor = x.factors[s.first + fnd_min(token, s.count - 1)] * (1.0f / FND_PANEL_LIFT);
        FND_PANEL_UNROLL for (u32 i = 0; i < row_blocks * 2; i++) tile->of[4 * (i / 2 * token_blocks + j / 2) + i % 2 * 2 + j % 2] *= factor;
    }
}

FND_INLINE void P_(_dot_shape)(fnd_thread t, const u32 shape, const u32 heads, const u8 *w0, const u8 *w1, fnd_rows r, fnd_span s, fnd_x x, fnd_tile *tile0, fnd_tile *tile1) {
    const u32 rows = fnd_shape_rows(shape), tokens = fnd_shape_tokens(shape), bytes = fnd_shape_bytes(shape);
    const u32 direct = FND_PANEL_DIRECT_, passes = FND_PANEL_PASSES_;
    const u32 steps = x.pitch / FND_PANEL_COLS, all = steps * passes;
    P_(_part) parts[FND_PARTS_(128)];
#if FND_WGMMA
    P_(_part) later[FND_PARTS_(128)];
#endif
    FND_PANEL_UNROLL for (u32 i = 0; i < FND_PLACES; i++) tile0->of[i] = 0.0f;
    FND_PANEL_UNROLL for (u32 i = 0; i < FND_PLACES && heads == 2; i++) tile1->of[i] = 0.0f;
    u32 copied = 0, k_copied = 0, fetched = 0, k_fetched = 0, now = 0, to = 0; /* steps, where they begin, and stages */
    u64 at = (u64)s.first * x.pitch;
    fnd_group_barrier(t); /* the panel before has been multiplied */
    if (!direct) P_(_stage_fetch)(t, parts, rows, heads, w0, w1, r.count, x.cols, 0);
    for (; copied < FND_PANEL_AHEAD; copied++) {
        if (copied < all) P_(_stage_copy_all)(t, x.stages + copied * bytes, rows, heads, tokens, w0, w1, r.count, x, at, k_copied, passes == 3 && copied >= 2 * steps);
        fnd_copy_commit();
        k_copied = k_copied + 1 == steps ? 0 : k_copied + 1;
    }
    to = FND_PANEL_AHEAD;
    if (!direct) {
        P_(_stage_decode)(t, parts, rows * heads, x.stages, 0);
#if FND_WGMMA
        fetched++;
        k_fetched = k_fetched + 1 == steps ? 0 : k_fetched + 1;
        if (all > 1) P_(_stage_fetch)(t, parts, rows, heads, w0, w1, r.count, x.cols, k_fetched);
#endif
    }
    for (u32 q = 0; q < all; q++) {
        u8 *stage = x.stages + now * bytes;
        fnd_copy_wait(FND_PANEL_AHEAD - 1);
        fnd_stage_publish();
        fnd_group_barrier(t);
#if FND_WGMMA /* runs by itself */
        P_(_stage_use)(t, shape, heads, stage, tile0, tile1);
#endif
        if (copied < all) P_(_stage_copy_all)(t, x.stages + to * bytes, rows, heads, tokens, w0, w1, r.count, x, at, k_copied, passes == 3 && copied >= 2 * steps);
        fnd_copy_commit();
        copied++;
        k_copied = k_copied + 1 == steps ? 0 : k_copied + 1;
        to = to + 1 == FND_PANEL_STAGES ? 0 : to + 1;
        fetched++;
        k_fetched = k_fetched + 1 == steps ? 0 : k_fetched + 1;
#if FND_WGMMA
        if (!direct && fetched < all) P_(_stage_fetch)(t, later, rows, heads, w0, w1, r.count, x.cols, k_fetched);
#else
        if (!direct && fetched < all) P_(_stage_fetch)(t, parts, rows, heads, w0, w1, r.count, x.cols, k_fetched);
        P_(_stage_use)(t, shape, heads, stage, tile0, tile1);
#endif
        now = now + 1 == FND_PANEL_STAGES ? 0 : now + 1;
        if (!direct && q + 1 < all) P_(_stage_decode)(t, parts, rows * heads, x.stages + now * bytes, passes == 3 && (q + 1) / steps == 1);
#if FND_WGMMA
        FND_PANEL_UNROLL for (u32 n = 0; n < FND_PARTS_(128); n++) parts[n] = later[n];
        fnd_stage_wait_others();
#endif
    }
    fnd_stage_wait(shape, tile0);
    if (heads == 2) fnd_stage_wait(shape, tile1);
    fnd_copy_wait(0);
    P_(_tile_scale)(t, shape, s, x, tile0);
    if (heads == 2) P_(_tile_scale)(t, shape, s, x, tile1);
}

/* Shapes are constants, but for the simulator, whose compiler would take long. */
#if defined(__CUDACC__)
#define FND_SHAPES_OF_2_(X) X(3) X(4) X(5)
#define FND_SHAPES_OF_1_(X) X(0) X(1) X(2)
#define FND_SHAPE_(n) if (fnd_shape_fits(n) && (n != 5 || !fnd_shape_fits(4)) && r.shape == n) P_(_dot_shape)(t, n, heads, w0, w1, r, s, x, tile0, tile1);
#else
#define FND_SHAPES_OF_2_(X) X(r.shape)
#define FND_SHAPES_OF_1_(X) X(r.shape)
#define FND_SHAPE_(n) P_(_dot_shape)(t, n, heads, w0, w1, r, s, x, tile0, tile1);
#endif
FND_INLINE void P_(_dot_heads)(fnd_thread t, const u32 heads, const u8 *w0, const u8 *w1, fnd_rows r, fnd_span s, fnd_x x, fnd_tile *tile0, fnd_tile *tile1) {
    if (r.heads == 2) {
        FND_SHAPES_OF_2_(FND_SHAPE_)
    } else {
        FND_SHAPES_OF_1_(FND_SHAPE_)
    }
}
#undef FND_SHAPES_OF_2_
#undef FND_SHAPES_OF_1_
#undef FND_SHAPE_

FND_INLINE fnd_tile P_(_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    const u8 *rows = w.data + r.row * fnd_row_pitch(P_(_row_bytes)(x.cols));
    fnd_tile tile;
    P_(_dot_heads)(t, 1, rows, rows, r, s, x, &tile, &tile);
    return tile;
}
FND_INLINE void P_(_dot_2)(fnd_thread t, fnd_weight w0, fnd_weight w1, fnd_rows r, fnd_span s, fnd_x x, fnd_tile *tile0, fnd_tile *tile1) {
    const u64 first = r.row * fnd_row_pitch(P_(_row_bytes)(x.cols));
    P_(_dot_heads)(t, 2, w0.data + first, w1.data + first, r, s, x, tile0, tile1);
}
#undef FND_PARTS_
#undef FND_PANEL_DIRECT_
#undef FND_PANEL_PASSES_
#undef FND_PANEL_IS_f16
#undef FND_PANEL_IS_f32
#undef FND_PANEL_LIFT
#undef P_
