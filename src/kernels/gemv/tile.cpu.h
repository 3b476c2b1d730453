/* gemv/tile.cpu.h - weights in tiles of FND_VEC rows, as the CPU strategies read them; and the dot
 * product of codes, once per instruction set and once per width of the codes.
 *
 * A tile holds FND_VEC rows (R below) in as many bytes as the file has for them, padded to 64:
 *     codes   for every 32 columns, by the width of the codes:
 *             8 bits   8 vectors of R x 4 bytes; vector j holds columns 4j .. 4j+3 of every row
 *             4 bits   4 vectors; vector j: low nibbles are quad j, high nibbles quad j + 4
 *             5 bits   the 4 vectors of 4 bits, then 1 vector: bit j of a byte is bit 4 for quad j
 *             6 bits   the 4 vectors of 4 bits, then 2 vectors: of vector h, bits 2j and 2j+1 are
 *                      bits 4-5 for quad 4h + j
 *     fields  for every block of the format, its packed scales, unit by unit: [unit][row]
 * Formats of floats: [col][row]. Rows past the last of the matrix are zero. */
#ifndef GEMV_TILE_CPU_H
#define GEMV_TILE_CPU_H
#include "gemv/x.cpu.h"
#if defined(__x86_64__)
  #include <immintrin.h>
#endif

typedef u8  vec_u8x4 __attribute__((vector_size(4 * FND_VEC)));
typedef u8  vec_u8x4_unaligned_ __attribute__((vector_size(4 * FND_VEC), aligned(1), may_alias));
typedef u16 vec_u16x2_ __attribute__((vector_size(4 * FND_VEC)));
typedef u8  vec_u8_ __attribute__((vector_size(FND_VEC), aligned(1), may_alias));
typedef i8  vec_i8_ __attribute__((vector_size(FND_VEC), aligned(1), may_alias));
typedef u16 vec_u16_ __attribute__((vector_size(2 * FND_VEC), aligned(1), may_alias));
typedef vec_i32_ vec_i32;

/* One token reads every weight once: the stream of codes is fetched this far ahead, across the ends of
 * tiles, so that memory never waits for arithmetic. Fetching past the end does no harm. */
#define FND_CODES_AHEAD 2048
FND_INLINE void fnd_fetch_ahead(const u8 *p, u32 bytes) {
    FND_UNROLL for (u32 i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 3);
}

FND_INLINE u64 fnd_tile_bytes(u64 row_bytes) { return (row_bytes * FND_VEC + 63) & ~(u64)63; }
/* FND_VEC small integers as i32. Compilers turn the vector conversion of GCC's extension into one
 * scalar move a lane, so where there is an instruction it is named. */
#if FND_VEC == 16 && defined(__AVX512F__)
  #define FND_WIDEN_(from, p, small) ((vec_i32)_mm512_cvtep##from##_epi32(_mm_loadu_si128((const __m128i_u *)(p))))
#elif FND_VEC == 8 && defined(__AVX2__)
  #define FND_WIDEN_(from, p, small) ((vec_i32)_mm256_cvtep##from##_epi32(_mm_loadl_epi64((const __m128i_u *)(p))))
#else
  #define FND_WIDEN_(from, p, small) __builtin_convertvector(*(const small *)(p), vec_i32)
#endif
FND_INLINE vec_i32 fnd_vec_u8(const u8 *p) { return FND_WIDEN_(u8, p, vec_u8_); }
FND_INLINE vec_i32 fnd_vec_i8(const u8 *p) { return FND_WIDEN_(i8, p, vec_i8_); }
FND_INLINE vec_i32 fnd_vec_u16(const u16 *p) { return __builtin_convertvector(*(const vec_u16_ *)p, vec_i32); }
FND_INLINE vec fnd_vec_of(vec_i32 v) { return __builtin_convertvector(v, vec); }

/* acc + for every row the dot product of 4 unsigned codes with 4 signed activations (`four`).
 * fnd_dot4 takes codes below 128. fnd_dot4_wide takes any that stand for code - 128, and counts them
 * from FND_WIDE_ZERO: where the instructions want it so, it multiplies signed codes, and no zero is
 * left to subtract. */
