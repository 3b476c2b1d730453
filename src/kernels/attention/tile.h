/* attention/tile.h - up to 16 rows of queries (heads x tokens) that share one kv head against a run of
 * keys, by one group, with an online softmax (Milakov and Gimelshein 2018; Dao et al. 2022).
 *
 * For every 128 keys: scores (threads have places of 4 rows x a strip of keys), maximum and sum (warps
 * have rows), values (threads have places of 4 rows x a strip of dimensions, whose sums they keep). A
 * strip is one value on a GPU, where neighbouring lanes have neighbouring values, and a vec where a
 * group is one lane. Rows are ordered by token, then head. */
#ifndef ATTENTION_TILE_H
#define ATTENTION_TILE_H
#include "attention/args.h"
#include "attention/spread.h"
#include "rope/angle.h"

#define ATTENTION_ROWS 16u
#define ATTENTION_KEYS 128u

#if FND_LANES > 1
typedef f32 attention_strip;
#define ATTENTION_STRIP           1u
#define attention_strip_splat(v)  (v)
#define attention_strip_act(a, i) fnd_act_get(a, i)
#define attention_strip_get(p)    (*(p))
#define attention_strip_set(p, v) (*(p) = (v))
#define attention_strip_exp(v)    fnd_exp(v)
#define attention_strip_max(a, b) fnd_fmax(a, b)
#define attention_strip_most(v)   (v)
#define attention_strip_sum(v)    (v)
#else
typedef vec attention_strip;
#define ATTENTION_STRIP           ((u32)FND_VEC)
#define attention_strip_splat(v)  fnd_vec_splat(v)
#define attention_strip_act(a, i) fnd_act_load(a, i)
#define attention_strip_get(p)    fnd_vec_load(p)
#define attention_strip_set(p, v) fnd_vec_store(p, v)
#define attention_strip_exp(v)    fnd_vec_exp(v)
#define attention_strip_max(a, b) fnd_vec_max(a, b)
#define attention_strip_most(v)   fnd_vec_max_lane(v)
#define attention_strip_sum(v)    fnd_vec_sum(v)
#endif

/* Codes `step` bytes apart; scales next to each other. */
FND_INLINE attention_strip attention_strip_codes(const FND_GPU u8 *p, u32 step) {
#if FND_LANES > 1
    (void)step;
    return (f32)(i8)p[0];
#else
    f32 v[FND_VEC];
    for (u32 i = 0; i < FND_VEC; i++) v[i] = (f32)(i8)p[i * step];
    return fnd_vec_load_own(v);
#endif
}
FND_INLINE attention_strip attention_strip_scales(const FND_GPU u8 *p) {
#if FND_LANES > 1
    return fnd_f16_to_f32(((const FND_GPU u16 *)p)[0]);
#else
    return fnd_vec_load_f16((const FND_GPU u16 *)p);
#endif
}

/* Dimension d of a strip of keys, but for their scales; a strip of dimensions from d on of one value. */
FND_INLINE attention_strip attention_keys_at(fnd_const_act k, attention_head h, u32 position, u32 d) {
    if (k.format == FND_ACT_Q8_0) return attention_strip_codes(k.p + attention_k_code(h, position, d), 4);
    return attention_strip_act(k, attention_k_at(h, position, d));
}
FND_INLINE attention_strip attention_key_scales(fnd_const_act k, attention_head h, u32 position, u32 d) {
    if (k.format == FND_ACT_Q8_0) return attention_strip_scales(k.p + attention_scale_at(h, position, d));
    return attention_strip_splat(1.0f);
}
FND_INLINE attention_strip attention_value_at(fnd_const_act v, attention_head h, u32 position, u32 d) {
    if (v.format == FND_ACT_Q8_0) {
        f32 scale = fnd_f16_to_f32(((const FND_GPU u16 *)(v.p + attention_scale_at(h, position, d)))[0]);
        return attention_strip_splat(scale) * attention_strip_codes(v.p + attention_v_code(h, position, d), 1);
    }
    return attention_strip_act(v, attention_v_at(h, position, d));
}

/* Strips of sums that one thread keeps, for 16 rows of 256 values. */
#define ATTENTION_OWN (ATTENTION_ROWS * 256u / ATTENTION_STRIP / FND_THREADS + 4u)

typedef struct attention_tile {
    fnd_const_act k_cache, v_cache;
    FND_GROUP f32 *q, *p, *stats; /* [rows, head_dim], [16, 128], [3, 16]: maximum, sum, correction */
    attention_head head;
    u32 rows, group; /* rows in use; of them `group` (heads per kv head) belong to one token */
    u32 position;    /* of row 0's token */
} attention_tile;

