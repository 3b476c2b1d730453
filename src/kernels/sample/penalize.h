/* sample/penalize.h - logits with biases and penalties, for sampling; the model's own stay as they are.
 *
 *   bias        added to the logit; -inf: the token is never chosen
 *   repeat      for each distinct recent token (Keskar et al. 2019): positive logits are divided by it,
 *               negative ones multiplied
 *   presence    subtracted from each distinct recent token's logit
 *   frequency   subtracted once for every time that a token is among the recent ones
 *
 * in this order. Places beyond the vocabulary change nothing, so that a list may be padded. */
#ifndef SAMPLE_PENALIZE_H
#define SAMPLE_PENALIZE_H
#include "fnd_device.h"

#define SAMPLE_PENALIZE_ARGS(X)                                                            \
    X(IN,  f32, logits,    "[1, vocab]", "a logit per token number")                        \
    X(IN,  u32, ids,       "[places]",   "tokens to change, none twice")                    \
    X(IN,  u32, counts,    "[places]",   "how often each is among the recent tokens")       \
    X(IN,  f32, bias,      "[places]",   "what is added to each")                           \
    X(OUT, f32, adjusted,  "[1, vocab]", "the changed logits")                              \
    X(VAL, f32, repeat,    "",           "of recent tokens; 1: off")                        \
    X(VAL, f32, presence,  "",           "of recent tokens; 0: off")                        \
    X(VAL, f32, frequency, "",           "of recent tokens, each time; 0: off")
FND_STAGE(sample_penalize, SAMPLE_PENALIZE_ARGS, MAIN, NONE, NONE, ALL, "bias, and make recent tokens less likely")
FND_INLINE void sample_penalize(fnd_thread t, const FND_GPU f32 *logits, const FND_GPU u32 *ids, const FND_GPU u32 *counts, const FND_GPU f32 *bias,
                                FND_GPU f32 *adjusted, f32 repeat, f32 presence, f32 frequency, u32 vocab, u32 places) {
    u32 first = (u32)((u64)vocab * t.group / t.groups), end = (u32)((u64)vocab * (t.group + 1) / t.groups);
    for (u32 i = first + fnd_thread_index(t); i < end; i += FND_THREADS) adjusted[i] = logits[i];
    fnd_group_barrier(t);
    for (u32 i = fnd_thread_index(t); i < places; i += FND_THREADS) {
        u32 id = ids[i], count = counts[i];
        if (id < first || id >= end) continue;
        f32 x = logits[id] + bias[i];
        if (count) x = (x > 0.0f ? x / repeat : x * repeat) - presence - frequency * (f32)count;
        adjusted[id] = x;
    }
}
#endif
