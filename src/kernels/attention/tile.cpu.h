/* attention/tile.cpu.h - rows of queries that share one kv head against a run of keys, by one worker.
 *
 * For every 128 keys: scores, in register tiles of up to ATTENTION_BLOCK rows x 2 vectors of keys, so
 * that a key is read and widened once per block of rows; weights; then values, in tiles of as many
 * rows x 2 vectors of dimensions. Online softmax: older sums shrink when they are next loaded.
 *
 * Against keys of 8-bit codes queries are spread as those are (spread.h) and become codes too, with a scale per 32;
 * what those leave becomes codes again, so that queries count with 16 bits. Scores are dot products of codes; the
 * scales of values go into the weights, once per 32 dimensions. */
#ifndef ATTENTION_TILE_H
#define ATTENTION_TILE_H
#include "attention/args.h"
#include "attention/spread.h"
#include "codes.cpu.h"
#include "rope/table.cpu.h"

#define ATTENTION_ROWS   32u   /* rows of a tile */
#define ATTENTION_VALUES 4096u /* rows * head_dim of a tile */
#define ATTENTION_KEYS   128u
#if FND_VEC == 8
  #define ATTENTION_BLOCK 6u /* 12 sums, 2 keys and a query in 16 registers */
#else
  #define ATTENTION_BLOCK 8u
#endif

/* The caches are passed beside it, so that their format stays a constant. */
typedef struct attention_tile {
    attention_head head;
    u32 rows, group; /* rows in use; of them `group` (heads per kv head) belong to one token */
    u32 position;    /* of row 0's token */
    f32 *q;          /* [rows, head_dim], rotated and scaled */
    f32 *out;        /* [rows, head_dim], sums of values */
    f32 *p;          /* [rows, 128], scores and weights */
    f32 *scaled;     /* [rows, 128], weights times scales of values */
    i8  codes[2][ATTENTION_VALUES];           /* [rows, head_dim], queries for keys of codes, and what those leave; */
    f32 code_scale[2][ATTENTION_VALUES / 32]; /* [rows, head_dim / 32] */
    i32 code_start[2][ATTENTION_VALUES / 32]; /* where sums of products begin */
    f32 most[ATTENTION_ROWS], shrink[ATTENTION_ROWS];
    vec sum[ATTENTION_ROWS]; /* of weights, by lane */
} attention_tile;

/* Call f(.., n) with a constant n = rows. */
#define ATTENTION_BY_ROWS_(call)                              \
    switch (rows) {                                           \
    case 1: call(1u); break;                                  \
    case 2: call(2u); break;                                  \
    case 3: call(3u); break;                                  \
    case 4: call(4u); break;                                  \
    case 5: call(5u); break;                                  \
    case 6: call(6u); break;                                  \
    case 7: call(ATTENTION_BLOCK < 7 ? 1u : 7u); break;       \
    default: call(ATTENTION_BLOCK < 8 ? 1u : 8u); break;      \
    }

/* Scores of `rows` rows with two vectors of keys of floats, from values k0 and k1 on. */
FND_INLINE void attention_score_block(const f32 *q, u32 dim, fnd_const_act k, u64 k0, u64 k1, f32 *p0, f32 *p1, const u32 rows) {
    vec s[2 * ATTENTION_BLOCK];
    FND_UNROLL
    for (u32 i = 0; i < 2 * rows; i++) s[i] = fnd_vec_splat(0.0f);
    for (u32 d = 0; d < dim; d++) {
        vec a = fnd_act_load(k, k0 + 16 * d), b = fnd_act_load(k, k1 + 16 * d);
        FND_UNROLL
        for (u32 r = 0; r < rows; r++) {
            s[2 * r] += a * q[r * dim + d];
            s[2 * r + 1] += b * q[r * dim + d];
        }
    }
    FND_UNROLL
    for (u32 r = 0; r < rows; r++) {
        fnd_vec_store(p0 + r * ATTENTION_KEYS, s[2 * r]);
        fnd_vec_store(p1 + r * ATTENTION_KEYS, s[2 * r + 1]);
    }
}

/* Queries to codes, twice, so that of both sides only the keys are rounded. Keys are read as code + 128
 * (fnd_dot4_wide): what that adds is taken off first. */
