/* elementwise/put.h - how the kernels that write whole tensors do it: in runs of 32 values, which is
 * one block of a Q8_0 tensor. */
#ifndef ELEMENTWISE_PUT_H
#define ELEMENTWISE_PUT_H
#include "act.h"

/* Store values first .. first + count - 1 (count <= 32). A Q8_0 tensor is stored by whole blocks:
 * there first and count are multiples of 32. */
FND_INLINE void fnd_act_put_run(fnd_act y, u64 first, const FND_OWN f32 *v, u32 count) {
    if (y.format == FND_ACT_Q8_0) {
        fnd_act_put_block(y, first / 32, v);
        return;
    }
    for (u32 i = 0; i < count; i++) fnd_act_put(y, first + i, v[i]);
}
/* This thread among all threads of all resident groups, and how many they are. */
#define fnd_grid_index(t) ((t).group * FND_THREADS + fnd_thread_index(t))
#define fnd_grid_size(t)  ((t).groups * FND_THREADS)
#endif