#if FND_VEC == 16 && defined(__AVX512VNNI__)
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, i32 four) {
    return (vec_i32)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)codes, _mm512_set1_epi32(four));
}
#elif FND_VEC == 8 && defined(__AVXVNNI__)
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, i32 four) {
    return (vec_i32)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)codes, _mm256_set1_epi32(four));
}
#elif FND_VEC == 16 && defined(__AVX512BW__)
/* Pairs of products fit 16 bits; of signed codes w, so do those of |w| and x * sign of w. */
FND_INLINE vec_i32 fnd_dot4_by_pairs_(vec_i32 acc, __m512i codes, __m512i x) {
    return acc + (vec_i32)_mm512_madd_epi16(_mm512_maddubs_epi16(codes, x), _mm512_set1_epi16(1));
}
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, i32 four) {
    return fnd_dot4_by_pairs_(acc, (__m512i)codes, _mm512_set1_epi32(four));
}
FND_INLINE vec_i32 fnd_dot4_wide(vec_i32 acc, vec_u8x4 codes, i32 four) {
    __m512i w = (__m512i)(codes ^ 128), x = _mm512_set1_epi32(four);
    x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    return fnd_dot4_by_pairs_(acc, _mm512_abs_epi8(w), x);
}
  #define FND_WIDE_ZERO 0
#elif FND_VEC == 8 && defined(__AVX2__)
FND_INLINE vec_i32 fnd_dot4_by_pairs_(vec_i32 acc, __m256i codes, __m256i x) {
    return acc + (vec_i32)_mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1));
}
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, i32 four) {
    return fnd_dot4_by_pairs_(acc, (__m256i)codes, _mm256_set1_epi32(four));
}
FND_INLINE vec_i32 fnd_dot4_wide(vec_i32 acc, vec_u8x4 codes, i32 four) {
    __m256i w = (__m256i)(codes ^ 128);
    return fnd_dot4_by_pairs_(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(_mm256_set1_epi32(four), w));
}
  #define FND_WIDE_ZERO 0
#else
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, i32 four) {
    i8 x[4];
    __builtin_memcpy(x, &four, 4);
    for (u32 i = 0; i < FND_VEC; i++)
        acc[i] += codes[4 * i] * x[0] + codes[4 * i + 1] * x[1] + codes[4 * i + 2] * x[2] + codes[4 * i + 3] * x[3];
    return acc;
}
#endif
#ifndef FND_WIDE_ZERO
  #define fnd_dot4_wide fnd_dot4
  #define FND_WIDE_ZERO 128
#endif
/* What of a policy's ZERO is left in the sums of its dot4. */
#define FND_ZERO_LEFT(zero) ((zero) == 128 ? FND_WIDE_ZERO : (zero))

FND_INLINE vec_u8x4 fnd_codes_load_(const u8 *p) { return *(const vec_u8x4_unaligned_ *)p; }
FND_INLINE vec_u8x4 fnd_nibbles_low_(vec_u8x4 v) { return v & 15; }
FND_INLINE vec_u8x4 fnd_nibbles_high_(vec_u8x4 v) { return (vec_u8x4)((vec_u16x2_)v >> 4) & 15; }

/* fnd_unpack_<bits>: quad j (0..7) of the 32 columns whose planes start at p. j is a constant after
 * unrolling, so the choices cost nothing. */
#define FND_PLANES_8 (32 * FND_VEC)
#define FND_PLANES_4 (16 * FND_VEC)
#define FND_PLANES_5 (20 * FND_VEC)
#define FND_PLANES_6 (24 * FND_VEC)
FND_INLINE vec_u8x4 fnd_unpack_8(const u8 *p, u32 j) { return fnd_codes_load_(p + j * 4 * FND_VEC); }
FND_INLINE vec_u8x4 fnd_unpack_4(const u8 *p, u32 j) {
    vec_u8x4 v = fnd_codes_load_(p + (j & 3) * 4 * FND_VEC);
    return j < 4 ? fnd_nibbles_low_(v) : fnd_nibbles_high_(v);
}
FND_INLINE vec_u8x4 fnd_unpack_5(const u8 *p, u32 j) {
    vec_u8x4 high = fnd_codes_load_(p + FND_PLANES_4);
    vec_u16x2_ h = (vec_u16x2_)high;
    h = j <= 4 ? h << (4 - j) : h >> (j - 4);
    return fnd_unpack_4(p, j) | ((vec_u8x4)h & 16);
}
FND_INLINE vec_u8x4 fnd_unpack_6(const u8 *p, u32 j) {
    vec_u8x4 high = fnd_codes_load_(p + FND_PLANES_4 + (j >> 2) * 4 * FND_VEC);
    vec_u16x2_ h = (vec_u16x2_)high;
    u32 from = (j & 3) * 2;
    h = from <= 4 ? h << (4 - from) : h >> (from - 4);
    return fnd_unpack_4(p, j) | ((vec_u8x4)h & 48);
}
#endif
