/* codes.cpu.h - 8-bit codes on a CPU: making them, widening them, and their dot product, once per
 * instruction set. Matrix kernels (gemv/) and attention over a cache of codes share them. */
#ifndef FND_CODES_CPU_H
#define FND_CODES_CPU_H
#include "fnd_device.h"
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
FND_INLINE vec_u8x4 fnd_codes_load_(const u8 *p) { return *(const vec_u8x4_unaligned_ *)p; }

/* Whole numbers of at most 127 to bytes. */
FND_INLINE void fnd_codes_store(i8 *codes, vec whole) {
#if FND_VEC == 8 && defined(__AVX2__)
    __m256i wide = _mm256_cvtps_epi32((__m256)whole);
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    _mm_storel_epi64((__m128i *)codes, _mm_packs_epi16(half, half));
#else
    vec_i32_ wide = __builtin_convertvector(whole, vec_i32_);
    *(vec_i8_ *)codes = __builtin_convertvector(wide, vec_i8_);
#endif
}
/* 32 values to codes of at most 127: value = scale * code. Gives the scale; total: sums of the first and
 * of the last 16 codes. */
FND_INLINE f32 fnd_codes_make(const f32 *v, i8 *codes, f32 *total) {
    vec most = fnd_vec_splat(0.0f);
    for (u32 k = 0; k < 32; k += FND_VEC) {
        vec x = fnd_vec_load(v + k);
        most = fnd_vec_max(most, fnd_vec_max(x, -x));
    }
    f32 peak = fnd_vec_max_lane(most), inverse = peak > 0.0f ? 127.0f / peak : 0.0f;
    total[0] = total[1] = 0.0f;
    for (u32 k = 0; k < 32; k += FND_VEC) {
        vec x = fnd_vec_load(v + k) * inverse;
        vec rounded = (x + 12582912.0f) - 12582912.0f;
        fnd_codes_store(codes + k, rounded);
        total[k / 16] += fnd_vec_sum(rounded);
    }
    return peak / 127.0f;
}

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
#endif
