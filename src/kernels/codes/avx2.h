/* codes/avx2.h - codes with AVX2, and with the dot products of AVX-VNNI. */
#ifndef CODES_AVX2_H
#define CODES_AVX2_H
#include <immintrin.h>

FND_INLINE void fnd_codes_store(i8 *codes, vec whole) {
    __m256i wide = _mm256_cvtps_epi32((__m256)whole);
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)codes, _mm_packs_epi16(half, half));
}
FND_INLINE vec_u8x4 fnd_codes_look_up(const i8 *values, vec_u8x4 u) {
    __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)values));
    return (vec_u8x4)_mm256_shuffle_epi8(table, (__m256i)u);
}
/* Compilers turn the conversion of small vectors into one scalar move a lane. */
FND_INLINE vec_i32 fnd_vec_u8(const u8 *p) { return (vec_i32)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i_u *)p)); }
FND_INLINE vec_i32 fnd_vec_i8(const u8 *p) { return (vec_i32)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i_u *)p)); }
FND_INLINE vec_i32 fnd_vec_u16(const u16 *p) { return __builtin_convertvector(*(const vec_u16_ *)p, vec_i32); }

FND_INLINE vec fnd_vec_fma(vec a, f32 b, vec sum) { return (vec)_mm256_fmadd_ps((__m256)a, _mm256_set1_ps(b), (__m256)sum); }

#if defined(__AVXVNNI__)
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    return (vec_i32)_mm256_dpbusd_avx_epi32((__m256i)acc, (__m256i)codes, _mm256_set1_epi32(fnd_four_(x, n)));
}
  #define fnd_dot4_wide fnd_dot4
  #define FND_WIDE_ZERO 128
#else
/* Pairs of products fit 16 bits; of signed codes w, so do those of |w| and x * sign of w. */
FND_INLINE vec_i32 fnd_dot4_by_pairs_(vec_i32 acc, __m256i codes, __m256i x) {
    return acc + (vec_i32)_mm256_madd_epi16(_mm256_maddubs_epi16(codes, x), _mm256_set1_epi16(1));
}
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    return fnd_dot4_by_pairs_(acc, (__m256i)codes, _mm256_set1_epi32(fnd_four_(x, n)));
}
FND_INLINE vec_i32 fnd_dot4_wide(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    __m256i w = (__m256i)(codes ^ 128);
    return fnd_dot4_by_pairs_(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(_mm256_set1_epi32(fnd_four_(x, n)), w));
}
  #define FND_WIDE_ZERO 0
#endif
#endif
