/* attention/attention.cpu.h - prefill on a CPU: tiles of up to 32 rows (tokens x heads of one kv head)
 * against all keys they may see. */
#ifndef ATTENTION_ATTENTION_H
#define ATTENTION_ATTENTION_H
#include "attention/panel.cpu.h"
#include "attention/tile.cpu.h"

/* Tokens of a tile: as many as fit, if possible a number that fills the blocks of rows. */
FND_INLINE u32 attention_tile_tokens(u32 group, u32 head_dim) {
    u32 most = fnd_max(fnd_min(ATTENTION_ROWS, ATTENTION_VALUES / head_dim) / group, 1);
    for (u32 n = most; 2 * n > most; n--) {
        if (n * group % ATTENTION_BLOCK == 0) return n;
    }
    return most;
}

FND_INLINE void attention(fnd_thread t, const f32 *q, const f32 *inv_freq, fnd_const_act k_cache, fnd_const_act v_cache, f32 *y,
                          u32 pos, f32 scale, u32 pairing, f32 mscale, f32 *q_rows, f32 *scores, f32 *stats,
                          u32 tokens, u32 q_dim, u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    (void)blocks;
    (void)scores;
    (void)stats;
    u32 group = q_dim / head_dim / kv_heads, per_tile = attention_tile_tokens(group, head_dim);
    u32 tiles = (tokens + per_tile - 1) / per_tile;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, mscale);
#ifdef FND_AMX
    if (head_dim % 32 == 0 && k_cache.format != FND_ACT_Q8_0) {
        attention_panels(t, q, p, k_cache, v_cache, y, pos, scale, tokens, q_dim, kv_heads, head_dim);
        return;
    }
#endif
    rope_steps steps;
    rope_table table;
    f32 out[ATTENTION_VALUES], weights[ATTENTION_ROWS * ATTENTION_KEYS], scaled[ATTENTION_ROWS * ATTENTION_KEYS];
    attention_tile a;
    rope_steps_fill(&steps, p);
    a.group = group;
    a.q = q_rows;
    a.out = out;
    a.p = weights;
    a.scaled = scaled;
    for (u32 item = t.group; item < tiles * kv_heads; item += t.groups) {
        /* From the end: the tiles with the most keys first, so that workers finish together. */
        u32 head = item % kv_heads, token = (tiles - 1 - item / kv_heads) * per_tile, count = fnd_min(per_tile, tokens - token);
        u64 at = (u64)token * q_dim + (u64)head * group * head_dim;
        attention_keys keys;
        a.head = attention_head_of(head, kv_heads, head_dim);
        a.rows = count * group;
        a.position = pos + token;
        keys.first = 0;
        keys.end = a.position + count;
        for (u32 m = 0; m < count; m++) {
            rope_table_fill(&table, p, &steps, a.position + m);
            for (u32 g = 0; g < group; g++) {
                rope_row(a.q + (m * group + g) * head_dim, q + at + (u64)m * q_dim + g * head_dim, p, &table, head_dim, scale);
            }
        }
        attention_run(&a, k_cache, v_cache, keys);
        for (u32 r = 0; r < a.rows; r++) {
            f32 *to = y + at + (u64)(r / group) * q_dim + r % group * head_dim, share = 1.0f / fnd_vec_sum(a.sum[r]);
            for (u32 d = 0; d < head_dim; d += FND_VEC) fnd_vec_store(to + d, fnd_vec_load(out + r * head_dim + d) * share);
        }
    }
}
#endif
