/* gemv/repack.cuda.h - POLICY_repack on an NVIDIA GPU: rows as the file has them -> rows in planes
 * (gemv/row.cuda.h). A thread has 32 columns of a row.
 *
 * A template: included once for every POLICY. */
#include "gemv/repack_args.h"
#include "gemv/row.cuda.h"

#define P_(name) FND_CAT(POLICY, name)

#if FND_CAT(POLICY, _FLOATS)
FND_INLINE void P_(_repack)(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    u64 row_bytes = P_(_row_bytes)(dim), pitch = fnd_row_pitch(row_bytes);
    (void)bytes;
    for (u32 row = t.group; row < rows; row += t.groups) {
        for (u64 i = fnd_thread_index(t); i < pitch; i += FND_THREADS) tiles[row * pitch + i] = i < row_bytes ? w.data[row * row_bytes + i] : (u8)0;
    }
}
#else
FND_INLINE void P_(_repack_32)(u8 *to, const u8 *row, u32 groups, u32 g) {
    const u32 per_block = P_(_BLOCK) / 32;
    u32 block_bytes = (u32)P_(_row_bytes)(P_(_BLOCK));
    const u8 *block = row + (u64)(g / per_block) * block_bytes;
    u8 *low = to + (u64)g * FND_LOW_BYTES(P_(_BITS)), *high = to + (u64)groups * FND_LOW_BYTES(P_(_BITS)) + (u64)g * FND_HIGH_BYTES(P_(_BITS));
    u64 above = 0;
    for (u32 k = 0; k < 32; k++) {
        u32 u = P_(_code)(block, g % per_block * 32 + k);
        if (P_(_BITS) == 8) low[k] = (u8)u;
        if (P_(_BITS) < 8 && k < 16) low[k] = (u8)((u & 15u) | (P_(_code)(block, g % per_block * 32 + k + 16) & 15u) << 4);
        above |= (u64)(u >> 4) << (P_(_BITS) == 5 ? k : 2 * k);
    }
    for (u32 i = 0; i < FND_HIGH_BYTES(P_(_BITS)); i++) high[i] = (u8)(above >> 8 * i);
    if (g % per_block) return;
    u8 *field = to + (u64)groups * (FND_LOW_BYTES(P_(_BITS)) + FND_HIGH_BYTES(P_(_BITS))) + (u64)(g / per_block) * P_(_FIELD_BYTES);
#define FND_PUT_FIELD_(offset, unit, units) \
    for (u32 i = 0; i < unit * units; i++) *field++ = block[offset + i];
    P_(_FIELDS)(FND_PUT_FIELD_)
#undef FND_PUT_FIELD_
}

FND_INLINE void P_(_repack)(fnd_thread t, u8 *tiles, fnd_weight w, u32 bytes, u32 rows, u32 dim) {
    u64 row_bytes = P_(_row_bytes)(dim), pitch = fnd_row_pitch(row_bytes);
    u32 groups = dim / 32;
    (void)bytes;
    for (u32 row = t.group; row < rows; row += t.groups) {
        for (u64 i = row_bytes + fnd_thread_index(t); i < pitch; i += FND_THREADS) tiles[row * pitch + i] = 0;
        for (u32 g = fnd_thread_index(t); g < groups; g += FND_THREADS) P_(_repack_32)(tiles + row * pitch, w.data + row * row_bytes, groups, g);
    }
}
#endif
#undef P_