/* Queries for keys of codes: spread as those are, by warps. */
FND_INLINE void attention_spread_queries(fnd_thread t, attention_tile a) {
    for (u32 part = t.warp; part < a.rows * a.head.head_dim / 32; part += FND_WARPS) {
        FND_GROUP f32 *q = a.q + part * 32;
        f32 v[32 / FND_LANES];
        for (u32 i = 0; i < 32 / FND_LANES; i++) v[i] = q[i * FND_LANES + t.lane];
        attention_spread_lanes(t, v);
        for (u32 i = 0; i < 32 / FND_LANES; i++) q[i * FND_LANES + t.lane] = v[i];
    }
    fnd_group_barrier(t);
}

/* Rotate and scale the queries of the tile's rows: x has row r at (r / group) * pitch + r % group *
 * head_dim. Ends with a barrier. */
FND_INLINE void attention_load(fnd_thread t, attention_tile a, const FND_GPU f32 *x, u32 pitch, rope_params p, f32 scale) {
    u32 dim = a.head.head_dim, tokens = a.rows / a.group, rest = dim - 2 * p.pairs;
    for (u32 u = fnd_thread_index(t); u < tokens * p.pairs; u += FND_THREADS) {
        u32 token = u / p.pairs, i = u % p.pairs;
        rope_turn turn = rope_turn_of(p, (i32)(a.position + token), i);
        for (u32 g = 0; g < a.group; g++) {
            const FND_GPU f32 *in = x + (u64)token * pitch + g * dim;
            FND_GROUP f32 *out = a.q + (token * a.group + g) * dim;
            f32 v = in[rope_first(p, i)] * scale, w = in[rope_second(p, i)] * scale;
            out[rope_first(p, i)] = v * turn.cos - w * turn.sin;
            out[rope_second(p, i)] = v * turn.sin + w * turn.cos;
        }
    }
    for (u32 u = fnd_thread_index(t); u < a.rows * rest; u += FND_THREADS) {
        u32 r = u / rest, d = 2 * p.pairs + u % rest;
        a.q[r * dim + d] = x[(u64)(r / a.group) * pitch + r % a.group * dim + d] * scale;
    }
    for (u32 r = fnd_thread_index(t); r < ATTENTION_ROWS; r += FND_THREADS) {
        a.stats[r] = ATTENTION_NONE;
        a.stats[ATTENTION_ROWS + r] = 0.0f;
    }
    fnd_group_barrier(t);
    if (a.k_cache.format == FND_ACT_Q8_0) attention_spread_queries(t, a);
}

FND_INLINE void attention_score(fnd_thread t, attention_tile a, u32 first, u32 count) {
    u32 strips = (count + ATTENTION_STRIP - 1) / ATTENTION_STRIP, dim = a.head.head_dim, last = a.rows - 1;
    u32 span = attention_span(a.k_cache.format, dim);
    for (u32 u = fnd_thread_index(t); u < strips * ((a.rows + 3) / 4); u += FND_THREADS) {
        u32 key = u % strips * ATTENTION_STRIP, r = u / strips * 4;
        const FND_GROUP f32 *q0 = a.q + r * dim, *q1 = a.q + fnd_min(r + 1, last) * dim;
        const FND_GROUP f32 *q2 = a.q + fnd_min(r + 2, last) * dim, *q3 = a.q + fnd_min(r + 3, last) * dim;
        attention_strip s0 = attention_strip_splat(0.0f), s1 = s0, s2 = s0, s3 = s0;
        for (u32 from = 0; from < dim; from += span) {
            attention_strip c0 = attention_strip_splat(0.0f), c1 = c0, c2 = c0, c3 = c0;
            for (u32 d = from; d < from + span; d += 8) { /* 8 loads in flight */
                FND_UNROLL for (u32 i = d; i < d + 8; i++) {
                    attention_strip kd = attention_keys_at(a.k_cache, a.head, first + key, i);
                    c0 = c0 + attention_strip_splat(q0[i]) * kd;
                    c1 = c1 + attention_strip_splat(q1[i]) * kd;
                    c2 = c2 + attention_strip_splat(q2[i]) * kd;
                    c3 = c3 + attention_strip_splat(q3[i]) * kd;
                }
            }
            attention_strip scales = attention_key_scales(a.k_cache, a.head, first + key, from);
            s0 = s0 + c0 * scales;
            s1 = s1 + c1 * scales;
            s2 = s2 + c2 * scales;
            s3 = s3 + c3 * scales;
        }
        FND_GROUP f32 *out = a.p + r * ATTENTION_KEYS + key;
        attention_strip_set(out, s0);
        attention_strip_set(out + ATTENTION_KEYS, s1);
        attention_strip_set(out + 2 * ATTENTION_KEYS, s2);
        attention_strip_set(out + 3 * ATTENTION_KEYS, s3);
    }
    fnd_group_barrier(t);
}

