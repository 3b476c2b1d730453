/* sample/typical.h - locally typical sampling (Meister et al. 2022): tokens whose surprise -log p is
 * close to the expected surprise, the entropy; the closest ones that have a share of typical_p together.
 *
 * With p = exp(x - highest) / sum, surprise differs from the entropy by |x - centre|, where the centre
 * is the mean of the logits weighted by p: what is kept is a band of logits around it. Tokens that are
 * equally far from the centre are kept, or left out, together. What is left out becomes -inf.
 *
 * Comes between sample_partial and sample_pick, and cuts to the top-k first, so that the entropy is
 * that of the tokens still there. Probabilities are whole numbers, as in sample.h. */
#ifndef SAMPLE_TYPICAL_H
#define SAMPLE_TYPICAL_H
#include "sample/sample.h"

#define SAMPLE_TYPICAL_ARGS(X)                                                            \
    X(INOUT, f32, kept,      "[slices, per_slice]", "candidates, as sample_partial left them") \
    X(VAL,   u32, top_k,     "",                    "0: off")                              \
    X(VAL,   f32, typical_p, "",                    "1: off")                              \
    X(GROUP, u32, sums,      "2048",                "counts and sums of all threads")      \
    X(RULE, "slices*per_slice <= 16777216", "f32 counts candidates exactly")
FND_STAGE(sample_typical, SAMPLE_TYPICAL_ARGS, MAIN, NONE, NONE, ALL, "leave out candidates that are not typical")

/* What a cut leaves out becomes -inf. */
FND_INLINE void sample_drop(fnd_thread t, FND_GPU f32 *x, u32 count, sample_cut cut, FND_GROUP u32 *sums) {
    u32 me = fnd_thread_index(t), first = sample_first(count, me), end = sample_first(count, me + 1);
    sample_tally before = sample_before(t, sample_tally_of(x, first, end, cut.at), sums);
    u32 on = before.on;
    for (u32 i = first; i < end; i++) {
        u32 stays = x[i] > cut.at || (x[i] == cut.at && on++ < cut.equals) ? 1u : 0u;
        if (!stays) x[i] = sample_value(SAMPLE_KEY_LEAST);
    }
    fnd_group_barrier(t);
}

/* The mean of the logits, weighted by probability. */
FND_INLINE f32 sample_centre(fnd_thread t, const FND_GPU f32 *x, u32 count, f32 most, u64 total, FND_GROUP u32 *sums) {
    u64 below = 0;
    for (u32 i = fnd_thread_index(t); i < count; i += FND_THREADS) {
        u64 weight = sample_weight(x[i], most, 1.0f);
        if (weight) below += (u64)((f32)weight * (most - x[i]));
    }
    below = sample_sum(t, below, sums);
    return most - (f32)below / (f32)total;
}

/* Their weights within `reach` of the centre. */
FND_INLINE u64 sample_mass_near(fnd_thread t, const FND_GPU f32 *x, u32 count, f32 most, f32 centre, f32 reach, FND_GROUP u32 *sums) {
    u64 v = 0;
    for (u32 i = fnd_thread_index(t); i < count; i += FND_THREADS) v += fnd_fabs(x[i] - centre) <= reach ? sample_weight(x[i], most, 1.0f) : 0u;
    return sample_sum(t, v, sums);
}

FND_INLINE void sample_typical(fnd_thread t, FND_GPU f32 *kept, u32 top_k, f32 typical_p, FND_GROUP u32 *sums, u32 slices, u32 per_slice) {
    if (t.group == 0) {
        u32 count = slices * per_slice;
        if (top_k > 0 && top_k < count) sample_drop(t, kept, count, sample_cut_count(t, kept, count, top_k), sums);
        sample_list list;
        list.x = kept;
        list.id = 0;
        list.count = count;
        f32 most = sample_most(t, kept, count);
        u64 total = sample_mass(t, list, sample_value(SAMPLE_KEY_LEAST), most, sums);
        if (total > 0 && typical_p < 1.0f) {
            f32 centre = sample_centre(t, kept, count, most, total, sums);
            u64 share = (u64)(fnd_fmax(typical_p, 0.0f) * 16777216.0f) << 40, target = sample_scale(share, total) + 1;
            u32 low = 0, high = fnd_f32_bits(128.0f); /* what weighs anything is nearer than 2 * 27.8 */
            while (high - low > 0) { /* `high` reaches the target; below `low` nothing does */
                u32 middle = low + (high - low) / 2;
                if (sample_mass_near(t, kept, count, most, centre, fnd_bits_f32(middle), sums) >= target) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            f32 reach = fnd_bits_f32(high);
            for (u32 i = fnd_thread_index(t); i < count; i += FND_THREADS) {
                if (!(fnd_fabs(kept[i] - centre) <= reach)) kept[i] = sample_value(SAMPLE_KEY_LEAST);
            }
            fnd_group_barrier(t);
        }
    }
}
#endif
