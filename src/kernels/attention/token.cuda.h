/* attention/token.cuda.h - a token before its keys are looked at, on an NVIDIA GPU: which keys a split has, and in
 * group memory its rotated queries, its own key and value. */
#ifndef ATTENTION_TOKEN_CUDA_H
#define ATTENTION_TOKEN_CUDA_H
#include "attention/keys.cuda.h"
#include "attention/spread.h"
#include "rope/angle.h"

FND_CHECK(FND_WARPS <= 16, "the memory of a group is made for 16 warps");
#define ATTENTION_JOINED 128u /* splits that can be joined: 4 of a lane */

/* What all heads of a token have in common, and which kv head it is about. */
typedef struct attention_token {
    const FND_GPU f32 *q, *k, *v; /* [.., group, head_dim], [.., head_dim], [.., head_dim] */
    FND_GPU f32 *part;            /* [.., group, splits, head_dim + 2] */
    u32 row;                      /* of the four: token * kv_heads + kv head */
    fnd_act k_cache, v_cache;
    rope_params p;
    f32 scale;
    u32 head_dim, group, kv_heads, position, splits;
    u32 first;                    /* the block where its sequence begins */
    u32 writes;                   /* its key and value are to be written */
} attention_token;

/* All but row, position, first and writes. */
FND_INLINE attention_token attention_token_of(const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v, fnd_act k_cache, fnd_act v_cache,
                                              FND_GPU f32 *part, rope_params p, f32 scale, u32 heads, u32 head_dim, u32 kv_heads, u32 splits) {
    attention_token n;
    n.p = p;
    n.q = q;
    n.k = k;
    n.v = v;
    n.part = part;
    n.k_cache = k_cache;
    n.v_cache = v_cache;
    n.scale = scale;
    n.group = heads / kv_heads;
    n.kv_heads = kv_heads;
    n.head_dim = head_dim;
    n.splits = splits;
    return n;
}

FND_INLINE attention_head attention_head_at(attention_token n) { return attention_head_from(n.first, n.row % n.kv_heads, n.kv_heads, n.head_dim); }

/* Memory of the group. */
typedef struct attention_memory {
    FND_GROUP f32 *q;       /* [chunk][head_dim][width]; later sums of values on their way, [..][head_dim] */
    FND_GROUP f32 *weights; /* [FND_WARPS][ATTENTION_UNIT][ATTENTION_HEADS]; later maxima and sums of weights */
    FND_GROUP f32 *fresh;   /* the token's key and value as the cache keeps them, 256 each, then 8 scales each, then what is needed again at the end, then
                             [FND_WARPS][ATTENTION_HEADS] what stands for the maximum */
} attention_memory;
#define ATTENTION_FRESH (536u + FND_WARPS * ATTENTION_HEADS)

FND_INLINE attention_memory attention_memory_of(FND_GROUP f32 *q, FND_GROUP f32 *weights, FND_GROUP f32 *fresh) {
    attention_memory mem;
    mem.q = q;
    mem.weights = weights;
    mem.fresh = fresh;
    return mem;
}

/* Heads by chunks: a warp has one of them. Of long heads fewer, as each takes more sums. */
typedef struct attention_chunks { u32 count, each, width; } attention_chunks; /* width: room for each */
FND_INLINE attention_chunks attention_chunks_of(u32 group, u32 dim) {
    attention_chunks c;
    c.width = dim > 128 && FND_WARPS >= 8 ? ATTENTION_HEADS / 2 : ATTENTION_HEADS;
    c.count = (group + c.width - 1) / c.width;
    c.each = (group + c.count - 1) / c.count;
    return c;
}

/* The keys of n positions in whole units: so many splits are used, so many units in each. A split costs the kernel
 * behind this one as much as some keys cost here, so with n there are more splits, and longer ones; where that would
 * be more than ATTENTION_ALONE, all that there are, as the last group to come joins them. */