/* Scores to weights, and how much older sums shrink. A row sees the keys up to its token's position;
 * what stands at other places may be NaN and is only ever overwritten. */
FND_INLINE void attention_weigh(fnd_thread t, attention_tile a, u32 first, u32 count) {
    for (u32 r = t.warp; r < a.rows; r += FND_WARPS) {
        FND_GROUP f32 *p = a.p + r * ATTENTION_KEYS;
        u32 end = a.position + r / a.group + 1, n = end > first ? fnd_min(count, end - first) : 0;
        u32 strips = (n + ATTENTION_STRIP - 1) / ATTENTION_STRIP;
        attention_strip most = attention_strip_splat(ATTENTION_NONE), sum = attention_strip_splat(0.0f);
        for (u32 k = n; k < strips * ATTENTION_STRIP; k++) p[k] = ATTENTION_NONE;
        for (u32 s = t.lane; s < strips; s += FND_LANES) {
            most = attention_strip_max(most, attention_strip_get(p + s * ATTENTION_STRIP));
        }
        f32 old = a.stats[r], now = fnd_fmax(old, fnd_lane_max(attention_strip_most(most)));
        for (u32 s = t.lane; s < strips; s += FND_LANES) {
            attention_strip e = attention_strip_exp(attention_strip_get(p + s * ATTENTION_STRIP) - attention_strip_splat(now));
            attention_strip_set(p + s * ATTENTION_STRIP, e);
            sum = sum + e;
        }
        for (u32 k = n + t.lane; k < count; k += FND_LANES) p[k] = 0.0f;
        f32 total = fnd_lane_sum(attention_strip_sum(sum));
        if (t.lane == 0) {
            f32 shrink = fnd_exp(old - now);
            a.stats[r] = now;
            a.stats[ATTENTION_ROWS + r] = a.stats[ATTENTION_ROWS + r] * shrink + total;
            a.stats[2 * ATTENTION_ROWS + r] = shrink;
        }
    }
    fnd_group_barrier(t);
}

FND_INLINE void attention_value(fnd_thread t, attention_tile a, u32 first, u32 count, FND_OWN attention_strip *sums) {
    u32 strips = a.head.head_dim / ATTENTION_STRIP, last = a.rows - 1;
    for (u32 u = fnd_thread_index(t); u < strips * ((a.rows + 3) / 4); u += FND_THREADS, sums += 4) {
        u32 d = u % strips * ATTENTION_STRIP, r = u / strips * 4, r1 = fnd_min(r + 1, last);
        u32 r2 = fnd_min(r + 2, last), r3 = fnd_min(r + 3, last);
        const FND_GROUP f32 *shrink = a.stats + 2 * ATTENTION_ROWS;
        attention_strip s0 = sums[0] * attention_strip_splat(shrink[r]), s1 = sums[1] * attention_strip_splat(shrink[r1]);
        attention_strip s2 = sums[2] * attention_strip_splat(shrink[r2]), s3 = sums[3] * attention_strip_splat(shrink[r3]);
        for (u32 from = 0; from < count; from += 8) { /* half a block of the cache: 8 loads in flight */
            u32 last_key = fnd_min(8, count - from) - 1;
            FND_UNROLL for (u32 i = 0; i < 8; i++) {
                u32 key = from + fnd_min(i, last_key);
                attention_strip vd = attention_value_at(a.v_cache, a.head, first + key, d);
                f32 use = i <= last_key ? 1.0f : 0.0f;
                s0 = s0 + attention_strip_splat(use * a.p[r * ATTENTION_KEYS + key]) * vd;
                s1 = s1 + attention_strip_splat(use * a.p[r1 * ATTENTION_KEYS + key]) * vd;
                s2 = s2 + attention_strip_splat(use * a.p[r2 * ATTENTION_KEYS + key]) * vd;
                s3 = s3 + attention_strip_splat(use * a.p[r3 * ATTENTION_KEYS + key]) * vd;
            }
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
    }
    fnd_group_barrier(t);
}

/* All keys of [keys.first, keys.end), the first a multiple of 16; all of them must be in the cache.
 * attention_load comes before. Afterwards this thread's places have their sums in `sums`, and the
 * rows their maximum and sum of weights in a.stats. */
FND_INLINE void attention_run(fnd_thread t, attention_tile a, attention_keys keys, FND_OWN attention_strip *sums) {
    for (u32 i = 0; i < ATTENTION_OWN; i++) sums[i] = attention_strip_splat(0.0f);
    for (u32 first = keys.first; first < keys.end; first += ATTENTION_KEYS) {
        u32 count = fnd_min(ATTENTION_KEYS, keys.end - first);
        attention_score(t, a, first, count);
        attention_weigh(t, a, first, count);
        attention_value(t, a, first, count, sums);
    }
}
#endif
