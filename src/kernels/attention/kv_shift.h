/* attention/kv_shift.h - drop a run of positions from the cache: what is behind it moves down, and keys
 * are turned back by as many positions. As `drop` is a multiple of 16, a position keeps its place in its
 * block, and the angle of a pair is one for all positions. The same thread moves all blocks of its part,
 * lowest first, so that nothing is overwritten before it was read. */
#ifndef ATTENTION_KV_SHIFT_H
#define ATTENTION_KV_SHIFT_H
#include "attention/args.h"
#include "attention/spread.h"
#include "elementwise/put.h"
#include "rope/angle.h"

#define KV_SHIFT_ARGS(X) \
    KV_RULES(X) \
    X(RULE, "drop % 16 == 0",       "whole blocks go, so that places in blocks stay") \
    X(RULE, "keep + drop <= pos",   "what goes is there") \
    X(RULE, "pos <= 16*blocks",     "every position has a place in the caches") \
    X(IN,    f32, inv_freq, "[pairs]",                                                             "radians per position for every pair")      \
    X(INOUT, cache, k_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos-keep)*kv_heads*head_dim", "keys, by blocks of 16 positions")          \
    X(INOUT, cache, v_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos-keep)*kv_heads*head_dim", "values, by blocks of 16 positions")        \
    X(VAL,   u32, keep,     "",                                                                    "positions before this stay")               \
    X(VAL,   u32, drop,     "",                                                                    "how many go from there: a multiple of 16") \
    X(VAL,   u32, pos,      "",                                                                    "positions there are")                      \
    X(VAL,   u32, pairing,  "",                                                                    "RoPE: 0 (2i, 2i+1), 1 (i, i+pairs)")
FND_STAGE(kv_shift, KV_SHIFT_ARGS, MAIN, NONE, NONE, ALL, "drop positions from the cache and move later ones down")

/* The places of a block that positions keep .. end - 1 have. */
typedef struct kv_places { u32 first, end; } kv_places;
FND_INLINE kv_places kv_places_of(u32 block, u32 keep, u32 end) {
    kv_places p;
    p.first = fnd_max(block * 16, keep) % 16;
    p.end = fnd_min(end - block * 16, 16);
    return p;
}

/* Two dimensions of the keys of one head, from values k and k2 on in block 0, turned. */
FND_INLINE void kv_shift_pair(fnd_act cache, u64 k, u64 k2, u64 stride, u32 keep, u32 drop, u32 end, rope_turn turn) {
    fnd_const_act was = fnd_act_const(cache);
    for (u32 block = keep / 16; block * 16 < end; block++) {
        kv_places p = kv_places_of(block, keep, end);
        u64 to = block * stride, from = to + drop / 16 * stride;
        for (u32 i = p.first; i < p.end; i++) {
            f32 a = fnd_act_get(was, k + from + i), b = fnd_act_get(was, k2 + from + i);
            fnd_act_put(cache, k + to + i, a * turn.cos - b * turn.sin);
            fnd_act_put(cache, k2 + to + i, a * turn.sin + b * turn.cos);
        }
    }
}

/* Keys of floats: unit u is a pair, or behind the pairs a dimension that is not rotated. */
FND_INLINE void kv_shift_keys(fnd_act cache, attention_head h, rope_params p, u32 u, u32 keep, u32 drop, u32 end) {
    if (u < p.pairs) {
        rope_turn turn = rope_turn_of(p, -(i32)drop, u);
        kv_shift_pair(cache, attention_k_at(h, 0, rope_first(p, u)), attention_k_at(h, 0, rope_second(p, u)), h.stride, keep, drop, end, turn);
        return;
    }
    for (u32 position = keep; position < end; position++) {
        u64 to = attention_k_at(h, position, p.pairs + u);
        fnd_act_put(cache, to, fnd_act_get(fnd_act_const(cache), to + drop / 16 * h.stride));
    }
}

