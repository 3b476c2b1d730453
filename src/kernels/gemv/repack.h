/* gemv/repack.h - where matrix kernels read rows as the file has them, repacking is a copy.
 *
 * A template: included once for every POLICY. */
#include "fnd_device.h"
#include "gemv/repack_args.h"

FND_INLINE void FND_CAT(POLICY, _repack)(fnd_thread t, FND_GPU u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    u64 count = (u64)rows * FND_CAT(POLICY, _row_bytes)(dim);
    u64 first = (u64)t.group * FND_THREADS + fnd_thread_index(t), step = (u64)t.groups * FND_THREADS;
    for (u64 i = first; i < count && i < bytes; i += step) tiles[i] = w.data[i];
}
