/* amx.cpu.h - bf16 products on a matrix unit (AMX): sums [16 rows of A][16 columns of B] f32 of tiles
 *     A   [16][32] bf16
 *     B   [16 pairs][16][2] bf16: two neighbours of what is summed over lie side by side
 * all of them 16 x 64 bytes. Who uses it loads fnd_tile_config first, and then gives the tiles back: the system
 * saves them on a task switch as long as they are in use. */
#ifndef FND_AMX_CPU_H
#define FND_AMX_CPU_H
#include "codes.cpu.h"

#if (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__AVX512BF16__) /* gcc's name; older clangs' */
#define FND_AMX 1

typedef struct fnd_tile_config_ { u8 palette, start_row, zero[14]; u16 col_bytes[16]; u8 rows[16]; } fnd_tile_config_;
static const fnd_tile_config_ fnd_tile_config __attribute__((aligned(64), used)) = {
    .palette = 1, .col_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 }, .rows = { 16, 16, 16, 16, 16, 16, 16, 16 }
};

/* sums (+)= halves x panel for `steps` steps of 32 columns: 1 or 2 blocks of 16 tokens times 1 or 2 tiles.
 * a_next, b_next, c_next: from one block or tile to the next. */
FND_INLINE void fnd_amx_block_(const u16 *a, u64 a_next, const u16 *b, u64 b_next, f32 *c, u64 c_next, u32 steps, u32 adds,
                                 const u32 blocks, const u32 tiles) {
    if (adds) {
        _tile_loadd(0, c, 64);
        if (tiles > 1) _tile_loadd(1, c + c_next, 64);
        if (blocks > 1) _tile_loadd(2, c + 256, 64);
        if (blocks > 1 && tiles > 1) _tile_loadd(3, c + c_next + 256, 64);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (u32 k = 0; k < steps; k++, a += 512, b += 512) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (tiles > 1) {
            _tile_loadd(7, b + b_next, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (blocks > 1) {
            _tile_loadd(5, a + a_next, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (tiles > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, 64);
    if (tiles > 1) _tile_stored(1, c + c_next, 64);
    if (blocks > 1) _tile_stored(2, c + 256, 64);
    if (blocks > 1 && tiles > 1) _tile_stored(3, c + c_next + 256, 64);
}
static __attribute__((noinline, unused)) void fnd_amx_block(const u16 *a, u64 a_next, const u16 *b, u64 b_next, f32 *c, u64 c_next,
                                                              u32 steps, u32 adds, u32 blocks, u32 tiles) {
    if (blocks > 1 && tiles > 1)
        fnd_amx_block_(a, a_next, b, b_next, c, c_next, steps, adds, 2, 2);
    else if (blocks > 1)
        fnd_amx_block_(a, a_next, b, b_next, c, c_next, steps, adds, 2, 1);
    else if (tiles > 1)
        fnd_amx_block_(a, a_next, b, b_next, c, c_next, steps, adds, 1, 2);
    else
        fnd_amx_block_(a, a_next, b, b_next, c, c_next, steps, adds, 1, 1);
}

typedef u32 vec_u32x1_ __attribute__((vector_size(4 * FND_VEC)));
/* The bf16 nearest to a value, and what that leaves of it. */
FND_INLINE vec fnd_amx_round(vec v) { return (vec)(((vec_i32)v + 0x8000) & (i32)0xffff0000); }
/* Two columns of 16 rows, as the unit pairs them. */
FND_INLINE void fnd_amx_put(u16 *to, vec even, vec odd) {
    vec_u32x1_ low = ((vec_u32x1_)even + 0x8000u) >> 16, high = ((vec_u32x1_)odd + 0x8000u) & 0xffff0000u;
    *(vec_u32x1_ *)to = low | high;
}

/* 32 neighbours of a row of A, and, where `rest` is not NULL, what bf16 leaves of them. */
FND_INLINE void fnd_amx_put_halves(u16 *to, u16 *rest, vec x, vec y) {
    __m512 first = (__m512)x, second = (__m512)y;
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    _mm512_storeu_si512(to, halves);
    if (!rest) return;
    first -= (__m512)(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(halves)) << 16);
    second -= (__m512)(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(halves, 1)) << 16);
    _mm512_storeu_si512(rest, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}
#endif
#endif
