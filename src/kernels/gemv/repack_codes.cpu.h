/* gemv/repack_codes.cpu.h - POLICY_repack: rows as the file has them -> tiles (gemv/tile.cpu.h).
 *
 * A template: included once for every POLICY with codes. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)

/* Add the code u of (lane, column k of 32) to the planes of these 32 columns. */
FND_INLINE void P_(_put_code)(u8 *planes, u32 lane, u32 k, u32 u) {
    u32 quad = k / 4, at = 4 * lane + k % 4, stride = 4 * FND_VEC;
    if (P_(_BITS) == 8) {
        planes[quad * stride + at] = (u8)u;
        return;
    }
    planes[(quad & 3) * stride + at] |= (u8)((u & 15u) << (quad < 4 ? 0 : 4));
    if (P_(_BITS) == 5) planes[4 * stride + at] |= (u8)((u >> 4) << quad);
    if (P_(_BITS) == 6) planes[(4 + quad / 4) * stride + at] |= (u8)((u >> 4) << (2 * (quad & 3)));
}

/* Tiles first .. last - 1 of a matrix of `rows` rows. */
FND_INLINE void P_(_repack_tiles)(u8 *tiles, const u8 *file, u32 rows, u32 cols, u32 first, u32 last) {
    u64 row_bytes = P_(_row_bytes)(cols), tile_bytes = fnd_tile_bytes(row_bytes);
    u32 blocks = cols / P_(_BLOCK), block_bytes = (u32)(row_bytes / (blocks ? blocks : 1));
    for (u32 tile = first; tile < last; tile++) {
        u8 *codes = tiles + tile * tile_bytes, *fields = codes + (u64)(cols / 32) * P_(_PLANES);
        __builtin_memset(codes, 0, tile_bytes);
        for (u32 lane = 0; lane < FND_VEC && tile * FND_VEC + lane < rows; lane++) {
            const u8 *row = file + (u64)(tile * FND_VEC + lane) * row_bytes;
            for (u32 b = 0; b < blocks; b++) {
                const u8 *block = row + (u64)b * block_bytes;
                u8 *planes = codes + (u64)b * (P_(_BLOCK) / 32) * P_(_PLANES);
                for (u32 k = 0; k < P_(_BLOCK); k++) P_(_put_code)(planes + k / 32 * P_(_PLANES), lane, k % 32, P_(_code)(block, k));
                u8 *field = fields + (u64)b * P_(_FIELD_BYTES) * FND_VEC;
#define FND_PUT_FIELD_(offset, unit, units)                                                        \
    for (u32 n = 0; n < units; n++, field += unit * FND_VEC)                                       \
        for (u32 i = 0; i < unit; i++) field[unit * lane + i] = block[offset + unit * n + i];
                P_(_FIELDS)(FND_PUT_FIELD_)
#undef FND_PUT_FIELD_
            }
        }
    }
}
#undef P_
