/* attention/attention_merge.cuda.h - joins the splits of the keys, on an NVIDIA GPU: every group does it for itself,
 * so it reads no more splits than have keys. What weighs eight of them is on its way together with the values of the
 * first four. See attention/attention_merge.h. */
#ifndef ATTENTION_ATTENTION_MERGE_H
#define ATTENTION_ATTENTION_MERGE_H
#include "attention/args.h"

typedef struct FND_ALIGNED(8) attention_two { f32 of[2]; } attention_two;

FND_INLINE void attention_merge(fnd_thread t, FND_GPU f32 *row, u32 m, const FND_GPU f32 *part, u32 tokens, u32 heads, u32 splits, u32 dim) {
    (void)tokens;
    const u32 head_dim = dim / heads, width = head_dim + 2, pairs = width / 2;
    FND_ROLLED for (u32 i = fnd_thread_index(t) * 4; i < dim; i += FND_THREADS * 4) {
        const FND_GPU attention_two *of = (const FND_GPU attention_two *)part + ((u64)m * heads + i / head_dim) * splits * pairs, *values = of + i % head_dim / 2;
        f32 sum[4], most = ATTENTION_NONE, total = 0.0f;
        u32 end = splits;
        FND_UNROLL for (u32 k = 0; k < 4; k++) sum[k] = 0.0f;
        FND_ROLLED for (u32 first = 0; first < end; first += 8) {
            attention_two stats[8], four[8]; /* values of four splits */
            FND_UNROLL for (u32 k = 0; k < 8; k++) stats[k] = of[(u64)fnd_min(first + k, splits - 1) * pairs + head_dim / 2];
            FND_UNROLL for (u32 k = 0; k < 8; k++) four[k] = values[(u64)fnd_min(first + k / 2, splits - 1) * pairs + k % 2];
            f32 now = most;
            FND_UNROLL for (u32 k = 0; k < 8; k++) {
                if (stats[k].of[0] == ATTENTION_REST) end = fnd_min(end, first + k);
                if (first + k >= splits) stats[k].of[1] = 0.0f;
                if (stats[k].of[1] > 0.0f) now = fnd_fmax(now, stats[k].of[0]); /* a split without keys has no weight */
            }
            f32 shrink = fnd_exp(most - now);
            most = now;
            total *= shrink;
            FND_UNROLL for (u32 k = 0; k < 4; k++) sum[k] *= shrink;
            FND_UNROLL for (u32 half = 0; half < 2; half++) {
                if (first + 4 * half >= end) continue;
                if (half) { /* of the other four */
                    FND_UNROLL for (u32 k = 0; k < 8; k++) four[k] = values[(u64)fnd_min(first + 4 + k / 2, splits - 1) * pairs + k % 2];
                }
                FND_UNROLL for (u32 k = 0; k < 4; k++) {
                    attention_two of_split = stats[4 * half + k];
                    if (first + 4 * half + k >= end || !(of_split.of[1] > 0.0f)) continue;
                    f32 weight = fnd_exp(of_split.of[0] - most);
                    total += weight * of_split.of[1];
                    FND_UNROLL for (u32 j = 0; j < 4; j++) sum[j] += weight * four[2 * k + j / 2].of[j % 2];
                }
            }
        }
        FND_UNROLL for (u32 k = 0; k < 4; k++) row[i + k] = sum[k] / total;
    }
}
#endif
