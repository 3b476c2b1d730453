/* sample/sample.h - a token drawn from logits, as the chain top-k, top-p, min-p, temperature, draw
 * does it (the order of llama.cpp).
 *
 *   sample_partial   every slice of the vocabulary keeps its `per_slice` highest logits, in id order:
 *                    top_k of them, or, without top-k, the whole slice (vocab / slices, rounded up)
 *   sample_pick      one group: top-k among all slices; top-p: the fewest tokens, likeliest first, whose
 *                    share reaches top_p; min-p: those with at least min_p of the likeliest one's
 *                    probability; temperature; draw. Of equal logits the lower id comes first.
 *
 * Probabilities are whole numbers, exp(logit - highest) * 2^40, so that sums are exact and neither the
 * geometry nor the number of slices changes the choice; a token below 2^-40 of the likeliest is never
 * drawn. The random number is Philox's for the counter (0, 0, position, 1) and the seed.
 *
 * `near` holds the top-k, or, without top-k, the candidates that top-p is first looked for among; where
 * they do not suffice, all are searched: slower, and the same result; 2048 is good.
 * temperature <= 0: the highest logit. */
#ifndef SAMPLE_SAMPLE_H
#define SAMPLE_SAMPLE_H
#include "elementwise/philox.h"
#include "sample/select.h"

#define SAMPLE_PARTIAL_ARGS(X)                                                     \
    X(IN,    f32, logits,    "[1, vocab]",          "a logit per token number")     \
    X(OUT,   f32, kept,      "[slices, per_slice]", "highest logits, in id order")  \
    X(OUT,   u32, kept_ids,  "[slices, per_slice]", "their ids")                    \
    X(GROUP, u32, sums,      "2048",                "counts of all threads")        \
    X(RULE, "vocab <= 16777216", "f32 counts ids exactly")
FND_STAGE(sample_partial, SAMPLE_PARTIAL_ARGS, MAIN, NONE, NONE, ALL, "the highest logits of each slice of the vocabulary")
FND_INLINE void sample_partial(fnd_thread t, const FND_GPU f32 *logits, FND_GPU f32 *kept, FND_GPU u32 *kept_ids, FND_GROUP u32 *sums,
                               u32 vocab, u32 slices, u32 per_slice) {
    for (u32 slice = t.group; slice < slices; slice += t.groups) {
        u32 first = (u32)((u64)vocab * slice / slices);
        sample_list list;
        list.x = logits + first;
        list.id = 0;
        list.count = (u32)((u64)vocab * (slice + 1) / slices) - first;
        sample_cut cut = sample_cut_count(t, list.x, list.count, per_slice);
        sample_keep(t, list, first, cut, kept + (u64)slice * per_slice, kept_ids + (u64)slice * per_slice, per_slice, sums);
    }
}

#define SAMPLE_PICK_ARGS(X)                                                                    \
    X(IN,    f32, kept,        "[slices, per_slice]", "candidates")                             \
    X(IN,    u32, kept_ids,    "[slices, per_slice]", "their ids")                              \
    X(OUT,   f32, near_logits, "[near]",              "work space")                             \
    X(OUT,   u32, near_ids,    "[near]",              "work space")                             \
    X(OUT,   u32, id,          "[1]",                 "the token drawn")                        \
    X(VAL,   u32, top_k,       "",                    "0: off")                                 \
    X(VAL,   f32, top_p,       "",                    "1: off")                                 \
    X(VAL,   f32, min_p,       "",                    "0: off")                                 \
    X(VAL,   f32, temperature, "",                    "0: the highest logit")                   \
    X(VAL,   u32, seed,        "",                    "low word")                               \
    X(VAL,   u32, seed_high,   "",                    "high word")                              \
    X(VAL,   u32, position,    "",                    "of the token drawn: another, another number") \
    X(GROUP, u32, sums,        "2048",                "counts and sums of all threads")         \
    X(RULE, "top_k <= near", "the work space holds the top-k")                                  \
    X(RULE, "slices*per_slice <= 16777216", "f32 counts candidates exactly")
FND_STAGE(sample_pick, SAMPLE_PICK_ARGS, MAIN, NONE, NONE, ALL, "top-k, top-p, min-p, temperature, draw")

/* What the weights of a list are relative to. */
typedef struct sample_weigher {
    f32 most, inverse; /* highest logit, 1 / temperature */
    f32 least;         /* weight at temperature 1 below which nothing counts (min-p) */
} sample_weigher;

FND_INLINE u64 sample_weight(f32 x, f32 most, f32 inverse) { return (u64)(fnd_exp((x - most) * inverse) * 1099511627776.0f); }

