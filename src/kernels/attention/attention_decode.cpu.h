/* attention/attention_decode.cpu.h - one token on a CPU: all heads of a kv head together against a
 * split of the keys. The worker whose split ends with the token's own position stores its key and
 * value first; no other worker reads them. */
#ifndef ATTENTION_ATTENTION_DECODE_H
#define ATTENTION_ATTENTION_DECODE_H
#include "attention/kv_write.cpu.h"
#include "attention/tile.cpu.h"

/* What all heads of a token have in common, and one kv head's share of its rows. */
typedef struct attention_token {
    const f32 *q, *k, *v; /* [a.group, head_dim], [head_dim], [head_dim] */
    f32 *part;            /* [a.group, splits, head_dim + 2] */
    rope_params p;
    const rope_table *table;
    f32 scale;
    u32 splits, writes; /* its key and value are to be written */
} attention_token;

/* One split, for the kv head and position of `a`. A split without keys leaves a weight of 0 and no values. */
FND_INLINE void attention_decode_split(attention_tile *a, attention_token n, u32 split, fnd_act k_cache, fnd_act v_cache) {
    u32 head_dim = a->head.head_dim, width = head_dim + 2;
    attention_keys keys = attention_split(a->position + 1, split, n.splits);
    if (n.writes && keys.first < keys.end && keys.end == a->position + 1) {
        attention_put(a->head, a->position, n.k, n.v, n.p, n.table, k_cache, v_cache);
    }
    for (u32 g = 0; g < a->group && keys.first < keys.end; g++) rope_row(a->q + g * head_dim, n.q + g * head_dim, n.p, n.table, head_dim, n.scale);
    attention_run(a, fnd_act_const(k_cache), fnd_act_const(v_cache), keys);
    for (u32 g = 0; g < a->group; g++) {
        f32 *to = n.part + ((u64)g * n.splits + split) * width;
        for (u32 d = 0; d < head_dim; d += FND_VEC) fnd_vec_store(to + d, fnd_vec_load(a->out + g * head_dim + d));
        to[head_dim] = a->most[g];
        to[head_dim + 1] = fnd_vec_sum(a->sum[g]);
    }
}

FND_INLINE void attention_decode(fnd_thread t, const f32 *q, const f32 *k, const f32 *v, const f32 *inv_freq,
                                 fnd_act k_cache, fnd_act v_cache, f32 *part, u32 pos, f32 scale, u32 pairing, f32 mscale,
                                 f32 *q_rows, f32 *scores, f32 *stats,
                                 u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)blocks;
    (void)stats;
    u32 group = heads / kv_heads;
    rope_steps steps;
    rope_table table;
    f32 out[ATTENTION_VALUES], scaled[16 * ATTENTION_KEYS];
    attention_tile a;
    attention_token n;
    n.p = rope_params_of(inv_freq, pairs, pairing, mscale);
    n.table = &table;
    n.scale = scale;
    n.splits = splits;
    n.writes = 1;
    rope_steps_fill(&steps, n.p);
    rope_table_fill(&table, n.p, &steps, pos);
    a.rows = a.group = group;
    a.position = pos;
    a.q = q_rows;
    a.out = out;
    a.p = scores;
    a.scaled = scaled;
    for (u32 item = t.group; item < kv_heads * splits; item += t.groups) {
        u32 head = item % kv_heads;
        a.head = attention_head_of(head, kv_heads, head_dim);
        n.q = q + (u64)head * group * head_dim;
        n.k = k + (u64)head * head_dim;
        n.v = v + (u64)head * head_dim;
        n.part = part + (u64)head * group * splits * (head_dim + 2);
        attention_decode_split(&a, n, item / kv_heads, k_cache, v_cache);
    }
}
#endif
