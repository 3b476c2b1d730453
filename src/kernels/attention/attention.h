/* attention/attention.h - prefill on any machine. */
#ifndef ATTENTION_ATTENTION_H
#define ATTENTION_ATTENTION_H
#include "attention/tiles.h"

FND_INLINE void attention(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *inv_freq, fnd_const_act k_cache,
                          fnd_const_act v_cache, FND_GPU f32 *y, u32 pos, f32 scale, u32 pairing, f32 mscale,
                          FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                          u32 tokens, u32 q_dim, u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    attention_by_tiles(t, q, inv_freq, k_cache, v_cache, y, pos, scale, pairing, mscale, q_rows, scores, stats, tokens, q_dim, pairs, blocks, kv_heads, head_dim);
}
#endif
