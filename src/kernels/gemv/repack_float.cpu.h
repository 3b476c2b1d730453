/* gemv/repack_float.cpu.h - POLICY_repack for formats of floats: rows -> [col][row] tiles. */
#define FND_BLOCK FND_CAT(POLICY, _repack_columns)
#include "gemv/columns.cpu.h"
#undef FND_BLOCK

FND_INLINE void FND_CAT(POLICY, _repack_tiles)(u8 *tiles, const u8 *file, u32 rows, u32 cols, u32 first, u32 last) {
    u64 row_bytes = FND_CAT(POLICY, _row_bytes)(cols), tile_bytes = fnd_tile_bytes(row_bytes);
    for (u32 tile = first; tile < last; tile++) {
        u8 *out = tiles + tile * tile_bytes;
        FND_CAT(POLICY, _repack_columns)(out, file + (u64)tile * FND_VEC * row_bytes, row_bytes, fnd_min(rows - tile * FND_VEC, FND_VEC), cols);
        __builtin_memset(out + row_bytes * FND_VEC, 0, tile_bytes - row_bytes * FND_VEC);
    }
}
