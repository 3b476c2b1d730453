/* rope/rope.h - rotary position embedding (Su et al. 2021): pair i of a head, as a point of the plane,
 * is turned by position * inv_freq[i] and scaled by mscale.
 *
 * All scalings of long contexts (linear, NTK, YaRN, llama3) are other frequencies and another mscale:
 * data that the host computes. Values from 2 * pairs on stay as they are (partial rotation). */
#ifndef ROPE_ROPE_H
#define ROPE_ROPE_H
#include "act.h"
#include "elementwise/put.h"
#include "rope/angle.h"

#define ROPE_ARGS(X)                                                                                    \
    X(INOUT, act, x,         "[tokens, heads, head_dim]", "heads to rotate; not Q8_0")                  \
    X(IN,    i32, positions, "[tokens]",                  "position of every token")                    \
    X(IN,    f32, inv_freq,  "[pairs]",                   "radians per position for every pair")        \
    X(VAL,   u32, pairing,   "",                          "0: pairs (2i, 2i+1); 1: pairs (i, i+pairs)") \
    X(VAL,   f32, mscale,    "",                          "multiplies sine and cosine; mostly 1")       \
    X(RULE, "2*pairs <= head_dim",          "pairs lie within a head")                                  \
    X(RULE, "pairing <= 1",                 "there are two pairings")                                   \
    X(RULE, "tokens*pairs <= 2147483648",   "they are counted in 32 bits")

FND_STAGE(rope, ROPE_ARGS, MAIN, NONE, NONE, ALL, "rotate every head by the position of its token")
FND_INLINE void rope(fnd_thread t, fnd_act x, const FND_GPU i32 *positions, const FND_GPU f32 *inv_freq,
                     u32 pairing, f32 mscale, u32 tokens, u32 heads, u32 head_dim, u32 pairs) {
    rope_params p = rope_params_of(inv_freq, pairs, pairing, mscale);
    for (u32 u = fnd_grid_index(t); u < tokens * pairs; u += fnd_grid_size(t)) {
        u32 token = u / pairs, i = u % pairs;
        rope_turn turn = rope_turn_of(p, positions[token], i);
        for (u32 h = 0; h < heads; h++) {
            u64 head = ((u64)token * heads + h) * head_dim;
            f32 a = fnd_act_get(fnd_act_const(x), head + rope_first(p, i));
            f32 b = fnd_act_get(fnd_act_const(x), head + rope_second(p, i));
            fnd_act_put(x, head + rope_first(p, i), a * turn.cos - b * turn.sin);
            fnd_act_put(x, head + rope_second(p, i), a * turn.sin + b * turn.cos);
        }
    }
}
#endif
