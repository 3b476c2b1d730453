/* amx_codes.cpu.h - products of 8-bit codes on a matrix unit (AMX), with a scale for each group of 32 or of 16
 * columns: the same bits as gemv/dot_codes.cpu.h gives.
 *
 * A group's products are an exact sum in one of the unit's tiles, which goes through the L1 cache to the vector
 * units; there it is rounded as everywhere: when it is multiplied by the weights' scale, and when that is added
 * with the activations'. Its cost is that of these three, which do not overlap much on Sapphire Rapids: 16
 * cycles in the unit, 16 for the store and 24 for 16 vectors of sums. */
#ifndef FND_AMX_CODES_CPU_H
#define FND_AMX_CODES_CPU_H
#include "codes.cpu.h"

#if (defined(__AMX_INT8__) || defined(__AMXINT8__)) && defined(__AVX512BW__) /* gcc's name; older clangs' */
#define FND_AMX_CODES 1

typedef struct fnd_code_tiles_ { u8 palette, start_row, zero[14]; u16 col_bytes[16]; u8 rows[16]; } fnd_code_tiles_;
/* Tiles 0, 1: sums [16 tokens][16 rows]; 2, 3: codes of tokens, 16 rows of a group's columns; 4, 5: of weights, quads
 * of a group's columns [16 rows][4]. By groups of 32 and of 16. */
static const fnd_code_tiles_ fnd_code_tiles[2] __attribute__((aligned(64), used)) = {
    { .palette = 1, .col_bytes = { 64, 64, 32, 32, 64, 64 }, .rows = { 16, 16, 16, 16, 8, 8 } },
    { .palette = 1, .col_bytes = { 64, 64, 16, 16, 64, 64 }, .rows = { 16, 16, 16, 16, 4, 4 } },
};

/* A panel's bytes for 32 columns of 16 rows: codes as the unit takes them, scales of each group, then minima. */
FND_INLINE u32 fnd_code_panel_bytes(const u32 group, const u32 min) { return 512 + 64 * (32 / group) * (1 + min); }

/* Added to a sum of codes, the bits of this float are those of the float it makes with the sum, as long as that is
 * below 2^22; and its product with a scale of at most 22 bits is exact. So a sum is scaled and this taken away
 * again in one instruction, with one rounding. */
#define FND_CODE_MAGIC_ 12582912.0f

/* Sums of a group onto those of its tokens and rows. */
FND_INLINE void fnd_amx_codes_scale_(__m512 *out, const i32 *sums, __m512 scale, __m512 min, const f32 *xscales, const f32 *xsums, const u32 has_min) {
    const __m512 magic = _mm512_set1_ps(FND_CODE_MAGIC_), less = -(magic * scale);
    FND_UNROLL for (u32 i = 0; i < 16; i++) {
        __m512i sum = _mm512_add_epi32(_mm512_castps_si512(magic), _mm512_load_si512(sums + 16 * i));
        out[i] = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_castsi512_ps(sum), scale, less), _mm512_set1_ps(xscales[i]), out[i]);
        if (has_min) out[i] = _mm512_fmadd_ps(min, _mm512_set1_ps(xsums[i]), out[i]);
    }
}

/* 16 tokens times one tile of weights, `chunks` times 32 columns: `sums` [16 tokens][16 rows] f32, begun anew or
 * added to. While a group's sums are scaled, the next one's are stored and those after it multiplied. */
FND_INLINE void fnd_amx_codes_block_(const i8 *x, const f32 *xscales, const f32 *xsums, const u8 *panel, f32 *sums, u32 chunks, u32 adds,
                                       const u32 group, const u32 has_min) {
    const u32 parts = 32 / group, bytes = fnd_code_panel_bytes(group, has_min);
    i32 stored[2][256] __attribute__((aligned(64)));
    __m512 out[16];
    u32 groups = chunks * parts;
    FND_UNROLL for (u32 i = 0; i < 16; i++) out[i] = adds ? _mm512_loadu_ps(sums + 16 * i) : _mm512_setzero_ps();
    __asm__ volatile("" ::: "memory"); /* compilers do not see what tiles are loaded from */
#define FND_MULTIPLY_(g, c, a, b)                                                                    \
    _tile_zero(c);                                                                                   \
    _tile_loadd(a, x + (u64)((g) / parts) * 512 + (g) % parts * group, 32);                          \
    _tile_loadd(b, panel + (u64)((g) / parts) * bytes + (g) % parts * group * 16, 64);               \
    _tile_dpbssd(c, a, b)
#define FND_SCALE_(g)                                                                                                              \
    do {                                                                                                                           \
        const u8 *scales = panel + (u64)((g) / parts) * bytes + 512 + (g) % parts * 64;                                              \
        fnd_amx_codes_scale_(out, stored[(g) % 2], _mm512_loadu_ps(scales), _mm512_loadu_ps(scales + (has_min ? 64 * parts : 0)),    \
                               xscales + (g) / parts * 16, xsums + (u64)((g) / parts) * 48 + (parts > 1 ? 16 + (g) % parts * 16 : 0), has_min); \
    } while (0)
    FND_MULTIPLY_(0, 0, 2, 4);
    _tile_stored(0, stored[0], 64);
    if (groups > 1) { FND_MULTIPLY_(1, 1, 3, 5); }
    u32 g = 0;
    for (; g + 1 < groups; g += 2) {
        if (g + 2 < groups) { FND_MULTIPLY_(g + 2, 0, 2, 4); }
        _tile_stored(1, stored[1], 64);
        FND_SCALE_(g);
        if (g + 3 < groups) { FND_MULTIPLY_(g + 3, 1, 3, 5); }
        if (g + 2 < groups) _tile_stored(0, stored[0], 64);
        FND_SCALE_(g + 1);
    }
    if (g < groups) FND_SCALE_(g);
#undef FND_MULTIPLY_
#undef FND_SCALE_
    FND_UNROLL for (u32 i = 0; i < 16; i++) _mm512_storeu_ps(sums + 16 * i, out[i]);
}
typedef struct fnd_code_block { /* arguments of fnd_amx_codes */
    const i8  *x;
    const f32 *xscales, *xsums;
    const u8  *panel;
    f32       *sums;
    u32        chunks, adds;
} fnd_code_block;
#define FND_CODES_BLOCK_(name, group, has_min)                                                                            \
    static __attribute__((noinline, unused)) void name(const fnd_code_block *b) {                                        \
        fnd_amx_codes_block_(b->x, b->xscales, b->xsums, b->panel, b->sums, b->chunks, b->adds, group, has_min);         \
    }
FND_CODES_BLOCK_(fnd_amx_codes_32, 32, 0)
FND_CODES_BLOCK_(fnd_amx_codes_32_min, 32, 1)
FND_CODES_BLOCK_(fnd_amx_codes_16, 16, 0)
FND_CODES_BLOCK_(fnd_amx_codes_16_min, 16, 1)
FND_INLINE void fnd_amx_codes(const fnd_code_block *b, const u32 group, const u32 has_min) {
    if (group == 32)
        has_min ? fnd_amx_codes_32_min(b) : fnd_amx_codes_32(b);
    else
        has_min ? fnd_amx_codes_16_min(b) : fnd_amx_codes_16(b);
}
#undef FND_CODES_BLOCK_
#endif
#endif
