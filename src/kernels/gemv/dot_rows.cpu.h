/* gemv/dot_rows.cpu.h - POLICY_rows_dot: what POLICY_dot gives, to the last bit, where weights lie as in the file
 * and not in tiles (--repack off).
 *
 * With one span of tokens, or several streams of tiles, FND_VEC rows become a tile block by block, in registers and the L1 cache, and each block
 * is multiplied as those of tiles are. With more a tile is made whole, in scratch memory, for the first span, and
 * serves the others: two of them, since two heads may be joined. A template: included behind gemv/dot.h, once for
 * every POLICY. */
#include "gemv/tile.cpu.h"

#define FND_BLOCK FND_CAT(POLICY, _rows_block)
#if FND_CAT(POLICY, _FLOATS)
#include "gemv/columns.cpu.h"
#else
#include "gemv/block.cpu.h"
#endif
#undef FND_BLOCK

#define P_(name) FND_CAT(POLICY, name)
#if FND_CAT(POLICY, _FLOATS)
static __attribute__((noinline, unused)) void P_(_rows_tile)(u8 *tile, const u8 *rows, u64 row_bytes, u32 count, u32 cols) {
    P_(_rows_block)(tile, rows, row_bytes, count, cols);
}

FND_INLINE void P_(_rows_once)(fnd_val *out, const u8 *rows, u64 row_bytes, u32 count, fnd_x x, const u32 n) {
    const u32 bytes = (u32)P_(_row_bytes)(1), step = FND_FLOAT_PART * FND_FLOAT_PARTS;
    u8 tile[FND_FLOAT_PART * FND_FLOAT_PARTS * FND_VEC * sizeof(POLICY)] __attribute__((aligned(64)));
    for (u32 k = 0; k < x.cols; k += step) {
        u32 cols = fnd_min(step, x.cols - k);
        fnd_fetch_early(rows + FND_VEC * (row_bytes + (u64)k * bytes), step * FND_VEC * bytes);
        P_(_rows_block)(tile, rows + (u64)k * bytes, row_bytes, count, cols);
        P_(_dot_columns)(out, tile, x.floats + (u64)k * FND_TOKENS, cols, 0, n);
    }
}
#else
static __attribute__((noinline, unused)) void P_(_rows_tile)(u8 *tile, const u8 *rows, u64 row_bytes, u32 count, u32 cols) {
    const u32 block_bytes = (u32)P_(_row_bytes)(P_(_BLOCK));
    const u8 *ahead = rows + FND_VEC * row_bytes;
    u8 *fields = tile + (u64)(cols / 32) * P_(_PLANES);
    for (u32 block = 0; block < cols / P_(_BLOCK); block++, rows += block_bytes, ahead += block_bytes * FND_VEC) {
        fnd_fetch_early(ahead, block_bytes * FND_VEC);
        P_(_rows_block)(tile, fields, rows, row_bytes, count);
        tile += P_(_BLOCK) / 32 * P_(_PLANES);
        fields += P_(_FIELD_BYTES) * FND_VEC;
    }
}

/* The next rows are one stretch of memory: it is fetched piece by piece while these are multiplied. */
FND_INLINE void P_(_rows_once)(fnd_val *out, const u8 *rows, u64 row_bytes, u32 count, fnd_x x, const u32 n) {
    const u32 block_bytes = (u32)P_(_row_bytes)(P_(_BLOCK));
    u8 planes[P_(_BLOCK) / 32 * P_(_PLANES)] __attribute__((aligned(64))), fields[P_(_FIELD_BYTES) * FND_VEC] __attribute__((aligned(64)));
    const u8 *ahead = rows + FND_VEC * row_bytes;
    for (u32 block = 0; block < x.cols / P_(_BLOCK); block++, rows += block_bytes, ahead += block_bytes * FND_VEC) {
        fnd_fetch_early(ahead, block_bytes * FND_VEC);
        P_(_rows_block)(planes, fields, rows, row_bytes, count);
        for (u32 chunk = 0; chunk < P_(_BLOCK) / 32; chunk++) {
            P_(_dot32)(out, planes + chunk * P_(_PLANES), fields, chunk * (32 / P_(_GROUP)), x, n);
            x = fnd_x_past(x, 32);
        }
    }
}
#endif

FND_INLINE fnd_tile P_(_rows_dot)(fnd_thread t, fnd_weight w, fnd_rows r, fnd_span s, fnd_x x) {
    u64 row_bytes = P_(_row_bytes)(x.cols);
    fnd_tile out;
#if FND_TOKENS > 1
    if (x.tokens > FND_TOKENS && r.streams == 1) {
        fnd_weight tile = { .data = fnd_x_tile(x, w.data) };
        if (s.first == 0) P_(_rows_tile)((u8 *)tile.data, w.data + r.row * row_bytes, row_bytes, r.count, x.cols);
        r.row = 0;
        return P_(_dot)(t, tile, r, s, x);
    }
#endif
    (void)t;
    x = fnd_x_at(x, s.first);
    fnd_tile_zero(&out, r.streams, FND_TOKENS);
    for (u32 i = 0; i < r.streams; i++) {
        fnd_at at = fnd_at_of(r, s, i * FND_TOKENS);
        const u8 *rows = w.data + at.row * row_bytes;
        if (FND_IS_NARROW(s))
            P_(_rows_once)(out.of + i * FND_TOKENS, rows, row_bytes, at.count, x, FND_NARROW);
        else
            P_(_rows_once)(out.of + i * FND_TOKENS, rows, row_bytes, at.count, x, FND_TOKENS);
    }
    return out;
}
#undef P_
