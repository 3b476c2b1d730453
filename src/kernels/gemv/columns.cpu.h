/* gemv/columns.cpu.h - FND_BLOCK(to, row, stride, rows, cols): `cols` columns of up to FND_VEC rows of floats in the
 * file's layout, `stride` bytes apart, as [col][row]; rows that are not there become zeros.
 *
 * A template: included by whoever takes columns, once for every POLICY of floats. */
#include "gemv/tile.cpu.h"

FND_INLINE void FND_BLOCK(u8 *to, const u8 *row, u64 stride, u32 rows, u32 cols) {
    const u32 bytes = (u32)FND_CAT(POLICY, _row_bytes)(1), at_once = 16 / bytes;
    u32 k = 0;
    for (; rows == FND_VEC && (bytes == 4 || bytes == 2) && k + at_once <= cols; k += at_once) {
        vec_u32 w[4];
        fnd_words4(row + (u64)k * bytes, stride, w);
        FND_UNROLL for (u32 j = 0; j < 4; j++, to += 16 / 4 * FND_VEC) {
            if (bytes == 4) {
                fnd_put_u32(to, w[j]);
            } else {
                fnd_put_u16(to, w[j]);
                fnd_put_u16(to + 2 * FND_VEC, w[j] >> 16);
            }
        }
    }
    for (; k < cols; k++, to += bytes * FND_VEC) {
        for (u32 r = 0; r < FND_VEC; r++) {
            if (r < rows)
                __builtin_memcpy(to + r * bytes, row + r * stride + (u64)k * bytes, bytes);
            else
                __builtin_memset(to + r * bytes, 0, bytes);
        }
    }
}
