/* attention/kv_shift.h - drop a run of positions from the cache: what is behind it moves down, and keys
 * are turned back by as many positions. As `drop` is a multiple of 16, a position keeps its place in its
 * block, and the angle of a pair is one for all positions. The same thread moves all blocks of its part,
 * lowest first, so that nothing is overwritten before it was read. */
#ifndef ATTENTION_KV_SHIFT_H
#define ATTENTION_KV_SHIFT_H
#include "attention/args.h"
#include "elementwise/put.h"
#include "rope/angle.h"

#define KV_SHIFT_ARGS(X) \
    KV_RULES(X) \
    X(RULE, "drop % 16 == 0",       "whole blocks go, so that places in blocks stay") \
    X(RULE, "keep + drop <= pos",   "what goes is there") \
    X(RULE, "pos <= 16*blocks",     "every position has a place in the caches") \
    X(IN,    f32, inv_freq, "[pairs]",                                                             "radians per position for every pair")      \
    X(INOUT, f16, k_cache,  "[blocks, kv_heads, head_dim, 16] moves (pos-keep)*kv_heads*head_dim", "keys, by blocks of 16 positions")          \
    X(INOUT, f16, v_cache,  "[blocks, kv_heads, 16, head_dim] moves (pos-keep)*kv_heads*head_dim", "values, by blocks of 16 positions")        \
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

/* Two dimensions of the keys of one head, from k and from k2 on in block 0, turned. */
FND_INLINE void kv_shift_pair(FND_GPU f16 *k, FND_GPU f16 *k2, u64 stride, u32 keep, u32 drop, u32 end, rope_turn turn) {
    for (u32 block = keep / 16; block * 16 < end; block++) {
        kv_places p = kv_places_of(block, keep, end);
        u64 to = block * stride, from = to + drop / 16 * stride;
        for (u32 i = p.first; i < p.end; i++) {
            f32 a = fnd_f16_to_f32(k[from + i].bits), b = fnd_f16_to_f32(k2[from + i].bits);
            k[to + i].bits = fnd_f32_to_f16(a * turn.cos - b * turn.sin);
            k2[to + i].bits = fnd_f32_to_f16(a * turn.sin + b * turn.cos);
        }
    }
}

FND_INLINE void kv_shift(fnd_thread t, const FND_GPU f32 *inv_freq, FND_GPU f16 *k_cache, FND_GPU f16 *v_cache, u32 keep, u32 drop, u32 pos, u32 pairing,
                         u32 pairs, u32 blocks, u32 kv_heads, u32 head_dim) {
    (void)blocks;
    u32 end = pos - drop, rest = head_dim - 2 * pairs, units = pairs + rest + 16;
    rope_params p = rope_params_of(inv_freq, pairs, pairing, 1.0f);
    for (u32 u = fnd_grid_index(t); u < kv_heads * units; u += fnd_grid_size(t)) {
        u32 unit = u % units;
        attention_head h = attention_head_of(u / units, kv_heads, head_dim);
        if (unit < pairs) {
            rope_turn turn = rope_turn_of(p, -(i32)drop, unit);
            kv_shift_pair(k_cache + attention_k_at(h, 0, rope_first(p, unit)), k_cache + attention_k_at(h, 0, rope_second(p, unit)), h.stride, keep, drop, end, turn);
        } else if (unit < pairs + rest) { /* dimensions that are not rotated */
            u64 at = attention_k_at(h, 0, pairs + unit);
            for (u32 position = keep; position < end; position++) {
                u64 to = at + position / 16 * h.stride + position % 16;
                k_cache[to] = k_cache[to + drop / 16 * h.stride];
            }
        } else { /* the rows of values that have this place in their blocks */
            u32 place = unit - pairs - rest;
            for (u32 position = keep + (place + 16 - keep % 16) % 16; position < end; position += 16) {
                u64 to = attention_v_at(h, position, 0), from = attention_v_at(h, position + drop, 0);
                for (u32 d = 0; d < head_dim; d++) v_cache[to + d] = v_cache[from + d];
            }
        }
    }
}
#endif
