/* attention/attention_prompts.h - attention for tokens of several sequences, one sequence after the other: each just as
 * attention does it alone. */
#ifndef ATTENTION_ATTENTION_PROMPTS_H
#define ATTENTION_ATTENTION_PROMPTS_H
#include "attention/attention.h"

FND_INLINE void attention_prompts(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *inv_freq, const FND_GPU u32 *prompts,
                                  fnd_const_act k_cache, fnd_const_act v_cache, FND_GPU f32 *y, u32 keys, u32 seen, f32 scale, u32 pairing, f32 mscale,
                                  FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                                  u32 tokens, u32 q_dim, u32 pairs, u32 parts, u32 blocks, u32 kv_heads, u32 head_dim) {
    (void)keys;
    (void)seen;
    fnd_thread turned = t;
    FND_ROLLED for (u32 i = 0; i < parts; i++) {
        attention_prompt p = attention_prompt_of(prompts, i, tokens, blocks);
        u64 at = attention_bytes_of(k_cache.format, (u64)p.first * kv_heads * 16 * head_dim), row = (u64)p.row * q_dim;
        turned.group = (t.group + i) % t.groups; /* short prompts have fewer items than there are groups */
        if (i) fnd_group_barrier(t);             /* the memory of the prompt before */
        if (p.tokens)
            attention(turned, q + row, inv_freq, fnd_in(k_cache.p + at, k_cache.format), fnd_in(v_cache.p + at, v_cache.format), y + row,
                      p.position, scale, pairing, mscale, q_rows, scores, stats, p.tokens, q_dim, pairs, blocks - p.first, kv_heads, head_dim);
    }
}
#endif