FND_INLINE void attention_make_codes(attention_tile *a) {
    u32 parts = a->rows * a->head.head_dim / 32;
    for (u32 i = 0; i < parts; i++) {
        f32 total[2], rest[32];
        f32 *q = a->q + 32 * i;
        attention_spread(q);
        for (u32 side = 0; side < 2; side++) {
            i8 *codes = a->codes[side] + 32 * i;
            f32 scale = fnd_codes_make(side ? rest : q, codes, total);
            a->code_scale[side][i] = scale;
            a->code_start[side][i] = -(i32)FND_WIDE_ZERO * (i32)(total[0] + total[1]);
            for (u32 k = 0; k < 32; k++) rest[k] = q[k] - scale * (f32)codes[k];
        }
    }
}

/* Scores of rows r .. r + rows - 1 with two vectors of keys of codes; k0 and k1: their first codes. */
FND_INLINE void attention_score_codes(const attention_tile *a, u32 r, const u8 *k0, const u8 *k1, const u8 *scale0, const u8 *scale1, f32 *p0, f32 *p1, const u32 rows) {
    u32 dim = a->head.head_dim, parts = dim / 32;
    vec s[2 * ATTENTION_BLOCK];
    FND_UNROLL
    for (u32 i = 0; i < 2 * rows; i++) s[i] = fnd_vec_splat(0.0f);
    for (u32 step = 0; step < 2 * parts; step++) {
        u32 part = step / 2, side = step % 2;
        vec_i32 sum[2 * ATTENTION_BLOCK];
        FND_UNROLL
        for (u32 i = 0; i < 2 * rows; i++) sum[i] = (vec_i32){ 0 } + a->code_start[side][(r + i / 2) * parts + part];
        FND_UNROLL
        for (u32 j = 0; j < 8; j++) {
            vec_u8x4 x = fnd_codes_load_(k0 + part * 512 + j * 64) ^ 128, y = fnd_codes_load_(k1 + part * 512 + j * 64) ^ 128;
            FND_UNROLL
            for (u32 i = 0; i < rows; i++) {
                const i8 *q = a->codes[side] + (r + i) * dim + part * 32;
                sum[2 * i] = fnd_dot4_wide(sum[2 * i], x, q, j);
                sum[2 * i + 1] = fnd_dot4_wide(sum[2 * i + 1], y, q, j);
            }
        }
        vec scale_x = fnd_vec_load_f16((const u16 *)(scale0 + part * 32)), scale_y = fnd_vec_load_f16((const u16 *)(scale1 + part * 32));
        FND_UNROLL
        for (u32 i = 0; i < rows; i++) {
            f32 scale = a->code_scale[side][(r + i) * parts + part];
            s[2 * i] += fnd_vec_of(sum[2 * i]) * (scale_x * scale);
            s[2 * i + 1] += fnd_vec_of(sum[2 * i + 1]) * (scale_y * scale);
        }
    }
    FND_UNROLL
    for (u32 i = 0; i < rows; i++) {
        fnd_vec_store(p0 + i * ATTENTION_KEYS, s[2 * i]);
        fnd_vec_store(p1 + i * ATTENTION_KEYS, s[2 * i + 1]);
    }
}

/* Of the next run of keys 16 positions from `position` on come into the second cache while this run is computed: a
 * prefetcher gives up at every head's end. Fetching past the end does no harm. */
FND_INLINE void attention_fetch(const attention_tile *a, fnd_const_act cache, u32 position) {
    const u8 *block = cache.p + attention_bytes_of(cache.format, a->head.first + position / 16 * a->head.stride);
    for (u64 i = 0; i < attention_bytes_of(cache.format, 16 * a->head.head_dim); i += 64) __builtin_prefetch(block + i, 0, 2);
}

