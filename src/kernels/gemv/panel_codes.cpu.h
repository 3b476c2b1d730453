/* gemv/panel_codes.cpu.h - panels of 8-bit codes: POLICY_panel_fill for gemv/panel_dot.cpu.h, of formats with
 * codes. A template. */

#define P_(name) FND_CAT(POLICY, name)
#define FND_PANEL_STEP_ fnd_code_panel_bytes(P_(_GROUP), P_(_MIN) != 0)

/* chunks x 32 columns of one tile from column `first` on, which begins a block: codes less their zero, scales, minima. */
FND_INLINE void P_(_panel)(u8 *to, const u8 *tile, u32 cols, u32 first, u32 chunks) {
    const u32 parts = 32 / P_(_GROUP);
    const u8 *codes = tile + (u64)(first / 32) * P_(_PLANES);
    const u8 *fields = tile + (u64)(cols / 32) * P_(_PLANES) + (u64)(first / P_(_BLOCK)) * P_(_FIELD_BYTES) * FND_VEC;
    for (u32 n = 0; n < chunks; n++, codes += P_(_PLANES), to += FND_PANEL_STEP_) {
        u32 chunk = n % (P_(_BLOCK) / 32);
        if (n && chunk == 0) fields += P_(_FIELD_BYTES) * FND_VEC;
        FND_UNROLL for (u32 j = 0; j < 8; j++) *(vec_u8x4_unaligned_ *)(to + 64 * j) = P_(_unpack)(codes, j) - (u8)P_(_ZERO);
        FND_UNROLL for (u32 part = 0; part < parts; part++) {
            vec scale, min = fnd_vec_splat(0.0f);
            P_(_scales)(fields, chunk * parts + part, &scale, &min);
            fnd_vec_store((f32 *)(to + 512) + 16 * part, scale);
            if (P_(_MIN)) fnd_vec_store((f32 *)(to + 512) + 16 * (parts + part), min);
        }
    }
}

FND_INLINE void P_(_panel_ahead)(const u8 *tile, u32 cols, u32 first) {
    fnd_fetch_ahead(tile + (u64)(first / 32) * P_(_PLANES), P_(_PLANES));
    if (first % P_(_BLOCK) == 0) fnd_fetch_ahead(tile + (u64)(cols / 32) * P_(_PLANES) + (u64)(first / P_(_BLOCK)) * P_(_FIELD_BYTES) * FND_VEC, P_(_FIELD_BYTES) * FND_VEC);
}

/* Sums of one panel's columns from 32 * step on. Meanwhile columns from `next` on, of all its tiles, are fetched. */
FND_INLINE void P_(_panel_multiply)(fnd_x x, f32 *sums, u32 tiles, u32 step, u32 steps, const u8 *tile, u32 next) {
    u32 all_steps = x.cols / 32, blocks = (x.tokens + 15) / 16;
    u64 tile_bytes = fnd_tile_bytes(P_(_row_bytes)(x.cols));
    u32 wanted = tiles * (FND_PANEL_COLS / 32), ahead = (wanted + blocks * tiles - 1) / (blocks * tiles), fetched = 0;
    for (u32 m0 = 0; m0 < blocks; m0 += FND_PANEL_TOKENS / 16) {
        for (u32 i = 0; i < tiles; i++) {
            for (u32 m = m0; m < fnd_min(blocks, m0 + FND_PANEL_TOKENS / 16); m++) {
                for (u32 n = 0; n < ahead && fetched < wanted; n++, fetched++) {
                    u32 col = next + fetched % (FND_PANEL_COLS / 32) * 32;
                    if (col < x.cols) P_(_panel_ahead)(tile + fetched / (FND_PANEL_COLS / 32) * tile_bytes, x.cols, col);
                }
                u64 at = (u64)m * all_steps + step;
                fnd_code_block block = { .x = x.codes + at * 512, .xscales = x.scales + at * 16, .xsums = x.sums + at * 48, .chunks = steps, .adds = step > 0 };
                block.panel = x.panels->panel + (u64)i * steps * FND_PANEL_STEP_;
                block.sums = sums + ((u64)i * blocks + m) * 256;
                fnd_amx_codes(&block, P_(_GROUP), P_(_MIN) != 0);
            }
        }
    }
}

static __attribute__((noinline, unused)) void P_(_panel_fill)(fnd_x x, const u8 *data, u32 row, u32 end, f32 *sums) {
    u64 tile_bytes = fnd_tile_bytes(P_(_row_bytes)(x.cols));
    u32 all_steps = x.cols / 32, tiles = (end - row + FND_VEC - 1) / FND_VEC;
    /* As few parts as there may be, alike in size, of whole blocks. */
    const u32 most = FND_PANEL_COLS / 32, unit = P_(_BLOCK) / 32;
    u32 parts = (all_steps + most - 1) / most, part = ((all_steps + parts - 1) / parts + unit - 1) / unit * unit;
    const u8 *tile = data + row / FND_VEC * tile_bytes;
    _tile_loadconfig(&fnd_code_tiles[P_(_GROUP) == 16]);
    for (u32 step = 0; step < all_steps; step += part) {
        u32 steps = fnd_min(part, all_steps - step), more = step + steps < all_steps;
        for (u32 i = 0; i < tiles; i++) P_(_panel)(x.panels->panel + (u64)i * steps * FND_PANEL_STEP_, tile + i * tile_bytes, x.cols, step * 32, steps);
        /* The next panel's first columns: past the end does no harm. */
        P_(_panel_multiply)(x, sums, tiles, step, steps, more ? tile : tile + tiles * tile_bytes, more ? (step + steps) * 32 : 0);
    }
    _tile_release();
}
#undef FND_PANEL_STEP_
#undef P_
#include "gemv/panel_dot.cpu.h"