#define ATTENTION_ALONE 8u
typedef struct attention_cut { u32 units, used, joined; } attention_cut;
FND_INLINE attention_cut attention_cut_of(attention_token n) {
    u32 units = n.position / ATTENTION_UNIT + 1, fewest = (units + n.splits - 1) / n.splits;
    u32 wanted = (u32)(0.35f * fnd_sqrt((f32)units * (f32)n.kv_heads)) + 1;
    attention_cut c;
    c.joined = (units + wanted - 1) / wanted > ATTENTION_ALONE && n.splits <= ATTENTION_JOINED && n.splits * n.group <= 2048;
    c.units = fnd_max(fewest, c.joined ? 1 : wanted);
    c.used = (units + c.units - 1) / c.units;
    c.joined = c.joined && c.used > ATTENTION_ALONE;
    return c;
}
FND_INLINE attention_keys attention_share(attention_token n, attention_cut c, u32 split) {
    u32 end = n.position + 1, each = c.units * ATTENTION_UNIT;
    attention_keys keys;
    keys.first = split < c.used ? split * each : end;
    keys.end = split < c.used ? fnd_min((split + 1) * each, end) : end;
    return keys;
}

/* ---- queries, and the token's own key and value ---- */

/* As a cache of floats keeps it. */
FND_INLINE f32 attention_kept(u32 format, f32 v) { return format == FND_ACT_F16 ? fnd_f16_to_f32(fnd_f32_to_f16(v)) : v; }

/* Where dimension d of head g stands; head `group` is the key. */
FND_INLINE FND_GROUP f32 *attention_row_at(attention_memory mem, attention_chunks c, u32 group, u32 dim, u32 g, u32 d) {
    return g < group ? mem.q + (g / c.each * dim + d) * c.width + g % c.each : mem.fresh + d;
}

/* 32 values of caches of codes, by one warp: queries and the key spread, key and value rounded. */
FND_INLINE void attention_prepare_codes(fnd_thread t, attention_token n, attention_memory mem, attention_chunks c, u32 fresh) {
    u32 dim = n.head_dim, parts = dim / 32, k_codes = n.k_cache.format == FND_ACT_Q8_0, v_codes = n.v_cache.format == FND_ACT_Q8_0;
    FND_ROLLED for (u32 u = t.warp; u < parts * (n.group + 2 * fresh); u += FND_WARPS) {
        u32 g = u / parts, part = u % parts, is_value = g > n.group;
        FND_GROUP f32 *at = is_value ? mem.fresh + 256 + part * 32 + t.lane : attention_row_at(mem, c, n.group, dim, g, part * 32 + t.lane);
        f32 v[1];
        v[0] = *at;
        if (!is_value && k_codes) attention_spread_lanes(t, v);
        if (g >= n.group && (is_value ? v_codes : k_codes)) {
            f32 most = fnd_lane_max(fnd_fabs(v[0])), scale = fnd_f16_to_f32(fnd_f32_to_f16(most / 127.0f));
            v[0] = scale * fnd_round(v[0] * (most > 0.0f ? 127.0f / most : 0.0f));
            if (t.lane == 0) mem.fresh[512 + 8 * is_value + part] = scale;
        }
        *at = v[0];
    }
    fnd_group_barrier(t);
}

