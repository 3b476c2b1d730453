/* attention/spread.h - 32 dimensions of a head turned into sums and differences of all of them, by the
 * Walsh-Hadamard matrix of order 32 over sqrt(32), which is its own inverse.
 *
 * Keys have a few dimensions much larger than the rest, and under one scale those would leave the others
 * hardly a code. Keys of codes are kept turned, so that what is large is shared out; queries are turned
 * likewise, and scores stay what they were, as the matrix is orthogonal (Ashkboos et al. 2024, QuaRot). */
#ifndef ATTENTION_SPREAD_H
#define ATTENTION_SPREAD_H
#include "fnd_device.h"

#define ATTENTION_SPREAD_UNIT 0.17677669529663687f /* 1 / sqrt(32) */

/* 32 values of one thread. */
FND_INLINE void attention_spread(FND_OWN f32 *v) {
    for (u32 step = 1; step < 32; step *= 2) {
        for (u32 i = 0; i < 32; i++) {
            if (i & step) continue;
            f32 a = v[i], b = v[i + step];
            v[i] = a + b;
            v[i + step] = a - b;
        }
    }
    for (u32 i = 0; i < 32; i++) v[i] *= ATTENTION_SPREAD_UNIT;
}

/* 32 values of a warp, value i * FND_LANES + lane in v[i]. */
FND_INLINE void attention_spread_lanes(fnd_thread t, FND_OWN f32 *v) {
#if FND_LANES > 1
    FND_CHECK(FND_LANES == 32, "a lane has one value");
    for (u32 step = 1; step < 32; step *= 2) {
        f32 other = fnd_lane_get(v[0], t.lane ^ step);
        v[0] = t.lane & step ? other - v[0] : v[0] + other;
    }
    v[0] *= ATTENTION_SPREAD_UNIT;
#else
    (void)t;
    attention_spread(v);
#endif
}
#endif
