/* attention/tiles.h - prefill: tiles of up to 16 rows (tokens x heads of one kv head) against all
 * keys they may see. */
#ifndef ATTENTION_TILES_H
#define ATTENTION_TILES_H
#include "attention/tile.h"

FND_INLINE void attention_store(fnd_thread t, attention_tile a, FND_GPU f32 *y, u32 pitch, const FND_OWN attention_strip *sums) {
    u32 dim = a.head.head_dim, strips = dim / ATTENTION_STRIP;
    for (u32 u = fnd_thread_index(t); u < strips * ((a.rows + 3) / 4); u += FND_THREADS, sums += 4) {
        u32 d = u % strips * ATTENTION_STRIP, r = u / strips * 4;
        for (u32 i = 0; i < 4 && r + i < a.rows; i++) {
            f32 total = a.stats[ATTENTION_ROWS + r + i];
            FND_GPU f32 *out = y + (u64)((r + i) / a.group) * pitch + (r + i) % a.group * dim + d;
            attention_strip_set(out, sums[i] * attention_strip_splat(1.0f / total));
        }
    }
    fnd_group_barrier(t); /* the next tile may reuse the memory of this one */
}

FND_INLINE void attention_by_tiles(fnd_thread t, const FND_GPU f32 *q, const FND_GPU f32 *inv_freq, fnd_const_act k_cache,
                          fnd_const_act v_cache, FND_GPU f32 *y, u32 pos, f32 scale, u32 pairing, f32 mscale,
                          FND_GROUP f32 *q_rows, FND_GROUP f32 *scores, FND_GROUP f32 *stats,
                          u32 tokens, u32 q_dim, u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    (void)blocks;
    u32 group = q_dim / head_dim / kv_heads, per_tile = fnd_max(ATTENTION_ROWS / group, 1);
    u32 tiles = (tokens + per_tile - 1) / per_tile;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, mscale);
    for (u32 item = t.group; item < tiles * kv_heads; item += t.groups) {
        /* From the end: the tiles with the most keys first, so that groups finish together. */
        u32 head = item % kv_heads, token = (tiles - 1 - item / kv_heads) * per_tile;
        u64 at = (u64)token * q_dim + (u64)head * group * head_dim;
        attention_strip sums[ATTENTION_OWN];
        attention_tile a;
        attention_keys keys;
        a.k_cache = k_cache;
        a.v_cache = v_cache;
        a.q = q_rows;
        a.p = scores;
        a.stats = stats;
        a.head = attention_head_of(head, kv_heads, head_dim);
        a.group = group;
        a.rows = fnd_min(per_tile, tokens - token) * group;
        a.position = pos + token;
        keys.first = 0;
        keys.end = a.position + a.rows / group;
        attention_load(t, a, q + at, q_dim, p, scale);
        attention_run(t, a, keys, sums);
        attention_store(t, a, y + at, q_dim, sums);
    }
}
#endif
