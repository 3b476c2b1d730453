/* attention/kv_write.h - new keys, rotated, and values into the cache. A group has a block of 16
 * positions of one kv head at a time, so that groups do not write to the same cache lines. */
#ifndef ATTENTION_KV_WRITE_H
#define ATTENTION_KV_WRITE_H
#include "attention/args.h"
#include "attention/spread.h"
#include "rope/angle.h"

/* Tokens of one block: rows of `pitch` floats from k and v on, stored at position `position` ...
 * Neighbouring threads have neighbouring positions, as the cache of keys has. */
typedef struct attention_new {
    const FND_GPU f32 *k, *v;
    u32 pitch, position, count;
} attention_new;

/* 32 values of one position, by one warp: key (rotated, then spread) or value. */
FND_INLINE void attention_put_codes(fnd_thread t, attention_new n, attention_head h, rope_params p, u32 c, u32 from, u32 is_key, fnd_act cache) {
    const FND_GPU f32 *row = (is_key ? n.k : n.v) + (u64)c * n.pitch;
    u32 position = n.position + c;
    f32 v[32 / FND_LANES], most = 0.0f;
    for (u32 i = 0; i < 32 / FND_LANES; i++) {
        u32 d = from + i * FND_LANES + t.lane;
        v[i] = is_key ? rope_value(p, row, (i32)position, d) : row[d];
    }
    if (is_key) attention_spread_lanes(t, v);
    for (u32 i = 0; i < 32 / FND_LANES; i++) most = fnd_fmax(most, fnd_fabs(v[i]));
    most = fnd_lane_max(most);
    f32 inverse = most > 0.0f ? 127.0f / most : 0.0f;
    for (u32 i = 0; i < 32 / FND_LANES; i++) {
        u32 d = from + i * FND_LANES + t.lane;
        u64 at = is_key ? attention_k_code(h, position, d) : attention_v_code(h, position, d);
        cache.p[at] = (u8)(i8)(i32)fnd_round(v[i] * inverse);
    }
    if (t.lane == 0) ((FND_GPU u16 *)(cache.p + attention_scale_at(h, position, from)))[0] = fnd_f32_to_f16(most / 127.0f);
}

FND_INLINE void attention_put(fnd_thread t, attention_new n, attention_head h, rope_params p,
                              fnd_act k_cache, fnd_act v_cache) {
    u32 parts = h.head_dim / 32;
    for (u32 u = t.warp; k_cache.format == FND_ACT_Q8_0 && u < n.count * parts; u += FND_WARPS) {
        attention_put_codes(t, n, h, p, u % n.count, u / n.count * 32, 1, k_cache);
    }
    for (u32 u = t.warp; v_cache.format == FND_ACT_Q8_0 && u < n.count * parts; u += FND_WARPS) {
        attention_put_codes(t, n, h, p, u / parts, u % parts * 32, 0, v_cache);
    }
    for (u32 u = fnd_thread_index(t); k_cache.format != FND_ACT_Q8_0 && u < p.pairs * n.count; u += FND_THREADS) {
        u32 i = u / n.count, position = n.position + u % n.count;
        const FND_GPU f32 *k = n.k + (u64)(u % n.count) * n.pitch;
        rope_turn turn = rope_turn_of(p, (i32)position, i);
        f32 a = k[rope_first(p, i)], b = k[rope_second(p, i)];
        fnd_act_put(k_cache, attention_k_at(h, position, rope_first(p, i)), a * turn.cos - b * turn.sin);
        fnd_act_put(k_cache, attention_k_at(h, position, rope_second(p, i)), a * turn.sin + b * turn.cos);
    }
    for (u32 u = 2 * p.pairs * n.count + fnd_thread_index(t); k_cache.format != FND_ACT_Q8_0 && u < h.head_dim * n.count; u += FND_THREADS) {
        u32 d = u / n.count, c = u % n.count;
        fnd_act_put(k_cache, attention_k_at(h, n.position + c, d), n.k[(u64)c * n.pitch + d]);
    }
    for (u32 u = fnd_thread_index(t); v_cache.format != FND_ACT_Q8_0 && u < h.head_dim * n.count; u += FND_THREADS) {
        u32 d = u % h.head_dim, c = u / h.head_dim;
        fnd_act_put(v_cache, attention_v_at(h, n.position + c, d), n.v[(u64)c * n.pitch + d]);
    }
}

FND_INLINE void kv_write(fnd_thread t, const FND_GPU f32 *k, const FND_GPU f32 *v, const FND_GPU f32 *inv_freq,
                         fnd_act k_cache, fnd_act v_cache, u32 pos, u32 pairing, f32 mscale,
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