FND_INLINE void attention_score(const attention_tile *a, fnd_const_act keys, u32 first, u32 count) {
    u32 dim = a->head.head_dim;
    const u8 *k = keys.p;
    for (u32 key = 0; key < count; key += 2 * FND_VEC) {
        for (u32 i = key; i < key + 2 * FND_VEC; i += 16) attention_fetch(a, keys, first + ATTENTION_KEYS + i);
        u32 second = key + FND_VEC < count ? key + FND_VEC : key; /* an odd vector is computed twice */
        for (u32 r = 0; r < a->rows; r += ATTENTION_BLOCK) {
            u32 rows = fnd_min(ATTENTION_BLOCK, a->rows - r);
            f32 *p0 = a->p + r * ATTENTION_KEYS + key, *p1 = a->p + r * ATTENTION_KEYS + second;
            if (keys.format == FND_ACT_Q8_0) {
                const u8 *k0 = k + attention_k_code(a->head, first + key, 0), *k1 = k + attention_k_code(a->head, first + second, 0);
                const u8 *scale0 = k + attention_scale_at(a->head, first + key, 0), *scale1 = k + attention_scale_at(a->head, first + second, 0);
#define ATTENTION_SCORE_(n) attention_score_codes(a, r, k0, k1, scale0, scale1, p0, p1, n)
                ATTENTION_BY_ROWS_(ATTENTION_SCORE_)
#undef ATTENTION_SCORE_
            } else {
                u64 k0 = attention_k_at(a->head, first + key, 0), k1 = attention_k_at(a->head, first + second, 0);
#define ATTENTION_SCORE_(n) attention_score_block(a->q + r * dim, dim, keys, k0, k1, p0, p1, n)
                ATTENTION_BY_ROWS_(ATTENTION_SCORE_)
#undef ATTENTION_SCORE_
            }
        }
    }
}

/* Keys a row sees of the `count` from `first` on. */
FND_INLINE u32 attention_seen(const attention_tile *a, u32 row, u32 first, u32 count) {
    u32 end = a->position + row / a->group + 1;
    return end > first ? fnd_min(count, end - first) : 0;
}

/* Scores to weights. What stands at places that a row does not see may be NaN: it is overwritten. */
FND_INLINE void attention_weigh(attention_tile *a, u32 first, u32 count) {
    f32 now[ATTENTION_ROWS];
    for (u32 r = 0; r < a->rows; r++) {
        f32 *p = a->p + r * ATTENTION_KEYS;
        u32 n = attention_seen(a, r, first, count);
        vec most = fnd_vec_splat(a->most[r]);
        for (u32 k = n; k % FND_VEC; k++) p[k] = ATTENTION_NONE;
        for (u32 k = 0; k < n; k += FND_VEC) most = fnd_vec_max(most, fnd_vec_load(p + k));
        now[r] = fnd_vec_max_lane(most);
    }
    for (u32 r = 0; r < a->rows; r += FND_VEC) { /* entries past the last row are never used */
        fnd_vec_store(a->shrink + r, fnd_vec_exp(fnd_vec_load(a->most + r) - fnd_vec_load(now + r)));
        fnd_vec_store(a->most + r, fnd_vec_load(now + r));
    }
    for (u32 r = 0; r < a->rows; r++) {
        f32 *p = a->p + r * ATTENTION_KEYS;
        u32 n = attention_seen(a, r, first, count), whole = n / FND_VEC * FND_VEC;
        vec sum = a->sum[r] * a->shrink[r];
        for (u32 k = 0; k < n; k += FND_VEC) {
            vec e = fnd_vec_exp(fnd_vec_load(p + k) - a->most[r]);
            fnd_vec_store(p + k, e);
            if (k < whole) sum += e;
        }
        for (u32 k = n; k < count; k++) p[k] = 0.0f;
        if (n > whole) {
            for (u32 k = n; k % FND_VEC; k++) p[k] = 0.0f;
            sum += fnd_vec_load(p + whole);
        }
        a->sum[r] = sum;
    }
}

/* FND_VEC neighbouring values, or their codes. */
FND_INLINE vec attention_value_load(fnd_const_act v, u64 at) {
    return v.format == FND_ACT_Q8_0 ? fnd_vec_of(fnd_vec_i8(v.p + at)) : fnd_act_load(v, at);
}

