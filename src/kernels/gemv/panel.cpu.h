/* gemv/panel.cpu.h - products with many tokens on a matrix unit (AMX): what all formats share.
 *
 * A panel is FND_PANEL_TILES tiles of 16 rows, FND_PANEL_COLS columns at a time. It is decoded once to
 * bf16, scales folded in, and multiplied with all tokens; sums are f32. (The unit's 8-bit products would
 * need a scale for each group of 32 in each sum: that is more work than the products.) In the unit's tiles:
 *     halves  [token / 16][cols / 32][16 tokens][32]       bf16, activations: the unit's A
 *     panel   [tile][cols / 32][16 pairs][16 rows][2]      bf16, weights: its B
 *     sums    [tile][token][16 rows]                       f32: its C, and what epilogues take
 * Formats of floats keep their precision by a second bf16 that holds what the first one left of a value:
 * `rest`, in the shape of halves. */
#ifndef GEMV_PANEL_CPU_H
#define GEMV_PANEL_CPU_H
#include "amx.cpu.h"

#if defined(FND_AMX) && FND_TOKENS > 1
  #define FND_PANELS 1
#endif

/* src/backend/cpu/cpu.h makes room for panels of this size. */
#define FND_PANEL_TILES 8u
#define FND_PANEL_COLS  512u
#define FND_PANELS_FROM 32u  /* tokens; with fewer the unit's tiles and the decoding are not worth it */
#define FND_PANEL_TOKENS 256u /* multiplied with one pair of tiles before the next: their halves stay in the L2 cache */

#ifdef FND_PANELS
/* The sums of one panel of each of two matrices, since two heads may be joined. */
typedef struct fnd_panels {
    const u8 *data[2];       /* whose panel; NULL: none */
    u32       first[2];      /* its first row */
    u32       next;          /* whose place the next one takes */
    u16      *panel;
    f32      *sums[2];
} fnd_panels;
#endif
#endif
