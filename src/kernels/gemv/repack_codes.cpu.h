/* gemv/repack_codes.cpu.h - POLICY_repack: rows as the file has them -> tiles (gemv/tile.cpu.h).
 *
 * A template: included once for every POLICY with codes. */
#define FND_BLOCK FND_CAT(POLICY, _repack_block)
#include "gemv/block.cpu.h"
#undef FND_BLOCK

#define P_(name) FND_CAT(POLICY, name)

/* Tiles first .. last - 1 of a matrix of `rows` rows. */
FND_INLINE void P_(_repack_tiles)(u8 *tiles, const u8 *file, u32 rows, u32 cols, u32 first, u32 last) {
    u64 row_bytes = P_(_row_bytes)(cols), tile_bytes = fnd_tile_bytes(row_bytes), block_bytes = P_(_row_bytes)(P_(_BLOCK));
    for (u32 tile = first; tile < last; tile++) {
        u8 *codes = tiles + tile * tile_bytes, *fields = codes + (u64)(cols / 32) * P_(_PLANES);
        const u8 *block = file + (u64)tile * FND_VEC * row_bytes;
        u32 lanes = fnd_min(rows - tile * FND_VEC, FND_VEC);
        __builtin_memset(codes + row_bytes * FND_VEC, 0, tile_bytes - row_bytes * FND_VEC);
        for (u32 b = 0; b < cols / P_(_BLOCK); b++, block += block_bytes) {
            P_(_repack_block)(codes, fields, block, row_bytes, lanes);
            codes += P_(_BLOCK) / 32 * P_(_PLANES);
            fields += P_(_FIELD_BYTES) * FND_VEC;
        }
    }
}
#undef P_
