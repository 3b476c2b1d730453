/* gemv/repack_codes.cpu.h - POLICY_repack: rows as the file has them -> tiles (gemv/tile.cpu.h).
 *
 * A template: included once for every POLICY with codes. */
#include "gemv/tile.cpu.h"

#define P_(name) FND_CAT(POLICY, name)

/* The codes c of 32 columns of one row, to their places in the planes. Four codes are one word, and no
 * bit of a byte is moved into another. */
FND_INLINE void P_(_put_codes)(u8 *planes, u32 lane, const u8 *c) {
    const u32 stride = 4 * FND_VEC;
    u32 word[8], high[2] = { 0, 0 };
    __builtin_memcpy(word, c, 32);
    planes += 4 * lane;
    if (P_(_BITS) == 8) {
        FND_UNROLL for (u32 j = 0; j < 8; j++) __builtin_memcpy(planes + j * stride, &word[j], 4);
        return;
    }
    FND_UNROLL for (u32 j = 0; j < 4; j++) {
        u32 both = (word[j] & 0x0f0f0f0fu) | (word[j + 4] & 0x0f0f0f0fu) << 4;
        __builtin_memcpy(planes + j * stride, &both, 4);
    }
    FND_UNROLL for (u32 j = 0; j < 8; j++) {
        if (P_(_BITS) == 5) high[0] |= (word[j] >> 4 & 0x01010101u) << j;
        if (P_(_BITS) == 6) high[j / 4] |= (word[j] >> 4 & 0x03030303u) << (2 * (j & 3));
    }
    FND_UNROLL for (u32 h = 0; h + 4 < P_(_BITS); h++) __builtin_memcpy(planes + (4 + h) * stride, &high[h], 4);
}

/* One block of one row. Where 32 columns start is a constant, so that compilers see their codes as
 * vectors of bytes. */
FND_INLINE void P_(_repack_block)(u8 *planes, u8 *field, u32 lane, const u8 *block) {
    FND_UNROLL for (u32 first = 0; first < P_(_BLOCK); first += 32, planes += P_(_PLANES)) {
        u8 c[32];
        for (u32 k = 0; k < 16; k++) c[k] = (u8)P_(_code)(block, first + k);
        for (u32 k = 16; k < 32; k++) c[k] = (u8)P_(_code)(block, first + k);
        P_(_put_codes)(planes, lane, c);
    }
#define FND_PUT_FIELD_(offset, unit, units)                                                        \
    for (u32 n = 0; n < units; n++, field += unit * FND_VEC)                                       \
        __builtin_memcpy(field + unit * lane, block + offset + unit * n, unit);
    P_(_FIELDS)(FND_PUT_FIELD_)
#undef FND_PUT_FIELD_
}

/* Tiles first .. last - 1 of a matrix of `rows` rows. A tile stays in the L1 cache while its rows come. */
FND_INLINE void P_(_repack_tiles)(u8 *tiles, const u8 *file, u32 rows, u32 cols, u32 first, u32 last) {
    u64 row_bytes = P_(_row_bytes)(cols), tile_bytes = fnd_tile_bytes(row_bytes);
    u32 blocks = cols / P_(_BLOCK), block_bytes = (u32)(row_bytes / (blocks ? blocks : 1));
    for (u32 tile = first; tile < last; tile++) {
        u8 *codes = tiles + tile * tile_bytes, *fields = codes + (u64)(cols / 32) * P_(_PLANES);
        u32 lanes = fnd_min(rows - tile * FND_VEC, FND_VEC);
        if (lanes < FND_VEC) __builtin_memset(codes, 0, tile_bytes);
        __builtin_memset(codes + row_bytes * FND_VEC, 0, tile_bytes - row_bytes * FND_VEC);
        for (u32 lane = 0; lane < lanes; lane++) {
            const u8 *row = file + (u64)(tile * FND_VEC + lane) * row_bytes;
            for (u32 b = 0; b < blocks; b++)
                P_(_repack_block)(codes + (u64)b * (P_(_BLOCK) / 32) * P_(_PLANES), fields + (u64)b * P_(_FIELD_BYTES) * FND_VEC, lane, row + (u64)b * block_bytes);
        }
    }
}
#undef P_
