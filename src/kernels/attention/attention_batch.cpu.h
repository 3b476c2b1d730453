/* attention/attention_batch.cpu.h - one token each of several sequences on a CPU: the items of
 * attention_decode, of all tokens. Neighbouring items are of different sequences, so that workers get
 * equal shares of those that are equally long. */
#ifndef ATTENTION_ATTENTION_BATCH_H
#define ATTENTION_ATTENTION_BATCH_H
#include "attention/attention_decode.cpu.h"

FND_INLINE void attention_batch(fnd_thread t, const f32 *q, const f32 *k, const f32 *v, const f32 *inv_freq, const u32 *positions, const u32 *firsts,
                                fnd_act k_cache, fnd_act v_cache, f32 *part, u32 keys, u32 writes, f32 scale, u32 pairing, f32 mscale,
                                f32 *q_rows, f32 *scores, f32 *stats,
                                u32 tokens, u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)keys;
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
    n.writes = writes;
    rope_steps_fill(&steps, n.p);
    a.rows = a.group = group;
    a.q = q_rows;
    a.out = out;
    a.p = scores;
    a.scaled = scaled;
    for (u32 item = t.group; item < tokens * kv_heads * splits; item += t.groups) {
        u32 token = item % tokens, head = item / tokens % kv_heads, split = item / tokens / kv_heads;
        attention_place place = attention_place_of(firsts[token], positions[token], blocks);
        u64 kv_row = ((u64)token * kv_heads + head) * head_dim, row = (u64)token * heads + (u64)head * group;
        a.position = place.position;
        a.head = attention_head_from(place.first, head, kv_heads, head_dim);
        n.q = q + row * head_dim;
        n.k = k + kv_row;
        n.v = v + kv_row;
        n.part = part + row * splits * (head_dim + 2);
        if (attention_split_is_empty(place.position + 1, split, splits)) {
            for (u32 g = 0; g < group; g++) {
                f32 *to = n.part + ((u64)g * splits + split) * (head_dim + 2);
                __builtin_memset(to, 0, (head_dim + 2) * sizeof *to);
                to[head_dim] = ATTENTION_NONE;
            }
            continue;
        }
        rope_table_fill(&table, n.p, &steps, place.position);
        attention_decode_split(&a, n, split, k_cache, v_cache);
    }
}
#endif
