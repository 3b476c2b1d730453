/* attention/attention_batch.h - one token each of several sequences, every one with a place and a range
 * of blocks of its own in the caches: the items of attention_decode, of all tokens. */
#ifndef ATTENTION_ATTENTION_BATCH_H
#define ATTENTION_ATTENTION_BATCH_H
#include "attention/attention_decode.h"

FND_INLINE void attention_batch(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v,
                                const FND_GPU f32 *inv_freq, const FND_GPU u32 *positions, const FND_GPU u32 *firsts,
                                fnd_act k_cache, fnd_act v_cache, FND_GPU f32 *part, u32 keys, u32 writes, f32 scale, u32 pairing, f32 mscale,
                                FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                u32 tokens, u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)keys;
    u32 group = heads / kv_heads;
    attention_token n;
    n.p = rope_params_of(inv_freq, pairs, pairing, mscale);
    n.scale = scale;
    n.splits = splits;
    n.writes = writes;
    for (u32 item = t.group; item < tokens * kv_heads * splits; item += t.groups) {
        u32 token = item % tokens, head = item / tokens % kv_heads, split = item / tokens / kv_heads;
        attention_place place = attention_place_of(firsts[token], positions[token], blocks);
        u64 kv_row = ((u64)token * kv_heads + head) * head_dim, row = (u64)token * heads + (u64)head * group;
        attention_tile a;
        a.q = q_rows;
        a.p = scores;
        a.stats = stats;
        a.group = group;
        a.rows = group;
        a.position = place.position;
        a.head = attention_head_from(place.first, head, kv_heads, head_dim);
        n.q = q + row * head_dim;
        n.k = k + kv_row;
        n.v = v + kv_row;
        n.part = part + row * splits * (head_dim + 2);
        if (attention_split_is_empty(place.position + 1, split, splits)) {
            for (u32 u = fnd_thread_index(t); u < group * (head_dim + 2); u += FND_THREADS) {
                u32 d = u % (head_dim + 2);
                n.part[((u64)(u / (head_dim + 2)) * splits + split) * (head_dim + 2) + d] = d == head_dim ? ATTENTION_NONE : 0.0f;
            }
            continue;
        }
        attention_decode_split(t, a, n, split, k_cache, v_cache);
    }
}
#endif