/* Rotate and scale the queries, and (fresh) the key. Ends with a barrier. */
FND_INLINE void attention_prepare(fnd_thread t, attention_token n, attention_keys keys, u32 split, u32 joined, attention_memory mem, attention_chunks c, u32 fresh) {
    u32 dim = n.head_dim, pairs = n.p.pairs, rows = n.group + fresh, per = pairs < FND_THREADS ? FND_THREADS / fnd_max(pairs, 1) : 1;
    u32 rest = dim - 2 * pairs;
    const FND_GPU f32 *q = n.q + (u64)n.row * n.group * dim, *k = n.k + (u64)n.row * dim, *v_row = n.v + (u64)n.row * dim;
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < pairs * per; u += FND_THREADS) {
        u32 i = u % pairs, first = rope_first(n.p, i), second = rope_second(n.p, i), g = u / pairs;
        const FND_GPU f32 *in = g < n.group ? q + g * dim : k;
        f32 v = g < rows ? in[first] : 0.0f, w = g < rows ? in[second] : 0.0f; /* on their way while the angle is computed */
        rope_turn turn = rope_turn_of(n.p, (i32)n.position, i);
        FND_ROLLED for (; g < rows; g += per) {
            u32 format = g < n.group ? FND_ACT_F32 : n.k_cache.format;
            f32 scale = g < n.group ? n.scale : 1.0f;
            v *= scale;
            w *= scale;
            *attention_row_at(mem, c, n.group, dim, g, first) = attention_kept(format, v * turn.cos - w * turn.sin);
            *attention_row_at(mem, c, n.group, dim, g, second) = attention_kept(format, v * turn.sin + w * turn.cos);
            if (g + per < rows) {
                in = g + per < n.group ? q + (g + per) * dim : k;
                v = in[first];
                w = in[second];
            }
        }
    }
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < rows * rest; u += FND_THREADS) {
        u32 g = u / rest, d = 2 * pairs + u % rest;
        *attention_row_at(mem, c, n.group, dim, g, d) = g < n.group ? q[g * dim + d] * n.scale : attention_kept(n.k_cache.format, k[d]);
    }
    FND_ROLLED for (u32 d = fnd_thread_index(t); d < dim * fresh; d += FND_THREADS) mem.fresh[256 + d] = attention_kept(n.v_cache.format, v_row[d]);
    /* The last chunk may have fewer heads. */
    if (fnd_thread_index(t) == 0) {
        const u32 late[7] = { n.row, n.first, n.position, split, joined, fresh, (keys.end - fresh - keys.first + ATTENTION_UNIT - 1) / ATTENTION_UNIT };
        FND_UNROLL for (u32 i = 0; i < 7; i++) mem.fresh[528 + i] = fnd_bits_f32(late[i]);
    }
    u32 missing = c.count * c.each - n.group;
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < missing * dim; u += FND_THREADS) *attention_row_at(mem, c, c.count * c.each, dim, n.group + u / dim, u % dim) = 0.0f;
    fnd_group_barrier(t);
    if (n.k_cache.format == FND_ACT_Q8_0 || n.v_cache.format == FND_ACT_Q8_0) attention_prepare_codes(t, n, mem, c, fresh);
}

/* The token's key and value into the caches; what had to be read there has been. */
FND_INLINE void attention_store_fresh(fnd_thread t, attention_token n, attention_memory mem) {
    u32 dim = n.head_dim;
    const attention_head head = attention_head_at(n);
    FND_ROLLED for (u32 u = fnd_thread_index(t); u < 2 * dim; u += FND_THREADS) {
        u32 is_value = u >= dim, d = is_value ? u - dim : u;
        f32 v = mem.fresh[256 * is_value + d];
        fnd_act cache = is_value ? n.v_cache : n.k_cache;
        if (cache.format == FND_ACT_Q8_0) {
            f32 scale = mem.fresh[512 + 8 * is_value + d / 32];
            cache.p[is_value ? attention_v_code(head, n.position, d) : attention_k_code(head, n.position, d)] = (u8)(i8)(i32)(scale > 0.0f ? fnd_round(v / scale) : 0.0f);
            if (d % 32 == 0) ((FND_GPU u16 *)(cache.p + attention_scale_at(head, n.position, d)))[0] = fnd_f32_to_f16(scale);
        } else {
            fnd_act_put(cache, is_value ? attention_v_at(head, n.position, d) : attention_k_at(head, n.position, d), v);
        }
    }
}
#endif
