/* gemv/repack.cpu.h - POLICY_repack on a CPU: tiles of planes of codes, or of floats; every worker
 * has a run of tiles. */
#include "gemv/repack_args.h"
#if FND_CAT(POLICY, _FLOATS)
#include "gemv/repack_float.cpu.h"
#else
#include "gemv/repack_codes.cpu.h"
#endif

FND_INLINE void FND_CAT(POLICY, _repack)(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    u32 count = (rows + FND_VEC - 1) / FND_VEC;
    (void)bytes;
    FND_CAT(POLICY, _repack_tiles)(tiles, w.data, rows, dim, (u32)((u64)count * t.group / t.groups), (u32)((u64)count * (t.group + 1) / t.groups));
}
