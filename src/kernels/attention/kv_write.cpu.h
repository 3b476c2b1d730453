/* attention/kv_write.cpu.h - on a CPU: a worker has a block of 16 positions of all kv heads, so that
 * sines and cosines are computed once per position, and transposes keys in its cache. */
#ifndef ATTENTION_KV_WRITE_H
#define ATTENTION_KV_WRITE_H
#include "attention/args.h"
#include "rope/table.cpu.h"

/* One row of keys and of values, of one kv head, at a position. */
FND_INLINE void attention_put(attention_head h, u32 position, const f32 *k, const f32 *v, rope_params p, const rope_table *table,
                              f16 *k_cache, f16 *v_cache) {
    f32 row[2 * ROPE_MAX_HALF];
    f16 *keys = k_cache + attention_k_at(h, position, 0), *values = v_cache + attention_v_at(h, position, 0);
    rope_row(row, k, p, table, h.head_dim, 1.0f);
    for (u32 d = 0; d < h.head_dim; d++) keys[16 * d].bits = fnd_f32_to_f16(row[d]);
    for (u32 d = 0; d < h.head_dim; d++) values[d].bits = fnd_f32_to_f16(v[d]);
}

FND_INLINE void kv_write(fnd_thread t, const f32 *k, const f32 *v, const f32 *inv_freq, f16 *k_cache, f16 *v_cache,
                         u32 pos, u32 pairing, f32 mscale, u32 tokens, u32 kv_heads, u32 head_dim, u32 pairs, u32 blocks) {
    (void)blocks;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, mscale);
    rope_steps steps;
    rope_table table;
    rope_steps_fill(&steps, p);
    for (u32 block = pos / 16 + t.group; block * 16 < pos + tokens; block += t.groups) {
        for (u32 position = fnd_max(block * 16, pos); position < fnd_min(block * 16 + 16, pos + tokens); position++) {
            u64 row = (u64)(position - pos) * kv_heads * head_dim;
            rope_table_fill(&table, p, &steps, position);
            for (u32 head = 0; head < kv_heads; head++) {
                u64 at = row + (u64)head * head_dim;
                attention_put(attention_head_of(head, kv_heads, head_dim), position, k + at, v + at, p, &table, k_cache, v_cache);
            }
        }
    }
}
#endif