/* Keys of codes at one place of all blocks: their 32 under a scale become other codes together. */
FND_INLINE void kv_shift_codes(fnd_act cache, attention_head h, rope_params p, u32 place, u32 keep, u32 drop, u32 end) {
    f32 row[256], sin[128], cos[128];
    for (u32 i = 0; i < p.pairs; i++) {
        rope_turn turn = rope_turn_of(p, -(i32)drop, i);
        sin[i] = turn.sin;
        cos[i] = turn.cos;
    }
    for (u32 position = keep + (place + 16 - keep % 16) % 16; position < end; position += 16) {
        for (u32 d = 0; d < h.head_dim; d++) {
            f32 scale = fnd_f16_to_f32(((const FND_GPU u16 *)(cache.p + attention_scale_at(h, position + drop, d)))[0]);
            row[d] = scale * (f32)(i8)cache.p[attention_k_code(h, position + drop, d)];
        }
        for (u32 from = 0; from < h.head_dim; from += 32) attention_spread(row + from); /* back to the dimensions that turn */
        for (u32 i = 0; i < p.pairs; i++) {
            f32 a = row[rope_first(p, i)], b = row[rope_second(p, i)];
            row[rope_first(p, i)] = a * cos[i] - b * sin[i];
            row[rope_second(p, i)] = a * sin[i] + b * cos[i];
        }
        for (u32 from = 0; from < h.head_dim; from += 32) {
            f32 most = 0.0f;
            attention_spread(row + from);
            for (u32 d = from; d < from + 32; d++) most = fnd_fmax(most, fnd_fabs(row[d]));
            f32 inverse = most > 0.0f ? 127.0f / most : 0.0f;
            for (u32 d = from; d < from + 32; d++) cache.p[attention_k_code(h, position, d)] = (u8)(i8)(i32)fnd_round(row[d] * inverse);
            ((FND_GPU u16 *)(cache.p + attention_scale_at(h, position, from)))[0] = fnd_f32_to_f16(most / 127.0f);
        }
    }
}

/* The values that have one place in their blocks. */
FND_INLINE void kv_shift_values(fnd_act cache, attention_head h, u32 place, u32 keep, u32 drop, u32 end) {
    for (u32 position = keep + (place + 16 - keep % 16) % 16; position < end; position += 16) {
        for (u32 d = 0; d < h.head_dim; d++) {
            if (cache.format == FND_ACT_Q8_0) {
                cache.p[attention_v_code(h, position, d)] = cache.p[attention_v_code(h, position + drop, d)];
                if (d % 32 == 0) {
                    ((FND_GPU u16 *)(cache.p + attention_scale_at(h, position, d)))[0] = ((const FND_GPU u16 *)(cache.p + attention_scale_at(h, position + drop, d)))[0];
                }
            } else {
                fnd_act_put(cache, attention_v_at(h, position, d), fnd_act_get(fnd_act_const(cache), attention_v_at(h, position + drop, d)));
            }
        }
    }
}

FND_INLINE void kv_shift(fnd_thread t, const FND_GPU f32 *inv_freq, fnd_act k_cache, fnd_act v_cache, u32 keep, u32 drop, u32 pos, u32 pairing,
                         u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    (void)blocks;
    u32 end = pos - drop, codes = k_cache.format == FND_ACT_Q8_0, keys = codes ? 16 : head_dim - pairs, units = keys + 16;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, 1.0f);
    for (u32 u = fnd_grid_index(t); u < kv_heads * units; u += fnd_grid_size(t)) {
        u32 unit = u % units;
        attention_head h = attention_head_of(u / units, kv_heads, head_dim);
        if (unit >= keys)
            kv_shift_values(v_cache, h, unit - keys, keep, drop, end);
        else if (codes)
            kv_shift_codes(k_cache, h, p, unit, keep, drop, end);
        else
            kv_shift_keys(k_cache, h, p, unit, keep, drop, end);
    }
}
#endif
