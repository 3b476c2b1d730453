/* attention/attention_decode.h - one token: all heads of a kv head together, so that keys and values
 * are read once, and the keys split among groups. The group whose split ends with the token's own
 * position rotates and stores its key and value first; no other group reads them. */
#ifndef ATTENTION_ATTENTION_DECODE_H
#define ATTENTION_ATTENTION_DECODE_H
#include "attention/kv_write.h"
#include "attention/tile.h"

/* A split's result: head_dim sums of values (by weights exp(score - maximum)), maximum, sum of weights. */
FND_INLINE void attention_store_part(fnd_thread t, attention_tile a, FND_GPU f32 *part, u32 splits, const FND_OWN attention_strip *sums) {
    u32 dim = a.head.head_dim, strips = dim / ATTENTION_STRIP;
    u64 pitch = (u64)splits * (dim + 2);
    for (u32 u = fnd_thread_index(t); u < strips * ((a.rows + 3) / 4); u += FND_THREADS, sums += 4) {
        u32 d = u % strips * ATTENTION_STRIP, r = u / strips * 4;
        for (u32 i = 0; i < 4 && r + i < a.rows; i++) attention_strip_set(part + (r + i) * pitch + d, sums[i]);
    }
    for (u32 r = fnd_thread_index(t); r < a.rows; r += FND_THREADS) {
        part[r * pitch + dim] = a.stats[r];
        part[r * pitch + dim + 1] = a.stats[ATTENTION_ROWS + r];
    }
    fnd_group_barrier(t); /* the next item may reuse the memory of this one */
}

/* What all heads of a token have in common, and one kv head's share of its rows. */
typedef struct attention_token {
    const FND_GPU f32 *q, *k, *v; /* [a.group, head_dim], [head_dim], [head_dim] */
    FND_GPU f32 *part;            /* [a.group, splits, head_dim + 2] */
    rope_params p;
    f32 scale;
    u32 splits, writes; /* its key and value are to be written */
} attention_token;

/* One split, for the kv head and position of `a`. */
FND_INLINE void attention_decode_split(fnd_thread t, attention_tile a, attention_token n, u32 split, fnd_act k_cache, fnd_act v_cache) {
    attention_keys keys = attention_split(a.position + 1, split, n.splits);
    attention_strip sums[ATTENTION_OWN];
    a.k_cache = fnd_act_const(k_cache);
    a.v_cache = fnd_act_const(v_cache);
    if (n.writes && keys.first < keys.end && keys.end == a.position + 1) {
        attention_new one;
        one.k = n.k;
        one.v = n.v;
        one.pitch = 0;
        one.position = a.position;
        one.count = 1;
        attention_put(t, one, a.head, n.p, k_cache, v_cache);
    }
    attention_load(t, a, n.q, 0, n.p, n.scale); /* ends with a barrier */
    attention_run(t, a, keys, sums);
    attention_store_part(t, a, n.part + (u64)split * (a.head.head_dim + 2), n.splits, sums);
}

FND_INLINE void attention_decode(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v,
                                 const FND_GPU f32 *inv_freq, fnd_act k_cache, fnd_act v_cache, FND_GPU f32 *part,
                                 u32 pos, f32 scale, u32 pairing, f32 mscale,
                                 FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                 u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)blocks;
    u32 group = heads / kv_heads;
    attention_token n;
    n.p = rope_params_of(inv_freq, pairs, pairing, mscale);
    n.scale = scale;
    n.splits = splits;
    n.writes = 1;
    for (u32 item = t.group; item < kv_heads * splits; item += t.groups) {
        u32 head = item % kv_heads;
        attention_tile a;
        a.q = q_rows;
        a.p = scores;
        a.stats = stats;
        a.head = attention_head_of(head, kv_heads, head_dim);
        a.group = group;
        a.rows = group;
        a.position = pos;
        n.q = q + (u64)head * group * head_dim;
        n.k = k + (u64)head * head_dim;
        n.v = v + (u64)head * head_dim;
        n.part = part + (u64)head * group * splits * (head_dim + 2);
        attention_decode_split(t, a, n, item / kv_heads, k_cache, v_cache);
    }
}
#endif
