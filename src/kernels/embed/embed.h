/* embed/embed.h - rows of the embedding table, decoded from the layout of the file.
 *
 * A template: included once for every POLICY of a kernel. Threads take runs of 32 values. An id that
 * is not below vocab reads the last row: ids may be on the device only, where nobody can be told. */
#include "elementwise/put.h"

#define EMBED_ARGS(X)                                                                                  \
    X(OUT,    act,    y,   "[tokens, dim]",                 "row ids[i] of the table, for every token") \
    X(IN,     u32,    ids, "[tokens]",                      "token numbers; vocab and more read the last row") \
    X(WEIGHT, policy, w,   "[vocab, dim] moves tokens*dim", "the table, rows as in the file")           \
    X(RULE, "tokens*((dim + 31)/32) <= 2147483648", "runs of 32 values are counted in 32 bits")

FND_STAGE(embed, EMBED_ARGS, MAIN, NONE, NONE, ALL, "look up a row of the embedding table for every token")
FND_INLINE void FND_CAT(POLICY, _embed)(fnd_thread t, fnd_act y, const FND_GPU u32 *ids, fnd_weight w,
                                        u32 tokens, u32 dim, u32 vocab) {
    u32 runs = (dim + 31) / 32;
    for (u32 i = fnd_grid_index(t); i < tokens * runs; i += fnd_grid_size(t)) {
        u32 token = i / runs, first = i % runs * 32, count = fnd_min(32, dim - first);
        const FND_GPU u8 *row = w.data + (u64)fnd_min(ids[token], vocab - 1) * FND_CAT(POLICY, _row_bytes)(dim);
        f32 v[32];
        u32 k = 0;
        for (; k + 16 <= count; k += 16) FND_CAT(POLICY, _decode16)(row, (first + k) / 16, v + k);
        for (; k < count; k++) v[k] = FND_CAT(POLICY, _at)(row, first + k);
        fnd_act_put_run(y, (u64)token * dim + first, v, count);
    }
}
