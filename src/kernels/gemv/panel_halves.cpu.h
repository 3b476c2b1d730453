/* gemv/panel_halves.cpu.h - panels of bf16: POLICY_panel_fill for gemv/panel_dot.cpu.h.
 *
 * A template, for gemv/dot_codes.cpu.h and dot_float.cpu.h, which give
 *     POLICY_panel(to, tile, cols, first, steps, rest)  steps x 32 columns of one tile from column `first` on, as bf16;
 *                                                       rest: what that leaves of the values
 * and FND_PANEL_PARTS  1: bf16 is enough; 2: the weights' rest counts; 3: that of weights and activations. */

#define P_(name) FND_CAT(POLICY, name)

/* Sums of one panel's columns, its bf16 being at x.panels->panel. No weights are fetched meanwhile: that would hold up
 * the unit's loads. */
FND_INLINE void P_(_panel_multiply)(fnd_x x, const u16 *halves, f32 *sums, u32 tiles, u32 step, u32 steps, u32 adds) {
    u32 all_steps = (x.cols + 31) / 32, blocks = (x.tokens + 15) / 16;
    u64 block_step = (u64)all_steps * 512;
    for (u32 m0 = 0; m0 < blocks; m0 += FND_PANEL_TOKENS / 16) {
        for (u32 i = 0; i < tiles; i += 2) {
            for (u32 m = m0; m < fnd_min(blocks, m0 + FND_PANEL_TOKENS / 16); m += 2) {
                fnd_amx_block(halves + m * block_step + (u64)step * 512, block_step, (u16 *)x.panels->panel + (u64)i * steps * 512, (u64)steps * 512,
                                sums + ((u64)i * blocks + m) * 256, (u64)blocks * 256, steps, adds, fnd_min(2, blocks - m), fnd_min(2, tiles - i));
            }
        }
    }
}

static __attribute__((noinline, unused)) void P_(_panel_fill)(fnd_x x, const u8 *data, u32 row, u32 end, f32 *sums) {
    u64 tile_bytes = fnd_tile_bytes(P_(_row_bytes)(x.cols));
    u32 all_steps = (x.cols + 31) / 32, tiles = (end - row + FND_VEC - 1) / FND_VEC, adds = 0;
    const u8 *tile = data + row / FND_VEC * tile_bytes;
    _tile_loadconfig(&fnd_tile_config);
    for (u32 step = 0; step < all_steps; step += FND_PANEL_COLS / 32) {
        u32 steps = fnd_min(FND_PANEL_COLS / 32, all_steps - step);
        if (FND_PANEL_PARTS > 1) {
            for (u32 i = 0; i < tiles; i++) P_(_panel)((u16 *)x.panels->panel + (u64)i * steps * 512, tile + i * tile_bytes, x.cols, step * 32, steps, 1);
            P_(_panel_multiply)(x, x.halves, sums, tiles, step, steps, adds);
            adds = 1;
        }
        for (u32 i = 0; i < tiles; i++) P_(_panel)((u16 *)x.panels->panel + (u64)i * steps * 512, tile + i * tile_bytes, x.cols, step * 32, steps, 0);
        if (FND_PANEL_PARTS > 2) {
            P_(_panel_multiply)(x, x.rest, sums, tiles, step, steps, adds);
            adds = 1;
        }
        P_(_panel_multiply)(x, x.halves, sums, tiles, step, steps, adds);
        adds = 1;
    }
    _tile_release();
}
#undef P_
#include "gemv/panel_dot.cpu.h"
