/* gemv/panel.cpu.h - products with many tokens on a matrix unit (AMX): what all formats share.
 *
 * A panel is FND_PANEL_TILES tiles of 16 rows, up to FND_PANEL_COLS columns at a time. It is decoded once and
 * multiplied with all tokens; sums are f32, [tile][token][16 rows], as epilogues take them.
 *
 * FND_PANEL_CODES, formats with codes: 8-bit products, from as many tokens on as the host says (fnd_thread.unit_from),
 * which give the same bits as fewer tokens do (amx_codes.cpu.h). Activations in blocks of 16 tokens:
 *     codes   [token / 16][cols / 32][16 tokens][32]  i8
 *     scales  [token / 16][cols / 32][16]             f32
 *     sums    [token / 16][cols / 32][3][16]          f32, scale * sum of codes: of 32, the first 16, the last 16
 *     panel   [tile][cols / 32]                       codes less their zero [8 quads][16 rows][4], scales, minima
 *
 * FND_PANEL_HALVES, all formats: bf16 with scales folded in, which is faster and rounds otherwise than few tokens
 * are. So it is not the number of tokens that asks for it, but a text for prompts (FND_TOKENS > 16): in whatever pieces
 * a prompt is read, its bits are the same. In the unit's tiles:
 *     halves  [token / 16][cols / 32][16 tokens][32]       bf16, activations: the unit's A
 *     panel   [tile][cols / 32][16 pairs][16 rows][2]      bf16, weights: its B
 * Formats of floats keep their precision by a second bf16 that holds what the first one left of a value:
 * `rest`, in the shape of halves. */
#ifndef GEMV_PANEL_CPU_H
#define GEMV_PANEL_CPU_H
#include "amx.cpu.h"
#include "amx_codes.cpu.h"

#if defined(FND_AMX) && FND_TOKENS > 16 && !defined(FND_FILE_ROWS)
  #define FND_PANEL_HALVES 1
#elif defined(FND_AMX_CODES) && FND_TOKENS > 1 && defined(FND_X_CODES) && !defined(FND_FILE_ROWS)
  #define FND_PANEL_CODES 1
#endif
#if defined(FND_PANEL_HALVES) || defined(FND_PANEL_CODES)
  #define FND_PANELS 1
#endif

/* src/backend/cpu/cpu.h makes room for panels of this size, of codes or of bf16. */
#ifdef FND_PANEL_CODES
  #define FND_PANEL_TILES 8u
  #define FND_PANEL_COLS  1024u /* a tile of them and 16 tokens fill the L1 cache */
#else
  #define FND_PANEL_TILES 16u /* what all tokens' halves are read for, from the last-level cache where rows are long */
  #define FND_PANEL_COLS  512u
#endif
#define FND_PANEL_BYTES  (16u * 32 * 768)
#define FND_PANEL_TOKENS 256u /* multiplied with one pair of tiles before the next: their halves stay in the L2 cache */

#ifdef FND_PANELS
/* The sums of one panel of each of two matrices, since two heads may be joined. */
typedef struct fnd_panels {
    const u8 *data[2];       /* whose panel; NULL: none */
    u32       first[2];      /* its first row */
    u32       next;          /* whose place the next one takes */
    u8       *panel;
    f32      *sums[2];
} fnd_panels;
#endif
#endif
