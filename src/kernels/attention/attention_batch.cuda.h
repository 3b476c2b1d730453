/* attention/attention_batch.cuda.h - one token each of several sequences on an NVIDIA GPU: the items of
 * attention_decode, of all tokens. */
#ifndef ATTENTION_ATTENTION_BATCH_H
#define ATTENTION_ATTENTION_BATCH_H
#include "attention/attention_decode.cuda.h"

FND_INLINE void attention_batch(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *k, const FND_GPU f32 *v,
                                const FND_GPU f32 *inv_freq, const FND_GPU u32 *positions, const FND_GPU u32 *firsts,
                                fnd_act k_cache, fnd_act v_cache, FND_GPU f32 *part, u32 keys, u32 writes, f32 scale, u32 pairing, f32 mscale,
                                FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                u32 tokens, u32 heads, u32 head_dim, u32 kv_heads, u32 pairs, u32 blocks, u32 splits) {
    (void)keys;
    (void)stats;
    FND_GROUP_ARRAY(f32, fresh, ATTENTION_FRESH);
    attention_memory mem = attention_memory_of(q_rows, scores, fresh);
    attention_token n = attention_token_of(q, k, v, k_cache, v_cache, part, rope_params_of(inv_freq, pairs, pairing, mscale), scale, heads, head_dim, kv_heads, splits);
    n.writes = writes;
    FND_ROLLED for (u32 item = t.group; item < tokens * kv_heads * splits; item += t.groups) {
        u32 token = item % tokens, head = item / tokens % kv_heads, split = item / tokens / kv_heads;
        attention_place place = attention_place_of(firsts[token], positions[token], blocks);
        n.position = place.position;
        n.first = place.first;
        n.row = token * kv_heads + head;
        if (item != t.group) fnd_group_barrier(t); /* the memory of the item before */
        attention_decode_split(t, n, mem, split);
    }
}
#endif
