/* elementwise/each.cpu.h - the driver of elementwise kernels on a CPU: FND_VEC places at a time. */
#ifndef ELEMENTWISE_EACH_H
#define ELEMENTWISE_EACH_H
#include "val.cpu.h"

FND_INLINE fnd_at fnd_element(u32 tile, u32 rows) {
    u32 tiles = (rows + FND_VEC - 1) / FND_VEC;
    fnd_at at;
    at.row = tile % tiles * FND_VEC;
    at.count = fnd_min(FND_VEC, rows - at.row);
    at.token = tile / tiles;
    at.writes = 1;
    return at;
}
#define FND_EACH_ELEMENT(at, t, tokens, rows)                                                                    \
    for (u32 at##_i = (t).group; at##_i < (tokens) * (((rows) + FND_VEC - 1) / FND_VEC); at##_i += (t).groups)   \
        for (fnd_at at = fnd_element(at##_i, rows); at.count; at.count = 0)
#endif
