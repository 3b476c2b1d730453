/* gemv/block.cpu.h - FND_BLOCK(planes, fields, block, stride, rows): one block of up to FND_VEC rows in the file's
 * layout, `stride` bytes apart, to the planes and fields of a tile; rows that are not there become zeros.
 *
 * A template: included by whoever takes blocks, once for every POLICY with codes. A policy whose TAKES is 1 has its
 * own `take` (gemv/take.cpu.h); those of others are made of `code` and FIELDS, row by row. */
#include "gemv/tile.cpu.h"

#define P_(name)    FND_CAT(POLICY, name)
#define FND_LANE_   FND_CAT(FND_BLOCK, _lane_)
#define FND_BLOCK_BYTES_ (P_(_BLOCK) / 8 * P_(_BITS) + P_(_FIELD_BYTES))

#if !FND_CAT(POLICY, _TAKES)
/* Four codes are one word, and no bit of a byte is moved into another. */
FND_INLINE void FND_LANE_(u8 *planes, u8 *field, u32 lane, const u8 *block) {
    const u32 step = 4 * FND_VEC;
    for (u32 first = 0; first < P_(_BLOCK); first += 32, planes += P_(_PLANES)) {
        u8 c[32], *to = planes + 4 * lane;
        u32 word[8], high[2] = { 0, 0 };
        for (u32 k = 0; k < 32; k++) c[k] = (u8)P_(_code)(block, first + k);
        __builtin_memcpy(word, c, 32);
        for (u32 j = 0; j < (P_(_BITS) == 8 ? 8u : 4u); j++) {
            u32 both = P_(_BITS) == 8 ? word[j] : (word[j] & 0x0f0f0f0fu) | (word[(j + 4) & 7] & 0x0f0f0f0fu) << 4;
            __builtin_memcpy(to + j * step, &both, 4);
        }
        for (u32 j = 0; j < 8; j++) {
            if (P_(_BITS) == 5) high[0] |= (word[j] >> 4 & 0x01010101u) << j;
            if (P_(_BITS) == 6) high[j / 4] |= (word[j] >> 4 & 0x03030303u) << (2 * (j & 3));
        }
        for (u32 h = 0; P_(_BITS) < 8 && h + 4 < P_(_BITS); h++) __builtin_memcpy(to + (4 + h) * step, &high[h], 4);
    }
#define FND_PUT_FIELD_(offset, unit, units)                                                        \
    for (u32 n = 0; n < units; n++, field += unit * FND_VEC)                                       \
        __builtin_memcpy(field + unit * lane, block + offset + unit * n, unit);
    P_(_FIELDS)(FND_PUT_FIELD_)
#undef FND_PUT_FIELD_
}
#endif

FND_INLINE void FND_BLOCK(u8 *planes, u8 *fields, const u8 *block, u64 stride, u32 rows) {
    u8 some[FND_VEC * FND_BLOCK_BYTES_];
    if (rows < FND_VEC) {
        __builtin_memset(some, 0, sizeof some);
        for (u32 r = 0; r < rows; r++) __builtin_memcpy(some + r * FND_BLOCK_BYTES_, block + r * stride, FND_BLOCK_BYTES_);
        block = some;
        stride = FND_BLOCK_BYTES_;
    }
#if FND_CAT(POLICY, _TAKES)
    P_(_take)(planes, fields, block, stride);
#else
    for (u32 lane = 0; lane < FND_VEC; lane++) FND_LANE_(planes, fields, lane, block + lane * stride);
#endif
}
#undef FND_BLOCK_BYTES_
#undef FND_LANE_
#undef P_
