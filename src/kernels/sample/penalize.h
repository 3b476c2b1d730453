/* sample/penalize.h - repetition penalty (Keskar et al. 2019): once per distinct recent token, positive
 * logits are divided by it and negative ones multiplied. */
#ifndef SAMPLE_PENALIZE_H
#define SAMPLE_PENALIZE_H
#include "elementwise/put.h"

#define SAMPLE_PENALIZE_ARGS(X)                                                            \
    X(INOUT, f32, logits,  "[1, vocab] moves recents", "changed in place")                  \
    X(IN,    u32, recent,  "[recents]",                "recent tokens, repeated ones too")  \
    X(VAL,   f32, penalty, "",                         "1: nothing happens")
FND_STAGE(sample_penalize, SAMPLE_PENALIZE_ARGS, MAIN, NONE, NONE, ALL, "make recent tokens less likely")
FND_INLINE void sample_penalize(fnd_thread t, FND_GPU f32 *logits, const FND_GPU u32 *recent, f32 penalty, u32 vocab, u32 recents) {
    for (u32 i = fnd_grid_index(t); i < recents; i += fnd_grid_size(t)) {
        u32 id = recent[i], earlier = 0;
        while (earlier < i && recent[earlier] != id) earlier++;
        if (earlier == i && id < vocab) logits[id] = logits[id] > 0.0f ? logits[id] / penalty : logits[id] * penalty;
    }
}
#endif
