/* elementwise/each.h - the driver of elementwise kernels: one place of [tokens, rows] per thread. */
#ifndef ELEMENTWISE_EACH_H
#define ELEMENTWISE_EACH_H
#include "val.h"

FND_INLINE fnd_at fnd_element(u32 index, u32 rows) {
    fnd_at at;
    at.row = index % rows;
    at.count = 1;
    at.token = index / rows;
    at.writes = 1;
    return at;
}
#define FND_EACH_ELEMENT(at, t, tokens, rows)                                                                   \
    for (u32 at##_i = (t).group * FND_THREADS + fnd_thread_index(t); at##_i < (tokens) * (rows); at##_i += (t).groups * FND_THREADS) \
        for (fnd_at at = fnd_element(at##_i, rows); at.count; at.count = 0)
#endif