/* Add the values of `count` keys to the sums of `rows` rows at two vectors of dimensions, d and d + step. */
FND_INLINE void attention_value_block(const attention_tile *a, fnd_const_act values, u32 r, u32 d, u32 step, u32 first, u32 count, const u32 rows) {
    u32 codes = values.format == FND_ACT_Q8_0;
    u32 dim = a->head.head_dim, pitch = codes ? 32 : dim;
    f32 *out = a->out + r * dim + d;
    const f32 *p = (codes ? a->scaled : a->p) + r * ATTENTION_KEYS;
    vec s[2 * ATTENTION_BLOCK];
    FND_UNROLL
    for (u32 i = 0; i < rows; i++) {
        s[2 * i] = fnd_vec_load(out + i * dim) * a->shrink[r + i];
        s[2 * i + 1] = fnd_vec_load(out + i * dim + step) * a->shrink[r + i];
    }
    for (u32 block = 0; block < count; block += 16) {
        if (d == 0 && r == 0) attention_fetch(a, values, first + ATTENTION_KEYS + block);
        u64 v = codes ? attention_v_code(a->head, first + block, d) : attention_v_at(a->head, first + block, d);
        for (u32 key = block; key < fnd_min(block + 16, count); key++, v += pitch) {
            vec x = attention_value_load(values, v), y = attention_value_load(values, v + step);
            FND_UNROLL
            for (u32 i = 0; i < rows; i++) {
                s[2 * i] += x * p[i * ATTENTION_KEYS + key];
                s[2 * i + 1] += y * p[i * ATTENTION_KEYS + key];
            }
        }
    }
    FND_UNROLL
    for (u32 i = 0; i < rows; i++) {
        fnd_vec_store(out + i * dim, s[2 * i]);
        fnd_vec_store(out + i * dim + step, s[2 * i + 1]);
    }
}

/* Weights times the scales that values have at dimensions d .. d + 31. What stands beyond `count` may be
 * anything: it is not used. */
FND_INLINE void attention_scale(const attention_tile *a, const u8 *values, u32 d, u32 first, u32 count) {
    for (u32 key = 0; key < count; key += FND_VEC) {
        vec scale = fnd_vec_load_f16((const u16 *)(values + attention_scale_at(a->head, first + key, d)));
        for (u32 at = key; at < a->rows * ATTENTION_KEYS; at += ATTENTION_KEYS) fnd_vec_store(a->scaled + at, fnd_vec_load(a->p + at) * scale);
    }
}

FND_INLINE void attention_value(const attention_tile *a, fnd_const_act values, u32 first, u32 count) {
    u32 dim = a->head.head_dim;
    for (u32 d = 0; d < dim; d += 2 * FND_VEC) {
        u32 step = d + FND_VEC < dim ? FND_VEC : 0; /* an odd vector is computed twice */
        if (values.format == FND_ACT_Q8_0 && d % 32 == 0) attention_scale(a, values.p, d, first, count);
        for (u32 r = 0; r < a->rows; r += ATTENTION_BLOCK) {
            u32 rows = fnd_min(ATTENTION_BLOCK, a->rows - r);
#define ATTENTION_VALUE_(n) attention_value_block(a, values, r, d, step, first, count, n)
            ATTENTION_BY_ROWS_(ATTENTION_VALUE_)
#undef ATTENTION_VALUE_
        }
    }
}

/* All keys of [keys.first, keys.end), the first a multiple of 16; all of them must be in the cache.
 * Afterwards a.out has sums of values by weights exp(score - a.most), a.sum the weights. */
FND_INLINE void attention_run(attention_tile *a, fnd_const_act k_cache, fnd_const_act v_cache, attention_keys keys) {
    for (u32 r = 0; r < ATTENTION_ROWS; r++) {
        a->most[r] = ATTENTION_NONE;
        a->sum[r] = fnd_vec_splat(0.0f);
    }
    for (u32 i = 0; i < a->rows * a->head.head_dim; i++) a->out[i] = 0.0f;
    if (k_cache.format == FND_ACT_Q8_0 && keys.first < keys.end) attention_make_codes(a);
    for (u32 first = keys.first; first < keys.end; first += ATTENTION_KEYS) {
        u32 count = fnd_min(ATTENTION_KEYS, keys.end - first);
        attention_score(a, k_cache, first, count);
        attention_weigh(a, first, count);
        attention_value(a, v_cache, first, count);
    }
}
#endif
