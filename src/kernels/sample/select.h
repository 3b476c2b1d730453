/* sample/select.h - the highest values of a list, without sorting it: by bisection over the ordered
 * bits of floats, counting. By one group; everything that is added up is a whole number, so results
 * do not depend on how many threads there are. NaN is less than everything. */
#ifndef SAMPLE_SELECT_H
#define SAMPLE_SELECT_H
#include "fnd_device.h"

#define SAMPLE_ALL 0xffffffffu
#define SAMPLE_THREADS 1024u /* of a group, at most */

/* Floats by order: a < b exactly if sample_key(a) < sample_key(b), but for -0 and NaN. */
#define SAMPLE_KEY_LEAST 0x007fffffu /* of -inf */
FND_INLINE u32 sample_key(f32 v) {
    u32 bits = fnd_f32_bits(v);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}
FND_INLINE f32 sample_value(u32 key) { return fnd_bits_f32(key >> 31 ? key & 0x7fffffffu : ~key); }

/* In id order. */
typedef struct sample_list {
    const FND_GPU f32 *x;
    const FND_GPU u32 *id;
    u32 count; /* below 2^24 */
} sample_list;

/* What is kept: x > at, and the first `equals` of those with x == at. */
typedef struct sample_cut {
    f32 at;
    u32 equals;
} sample_cut;

/* A thread's run of neighbouring entries. */
FND_INLINE u32 sample_first(u32 count, u32 index) { return (u32)((u64)count * index / FND_THREADS); }

/* The highest value; -inf where there is none. */
FND_INLINE f32 sample_most(fnd_thread t, const FND_GPU f32 *x, u32 count) {
    f32 most = sample_value(SAMPLE_KEY_LEAST);
    vec mosts = fnd_vec_splat(most);
    u32 i;
    for (i = fnd_thread_index(t) * FND_VEC; i + FND_VEC <= count; i += FND_THREADS * FND_VEC) {
        mosts = fnd_vec_max(fnd_vec_load(x + i), mosts); /* in this order a NaN gives `mosts` */
    }
    for (u32 k = i; k < count && k < i + FND_VEC; k++) most = fnd_fmax(x[k], most);
    return fnd_group_max(t, fnd_fmax(most, fnd_vec_max_lane(mosts)));
}
FND_INLINE u32 sample_count(fnd_thread t, const FND_GPU f32 *x, u32 count, f32 at) {
    u32 n = 0;
    for (u32 i = fnd_thread_index(t); i < count; i += FND_THREADS) n += x[i] >= at ? 1u : 0u;
    return (u32)fnd_group_sum(t, (f32)n); /* exact: below 2^24 */
}

/* The cut that keeps the k highest, of equals the first. */
FND_INLINE sample_cut sample_cut_count(fnd_thread t, const FND_GPU f32 *x, u32 count, u32 k) {
    u32 low = SAMPLE_KEY_LEAST, high = sample_key(sample_most(t, x, count)) + 1, above = 0;
    u32 kept = sample_count(t, x, count, sample_value(low));
    while (kept > k && high - low > 1) { /* value(low) keeps at least k, value(high) fewer */
        u32 middle = low + (high - low) / 2, n = sample_count(t, x, count, sample_value(middle));
        if (n >= k) {
            low = middle;
            kept = n;
        } else {
            high = middle;
            above = n;
        }
    }
    sample_cut cut;
    cut.at = sample_value(low);
    cut.equals = kept > k ? k - above : SAMPLE_ALL;
    return cut;
}

/* How many of `count` neighbouring values are above a cut, and on it. */
typedef struct sample_tally { u32 above, on; } sample_tally;
FND_INLINE sample_tally sample_tally_of(const FND_GPU f32 *x, u32 first, u32 end, f32 at) {
    sample_tally n;
    n.above = 0;
    n.on = 0;
    for (u32 i = first; i < end; i++) {
        n.above += x[i] > at ? 1u : 0u;
        n.on += x[i] == at ? 1u : 0u;
    }
    return n;
}
/* The tally of all threads before this one. sums: 2 x SAMPLE_THREADS words of the group. */
FND_INLINE sample_tally sample_before(fnd_thread t, sample_tally mine, FND_GROUP u32 *sums) {
    sample_tally n;
    n.above = 0;
    n.on = 0;
    sums[fnd_thread_index(t)] = mine.above;
    sums[SAMPLE_THREADS + fnd_thread_index(t)] = mine.on;
    fnd_group_barrier(t);
    for (u32 i = 0; i < fnd_thread_index(t); i++) {
        n.above += sums[i];
        n.on += sums[SAMPLE_THREADS + i];
    }
    fnd_group_barrier(t);
    return n;
}

/* Copy what a cut keeps, in order, to x and id with room for `room` values; the rest of the room gets
 * -inf. id of entry i: from the list, or first_id + i. */
FND_INLINE void sample_keep(fnd_thread t, sample_list list, u32 first_id, sample_cut cut, FND_GPU f32 *x, FND_GPU u32 *id, u32 room,
                            FND_GROUP u32 *sums) {
    u32 me = fnd_thread_index(t), first = sample_first(list.count, me), end = sample_first(list.count, me + 1);
    sample_tally mine = sample_tally_of(list.x, first, end, cut.at), n = sample_before(t, mine, sums);
    for (u32 i = first; i < end; i++) {
        u32 on = list.x[i] == cut.at ? 1u : 0u, above = list.x[i] > cut.at ? 1u : 0u;
        if (above || (on && n.on < cut.equals)) {
            u32 at = n.above + fnd_min(n.on, cut.equals);
            x[at] = list.x[i];
            id[at] = list.id ? list.id[i] : first_id + i;
        }
        n.above += above;
        n.on += on;
    }
    if (me == FND_THREADS - 1) sums[0] = n.above + fnd_min(n.on, cut.equals); /* how many there are */
    fnd_group_barrier(t);
    for (u32 i = sums[0] + me; i < room; i += FND_THREADS) {
        x[i] = sample_value(SAMPLE_KEY_LEAST);
        id[i] = 0;
    }
    fnd_group_barrier(t);
}
#endif
