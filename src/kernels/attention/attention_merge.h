/* attention/attention_merge.h - the prologue of the kernel after attention_decode: joins the splits of
 * the keys. With one split it only divides. */
#ifndef ATTENTION_ATTENTION_MERGE_H
#define ATTENTION_ATTENTION_MERGE_H
#include "attention/args.h"

FND_INLINE void attention_merge(fnd_thread t, FND_GPU f32 *row, u32 m, const FND_GPU f32 *part,
                                u32 tokens, u32 heads, u32 splits, u32 dim) {
    (void)tokens;
    u32 head_dim = dim / heads, width = head_dim + 2;
    for (u32 i = fnd_thread_index(t) * FND_VEC; i < dim; i += FND_THREADS * FND_VEC) {
        const FND_GPU f32 *of = part + ((u64)m * heads + i / head_dim) * splits * width;
        f32 most = of[head_dim], total = 0.0f;
        vec sum = fnd_vec_splat(0.0f);
        for (u32 s = 1; s < splits; s++) most = fnd_fmax(most, of[(u64)s * width + head_dim]);
        for (u32 s = 0; s < splits; s++) {
            const FND_GPU f32 *from = of + (u64)s * width;
            if (from[head_dim + 1] > 0.0f) { /* a split without keys has no weight */
                f32 weight = fnd_exp(from[head_dim] - most);
                total += weight * from[head_dim + 1];
                sum = sum + fnd_vec_splat(weight) * fnd_vec_load(from + i % head_dim);
            }
        }
        fnd_vec_store(row + i, sum / fnd_vec_splat(total));
    }
}
#endif
