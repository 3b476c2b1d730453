/* attention/tile.cpu.h - rows of queries that share one kv head against a run of keys, by one worker.
 *
 * For every 128 keys: scores, in register tiles of up to ATTENTION_BLOCK rows x 2 vectors of keys, so
 * that a key is read and widened once per block of rows; weights; then values, in tiles of as many
 * rows x 2 vectors of dimensions. Online softmax: older sums shrink when they are next loaded. */
#ifndef ATTENTION_TILE_H
#define ATTENTION_TILE_H
#include "attention/args.h"
#include "rope/table.cpu.h"

#define ATTENTION_ROWS   32u   /* rows of a tile */
#define ATTENTION_VALUES 4096u /* rows * head_dim of a tile */
#define ATTENTION_KEYS   128u
#if FND_VEC == 8
  #define ATTENTION_BLOCK 6u /* 12 sums, 2 keys and a query in 16 registers */
#else
  #define ATTENTION_BLOCK 8u
#endif

typedef struct attention_tile {
    const f16 *k_cache, *v_cache;
    attention_head head;
    u32 rows, group; /* rows in use; of them `group` (heads per kv head) belong to one token */
    u32 position;    /* of row 0's token */
    f32 *q;          /* [rows, head_dim], rotated and scaled */
    f32 *out;        /* [rows, head_dim], sums of values */
    f32 *p;          /* [rows, 128], scores and weights */
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

/* Scores of `rows` rows with two vectors of keys. */
FND_INLINE void attention_score_block(const f32 *q, u32 dim, const f16 *k0, const f16 *k1, f32 *p0, f32 *p1, const u32 rows) {
    vec s[2 * ATTENTION_BLOCK];
    FND_UNROLL
    for (u32 i = 0; i < 2 * rows; i++) s[i] = fnd_vec_splat(0.0f);
    for (u32 d = 0; d < dim; d++) {
        vec a = fnd_vec_load_f16(&k0[16 * d].bits), b = fnd_vec_load_f16(&k1[16 * d].bits);
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

FND_INLINE void attention_score(const attention_tile *a, u32 first, u32 count) {
    u32 dim = a->head.head_dim;
    for (u32 key = 0; key < count; key += 2 * FND_VEC) {
        u32 second = key + FND_VEC < count ? key + FND_VEC : key; /* an odd vector is computed twice */
        const f16 *k0 = a->k_cache + attention_k_at(a->head, first + key, 0);
        const f16 *k1 = a->k_cache + attention_k_at(a->head, first + second, 0);
        for (u32 r = 0; r < a->rows; r += ATTENTION_BLOCK) {
            u32 rows = fnd_min(ATTENTION_BLOCK, a->rows - r);
            f32 *p0 = a->p + r * ATTENTION_KEYS + key, *p1 = a->p + r * ATTENTION_KEYS + second;
#define ATTENTION_SCORE_(n) attention_score_block(a->q + r * dim, dim, k0, k1, p0, p1, n)
            ATTENTION_BY_ROWS_(ATTENTION_SCORE_)
#undef ATTENTION_SCORE_
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

/* Add the values of `count` keys to the sums of `rows` rows at two vectors of dimensions. */
FND_INLINE void attention_value_block(f32 *o0, f32 *o1, u32 dim, const f32 *shrink, const f32 *p, const f16 *v_cache, attention_head h,
                                      u32 first, u32 count, const u32 rows) {
    vec s[2 * ATTENTION_BLOCK];
    u32 step = (u32)(o1 - o0);
    FND_UNROLL
    for (u32 r = 0; r < rows; r++) {
        s[2 * r] = fnd_vec_load(o0 + r * dim) * shrink[r];
        s[2 * r + 1] = fnd_vec_load(o1 + r * dim) * shrink[r];
    }
    for (u32 block = 0; block < count; block += 16) {
        const f16 *v = v_cache + attention_v_at(h, first + block, 0);
        for (u32 key = block; key < fnd_min(block + 16, count); key++, v += dim) {
            vec a = fnd_vec_load_f16(&v->bits), b = fnd_vec_load_f16(&v[step].bits);
            FND_UNROLL
            for (u32 r = 0; r < rows; r++) {
                s[2 * r] += a * p[r * ATTENTION_KEYS + key];
                s[2 * r + 1] += b * p[r * ATTENTION_KEYS + key];
            }
        }
    }
    FND_UNROLL
    for (u32 r = 0; r < rows; r++) {
        fnd_vec_store(o0 + r * dim, s[2 * r]);
        fnd_vec_store(o1 + r * dim, s[2 * r + 1]);
    }
}

FND_INLINE void attention_value(const attention_tile *a, u32 first, u32 count) {
    u32 dim = a->head.head_dim;
    for (u32 d = 0; d < dim; d += 2 * FND_VEC) {
        u32 second = d + FND_VEC < dim ? d + FND_VEC : d;
        for (u32 r = 0; r < a->rows; r += ATTENTION_BLOCK) {
            u32 rows = fnd_min(ATTENTION_BLOCK, a->rows - r);
            f32 *o0 = a->out + r * dim + d, *o1 = a->out + r * dim + second;
#define ATTENTION_VALUE_(n) \
    attention_value_block(o0, o1, dim, a->shrink + r, a->p + r * ATTENTION_KEYS, a->v_cache + d, a->head, first, count, n)
            ATTENTION_BY_ROWS_(ATTENTION_VALUE_)
#undef ATTENTION_VALUE_
        }
    }
}

/* All keys of [keys.first, keys.end), the first a multiple of 16; all of them must be in the cache.
 * Afterwards a.out has sums of values by weights exp(score - a.most), a.sum the weights. */
FND_INLINE void attention_run(attention_tile *a, attention_keys keys) {
    for (u32 r = 0; r < ATTENTION_ROWS; r++) {
        a->most[r] = ATTENTION_NONE;
        a->sum[r] = fnd_vec_splat(0.0f);
    }
    for (u32 i = 0; i < a->rows * a->head.head_dim; i++) a->out[i] = 0.0f;
    for (u32 first = keys.first; first < keys.end; first += ATTENTION_KEYS) {
        u32 count = fnd_min(ATTENTION_KEYS, keys.end - first);
        attention_score(a, first, count);
        attention_weigh(a, first, count);
        attention_value(a, first, count);
    }
}
#endif