FND_INLINE u64 sample_sum(fnd_thread t, u64 v, FND_GROUP u32 *sums) {
    sums[fnd_thread_index(t)] = (u32)v;
    sums[SAMPLE_THREADS + fnd_thread_index(t)] = (u32)(v >> 32);
    fnd_group_barrier(t);
    v = 0;
    for (u32 i = 0; i < FND_THREADS; i++) v += sums[i] + ((u64)sums[SAMPLE_THREADS + i] << 32);
    fnd_group_barrier(t);
    return v;
}
FND_INLINE u64 sample_mass(fnd_thread t, sample_list list, f32 at, f32 most, FND_GROUP u32 *sums) {
    u64 v = 0;
    for (u32 i = fnd_thread_index(t); i < list.count; i += FND_THREADS) v += list.x[i] >= at ? sample_weight(list.x[i], most, 1.0f) : 0u;
    return sample_sum(t, v, sums);
}
/* a * b / 2^64 */
FND_INLINE u64 sample_scale(u64 a, u64 b) {
    u64 a0 = (u32)a, a1 = a >> 32, b0 = (u32)b, b1 = b >> 32;
    u64 middle = a1 * b0 + (a0 * b0 >> 32), more = a0 * b1 + (u32)middle;
    return a1 * b1 + (middle >> 32) + (more >> 32);
}

/* The cut that keeps the fewest, highest first, whose weights reach `target`. */
FND_INLINE sample_cut sample_cut_mass(fnd_thread t, sample_list list, f32 most, u64 target, FND_GROUP u32 *sums) {
    u32 low = SAMPLE_KEY_LEAST, high = sample_key(most) + 1;
    u64 above = 0;
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;
        u64 mass = sample_mass(t, list, sample_value(middle), most, sums);
        if (mass >= target) {
            low = middle;
        } else {
            high = middle;
            above = mass;
        }
    }
    sample_cut cut;
    u64 weight = sample_weight(sample_value(low), most, 1.0f);
    u64 equals = weight && target > above ? (target - above + weight - 1) / weight : 1u;
    cut.at = sample_value(low);
    cut.equals = equals < SAMPLE_ALL ? (u32)equals : SAMPLE_ALL;
    return cut;
}

FND_INLINE void sample_draw(fnd_thread t, sample_list list, sample_cut cut, sample_weigher w, u64 random, FND_GPU u32 *id, FND_GROUP u32 *sums) {
    u32 me = fnd_thread_index(t), first = sample_first(list.count, me), end = sample_first(list.count, me + 1);
    sample_tally before = sample_before(t, sample_tally_of(list.x, first, end, cut.at), sums);
    u64 mine = 0, start = 0;
    for (u32 pass = 0; pass < 2; pass++) {
        u32 on = before.on;
        u64 at = start;
        for (u32 i = first; i < end; i++) {
            f32 x = list.x[i];
            u32 takes = x > cut.at || (x == cut.at && on++ < cut.equals) ? 1u : 0u;
            u64 weight = takes && fnd_exp(x - w.most) >= w.least ? sample_weight(x, w.most, w.inverse) : 0u;
            if (pass && random >= at && random < at + weight) id[0] = list.id[i];
            at += weight;
        }
        if (pass) break;
        mine = at;
        u64 total = sample_sum(t, mine, sums);
        random = sample_scale(random, total);
        if (me == 0 && total == 0) id[0] = list.id[0]; /* only NaN and -inf: there is nothing to draw */
        sums[me] = (u32)mine;
        sums[SAMPLE_THREADS + me] = (u32)(mine >> 32);
        fnd_group_barrier(t);
        for (u32 i = 0; i < me; i++) start += sums[i] + ((u64)sums[SAMPLE_THREADS + i] << 32);
    }
    fnd_group_barrier(t);
}

FND_INLINE void sample_pick(fnd_thread t, const FND_GPU f32 *kept, const FND_GPU u32 *kept_ids, FND_GPU f32 *near_logits, FND_GPU u32 *near_ids,
                            FND_GPU u32 *id, u32 top_k, f32 top_p, f32 min_p, f32 temperature, u32 seed, u32 seed_high, u32 position,
                            FND_GROUP u32 *sums, u32 slices, u32 per_slice, u32 near) {
    if (t.group == 0) {
        sample_list list, few;
        sample_cut cut;
        sample_weigher w;
        list.x = kept;
        list.id = kept_ids;
        list.count = slices * per_slice;
        few.x = near_logits;
        few.id = near_ids;
        few.count = near;
        cut.at = sample_value(SAMPLE_KEY_LEAST);
        cut.equals = SAMPLE_ALL;
        w.most = sample_most(t, list.x, list.count);
        w.inverse = temperature > 0.0f ? 1.0f / temperature : 1.0f;
        w.least = fnd_fmin(min_p, 1.0f);
        u32 has_k = top_k > 0 && top_k <= near ? 1u : 0u;
        sample_keep(t, list, 0, sample_cut_count(t, list.x, list.count, has_k ? top_k : near), near_logits, near_ids, near, sums);
        if (has_k) list = few;
        if (temperature <= 0.0f) {
            cut.at = w.most;
            cut.equals = 1;
        } else if (top_p < 1.0f) {
            u64 total = sample_mass(t, list, cut.at, w.most, sums);
            u64 share = (u64)(fnd_fmax(top_p, 0.0f) * 16777216.0f) << 40, target = sample_scale(share, total) + 1;
            if (sample_mass(t, few, cut.at, w.most, sums) >= target) list = few;
            cut = sample_cut_mass(t, list, w.most, target, sums);
        }
        philox_words words = philox(philox_counter(0, position, 1), seed, seed_high);
        sample_draw(t, list, cut, w, ((u64)words.of[1] << 32) | words.of[0], id, sums);
    }
}
#endif
