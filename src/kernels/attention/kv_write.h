/* attention/kv_write.h - new keys, rotated, and values into the cache. A group has a block of 16
 * positions of one kv head at a time, so that groups do not write to the same cache lines. */
#ifndef ATTENTION_KV_WRITE_H
#define ATTENTION_KV_WRITE_H
#include "attention/args.h"
#include "rope/angle.h"

/* Tokens of one block: rows of `pitch` floats from k and v on, stored at position `position` ...
 * Neighbouring threads have neighbouring positions, as the cache of keys has. */
typedef struct attention_new {
    const FND_GPU f32 *k, *v;
    u32 pitch, position, count;
} attention_new;

FND_INLINE void attention_put(fnd_thread t, attention_new n, attention_head h, rope_params p,
                              FND_GPU f16 *k_cache, FND_GPU f16 *v_cache) {
    for (u32 u = fnd_thread_index(t); u < p.pairs * n.count; u += FND_THREADS) {
        u32 i = u / n.count, position = n.position + u % n.count;
        const FND_GPU f32 *k = n.k + (u64)(u % n.count) * n.pitch;
        rope_turn turn = rope_turn_of(p, (i32)position, i);
        f32 a = k[rope_first(p, i)], b = k[rope_second(p, i)];
        k_cache[attention_k_at(h, position, rope_first(p, i))].bits = fnd_f32_to_f16(a * turn.cos - b * turn.sin);
        k_cache[attention_k_at(h, position, rope_second(p, i))].bits = fnd_f32_to_f16(a * turn.sin + b * turn.cos);
    }
    for (u32 u = 2 * p.pairs * n.count + fnd_thread_index(t); u < h.head_dim * n.count; u += FND_THREADS) {
        u32 d = u / n.count, c = u % n.count;
        k_cache[attention_k_at(h, n.position + c, d)].bits = fnd_f32_to_f16(n.k[(u64)c * n.pitch + d]);
    }
    for (u32 u = fnd_thread_index(t); u < h.head_dim * n.count; u += FND_THREADS) {
        u32 d = u % h.head_dim, c = u / h.head_dim;
        v_cache[attention_v_at(h, n.position + c, d)].bits = fnd_f32_to_f16(n.v[(u64)c * n.pitch + d]);
    }
}

FND_INLINE void kv_write(fnd_thread t, const FND_GPU f32 *k, const FND_GPU f32 *v, const FND_GPU f32 *inv_freq,
                         FND_GPU f16 *k_cache, FND_GPU f16 *v_cache, u32 pos, u32 pairing, f32 mscale,
                         u32 tokens, u32 kv_heads, u32 head_dim, u32 pairs, u32 blocks) {
    (void)blocks;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, mscale);
    u32 first_block = pos / 16, items = ((pos + tokens + 15) / 16 - first_block) * kv_heads;
    for (u32 item = t.group; item < items; item += t.groups) {
        u32 block = first_block + item / kv_heads, head = item % kv_heads;
        attention_new n;
        n.position = fnd_max(block * 16, pos);
        n.count = fnd_min(block * 16 + 16, pos + tokens) - n.position;
        n.pitch = kv_heads * head_dim;
        n.k = k + (u64)(n.position - pos) * n.pitch + (u64)head * head_dim;
        n.v = v + (u64)(n.position - pos) * n.pitch + (u64)head * head_dim;
        attention_put(t, n, attention_head_of(head, kv_heads, head_dim), p, k_cache, v_cache);
    }
}
#endif
