/* attention/kv_write.cpu.h - on a CPU: a worker has a block of 16 positions of all kv heads, so that
 * sines and cosines are computed once per position, and transposes keys in its cache. */
#ifndef ATTENTION_KV_WRITE_H
#define ATTENTION_KV_WRITE_H
#include "attention/args.h"
#include "attention/spread.h"
#include "codes.cpu.h"
#include "rope/table.cpu.h"

/* 32 values as codes; quads of them are `step` bytes apart. */
FND_INLINE void attention_put_codes(const f32 *v, u8 *codes, u32 step, u8 *scale) {
    i8 q[32];
    f32 total[2];
    u16 half = fnd_f32_to_f16(fnd_codes_make(v, q, total));
    for (u32 k = 0; k < 8; k++) __builtin_memcpy(codes + k * step, q + 4 * k, 4);
    __builtin_memcpy(scale, &half, 2);
}

/* One row of keys and of values, of one kv head, at a position. */
FND_INLINE void attention_put(attention_head h, u32 position, const f32 *k, const f32 *v, rope_params p, const rope_table *table,
                              fnd_act k_cache, fnd_act v_cache) {
    f32 row[2 * ROPE_MAX_HALF];
    rope_row(row, k, p, table, h.head_dim, 1.0f);
    if (k_cache.format == FND_ACT_Q8_0) {
        for (u32 d = 0; d < h.head_dim; d += 32) {
            attention_spread(row + d);
            attention_put_codes(row + d, k_cache.p + attention_k_code(h, position, d), 64, k_cache.p + attention_scale_at(h, position, d));
        }
    } else {
        u64 at = attention_k_at(h, position, 0);
        for (u32 d = 0; d < h.head_dim; d++) fnd_act_put(k_cache, at + 16 * d, row[d]);
    }
    if (v_cache.format == FND_ACT_Q8_0) {
        for (u32 d = 0; d < h.head_dim; d += 32) {
            attention_put_codes(v + d, v_cache.p + attention_v_code(h, position, d), 4, v_cache.p + attention_scale_at(h, position, d));
        }
    } else {
        u64 at = attention_v_at(h, position, 0);
        for (u32 d = 0; d < h.head_dim; d++) fnd_act_put(v_cache, at + d, v[d]);
    }
}

FND_INLINE void kv_write(fnd_thread t, const f32 *k, const f32 *v, const f32 *inv_freq, fnd_act k_cache, fnd_act v_cache,
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
