/* attention/kv_write_prompts.h - kv_write for tokens of several sequences, one sequence after the other. */
#ifndef ATTENTION_KV_WRITE_PROMPTS_H
#define ATTENTION_KV_WRITE_PROMPTS_H
#include "attention/kv_write.h"

FND_INLINE void kv_write_prompts(fnd_thread t, const FND_GPU f32 *k, const FND_GPU f32 *v, const FND_GPU f32 *inv_freq, const FND_GPU u32 *prompts,
                                 fnd_act k_cache, fnd_act v_cache, u32 pairing, f32 mscale,
                                 u32 tokens, u32 kv_heads, u32 head_dim, u32 pairs, u32 parts, u32 blocks) {
    u64 pitch = (u64)kv_heads * head_dim;
    fnd_thread turned = t;
    for (u32 i = 0; i < parts; i++) {
        attention_prompt p = attention_prompt_of(prompts, i, tokens, blocks);
        u64 at = attention_bytes_of(k_cache.format, p.first * 16 * pitch);
        turned.group = (t.group + i) % t.groups; /* short prompts have fewer items than there are groups */
        kv_write(turned, k + p.row * pitch, v + p.row * pitch, inv_freq, fnd_out(k_cache.p + at, k_cache.format), fnd_out(v_cache.p + at, v_cache.format),
                 p.position, pairing, mscale, p.tokens, kv_heads, head_dim, pairs, blocks - p.first);
    }
}
#endif
