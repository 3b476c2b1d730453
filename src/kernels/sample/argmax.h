/* sample/argmax.h - the greedy choice: the highest logit, of equals the lowest id. Every slice of the
 * vocabulary has its own best; then one group picks among them. How many slices there are is the
 * caller's choice (as many as there are groups or a few more); the result does not depend on it. */
#ifndef SAMPLE_ARGMAX_H
#define SAMPLE_ARGMAX_H
#include "sample/select.h"

#define ARGMAX_PARTIAL_ARGS(X)                                                          \
    X(IN,  f32, logits,  "[tokens, vocab]",  "a logit per token number")                \
    X(OUT, f32, best,    "[tokens, slices]", "highest logit of each slice")             \
    X(OUT, u32, best_id, "[tokens, slices]", "lowest id that has it")                   \
    X(RULE, "vocab <= 16777216", "f32 counts ids exactly")                              \
    X(RULE, "tokens*slices <= 2147483648", "slices are counted in 32 bits")

/* The lowest index of the highest value, in every thread of the group; NaN is never the highest. */
typedef struct sample_best { f32 value; u32 index; } sample_best;
FND_INLINE sample_best sample_best_of(fnd_thread t, const FND_GPU f32 *x, u32 count) {
    f32 most = sample_most(t, x, count), found = 16777216.0f;
    for (u32 k = fnd_thread_index(t); k < count; k += FND_THREADS) {
        if (x[k] == most) {
            found = (f32)k;
            break;
        }
    }
    found = -fnd_group_max(t, -found); /* exact: indices are below 2^24 */
    sample_best best;
    best.value = most;
    best.index = found < 16777216.0f ? (u32)found : 0;
    return best;
}

FND_STAGE(argmax_partial, ARGMAX_PARTIAL_ARGS, MAIN, NONE, NONE, ALL, "the highest logit of each slice of the vocabulary")
FND_INLINE void argmax_partial(fnd_thread t, const FND_GPU f32 *logits, FND_GPU f32 *best, FND_GPU u32 *best_id,
                               u32 tokens, u32 vocab, u32 slices) {
    for (u32 item = t.group; item < tokens * slices; item += t.groups) {
        u32 slice = item % slices;
        u32 first = (u32)((u64)vocab * slice / slices), end = (u32)((u64)vocab * (slice + 1) / slices);
        sample_best b = sample_best_of(t, logits + (u64)(item / slices) * vocab + first, end - first);
        if (fnd_thread_index(t) == 0) {
            best[item] = b.value;
            best_id[item] = first + b.index;
        }
    }
}

#define ARGMAX_PICK_ARGS(X)                                                 \
    X(IN,  f32, best,    "[tokens, slices]", "highest logit of each slice") \
    X(IN,  u32, best_id, "[tokens, slices]", "its id")                      \
    X(OUT, u32, id,      "[tokens]",         "the token chosen")            \
    X(RULE, "slices <= 16777216", "f32 counts them exactly")
FND_STAGE(argmax_pick, ARGMAX_PICK_ARGS, MAIN, NONE, NONE, ALL, "the highest of the slices")
FND_INLINE void argmax_pick(fnd_thread t, const FND_GPU f32 *best, const FND_GPU u32 *best_id, FND_GPU u32 *id,
                            u32 tokens, u32 slices) {
    for (u32 m = t.group; m < tokens; m += t.groups) {
        sample_best b = sample_best_of(t, best + (u64)m * slices, slices);
        if (fnd_thread_index(t) == 0) id[m] = best_id[(u64)m * slices + b.index];
    }
}
#endif
