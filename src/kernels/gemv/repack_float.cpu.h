/* gemv/repack_float.cpu.h - POLICY_repack for formats of floats: rows -> [col][row] tiles. */
#include "gemv/tile.cpu.h"

FND_INLINE void FND_CAT(POLICY, _repack_tiles)(u8 *tiles, const u8 *file, u32 rows, u32 cols, u32 first, u32 last) {
    u64 row_bytes = FND_CAT(POLICY, _row_bytes)(cols), tile_bytes = fnd_tile_bytes(row_bytes);
    u32 bytes = (u32)FND_CAT(POLICY, _row_bytes)(1);
    for (u32 tile = first; tile < last; tile++) {
        u8 *out = tiles + tile * tile_bytes;
        __builtin_memset(out, 0, tile_bytes);
        for (u32 lane = 0; lane < FND_VEC && tile * FND_VEC + lane < rows; lane++) {
            const u8 *row = file + (u64)(tile * FND_VEC + lane) * row_bytes;
            for (u32 k = 0; k < cols; k++) __builtin_memcpy(out + ((u64)k * FND_VEC + lane) * bytes, row + (u64)k * bytes, bytes);
        }
    }
}
