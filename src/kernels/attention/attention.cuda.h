/* attention/attention.cuda.h - prefill on an NVIDIA GPU: on the matrix unit where heads and stages fit. */
#ifndef ATTENTION_ATTENTION_H
#define ATTENTION_ATTENTION_H
#include "attention/flash.cuda.h"
#include "attention/tiles.h"

FND_INLINE void attention(fnd_thread t, const f32 *q, const f32 *inv_freq, fnd_const_act k_cache, fnd_const_act v_cache, f32 *y,
                          u32 pos, f32 scale, u32 pairing, f32 mscale, f32 *q_rows, f32 *scores, f32 *stats,
                          u32 tokens, u32 q_dim, u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    if (flash_fits(head_dim))
        flash_attention(t, q, rope_params_of(inv_freq, pairs, pairing, mscale), k_cache, v_cache, y, pos, scale, stats, tokens, q_dim, kv_heads, head_dim);
    else
        attention_by_tiles(t, q, inv_freq, k_cache, v_cache, y, pos, scale, pairing, mscale, q_rows, scores, stats, tokens, q_dim, pairs, blocks, kv_heads, head_dim);
}
#endif
