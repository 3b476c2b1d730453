/* codes/avx512.h - codes with AVX-512 BW, and with the dot products of AVX-512 VNNI. */
#ifndef CODES_AVX512_H
#define CODES_AVX512_H
#include <immintrin.h>

FND_INLINE void fnd_codes_store(i8 *codes, vec whole) {
    *(vec_i8_ *)codes = __builtin_convertvector(__builtin_convertvector(whole, vec_i32_), vec_i8_);
}
FND_INLINE vec_u8x4 fnd_codes_look_up(const i8 *values, vec_u8x4 u) {
    __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i_u *)values));
    return (vec_u8x4)_mm512_shuffle_epi8(table, (__m512i)u);
}
/* Compilers turn the conversion of small vectors into one scalar move a lane. */
FND_INLINE vec_i32 fnd_vec_u8(const u8 *p) { return (vec_i32)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)p)); }
FND_INLINE vec_i32 fnd_vec_i8(const u8 *p) { return (vec_i32)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i_u *)p)); }
FND_INLINE vec_i32 fnd_vec_u16(const u16 *p) { return __builtin_convertvector(*(const vec_u16_ *)p, vec_i32); }

FND_INLINE vec fnd_vec_fma(vec a, f32 b, vec sum) { return (vec)_mm512_fmadd_ps((__m512)a, _mm512_set1_ps(b), (__m512)sum); }

#if defined(__AVX512VNNI__)
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    return (vec_i32)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)codes, _mm512_set1_epi32(fnd_four_(x, n)));
}
  #define fnd_dot4_wide fnd_dot4
  #define FND_WIDE_ZERO 128
#else
/* Pairs of products fit 16 bits; of signed codes w, so do those of |w| and x * sign of w. */
FND_INLINE vec_i32 fnd_dot4_by_pairs_(vec_i32 acc, __m512i codes, __m512i x) {
    return acc + (vec_i32)_mm512_madd_epi16(_mm512_maddubs_epi16(codes, x), _mm512_set1_epi16(1));
}
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    return fnd_dot4_by_pairs_(acc, (__m512i)codes, _mm512_set1_epi32(fnd_four_(x, n)));
}
FND_INLINE vec_i32 fnd_dot4_wide(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    __m512i w = (__m512i)(codes ^ 128), four = _mm512_set1_epi32(fnd_four_(x, n));
    four = _mm512_mask_sub_epi8(four, _mm512_movepi8_mask(w), _mm512_setzero_si512(), four);
    return fnd_dot4_by_pairs_(acc, _mm512_abs_epi8(w), four);
}
  #define FND_WIDE_ZERO 0
#endif
#endif
