/* codes.cpu.h - 8-bit codes on a CPU: making them, widening them, and their dot product. Matrix kernels
 * (gemv/) and attention over a cache of codes share them. What an instruction set has its own way for is
 * one file of codes/, and the same few functions in each:
 *
 *     fnd_codes_store    whole numbers of at most 127 to bytes
 *     fnd_codes_look_up  for every byte u < 16: values[u]
 *     fnd_vec_u8, fnd_vec_i8, fnd_vec_u16    FND_VEC small integers as i32
 *     fnd_vec_fma        a * b + sum, b a number for all lanes; rounded once where processors can
 *     fnd_dot4           acc + for every row the dot product of 4 unsigned codes below 128 with 4 signed
 *                        activations: the n-th four of x, which is read by 16 bytes
 *     fnd_dot4_wide      the same for any codes, which stand for code - 128 and count from FND_WIDE_ZERO:
 *                        where the instructions want it so, signed codes are multiplied, and no zero is
 *                        left to subtract
 *     FND_DOT_PAIRS      where it is defined, two tokens at once are better (gemv/dots.cpu.h) */
#ifndef FND_CODES_CPU_H
#define FND_CODES_CPU_H
#include "fnd_device.h"

typedef u8  vec_u8x4 __attribute__((vector_size(4 * FND_VEC)));
typedef u8  vec_u8x4_unaligned_ __attribute__((vector_size(4 * FND_VEC), aligned(1), may_alias));
typedef u16 vec_u16x2_ __attribute__((vector_size(4 * FND_VEC)));
typedef u8  vec_u8_ __attribute__((vector_size(FND_VEC), aligned(1), may_alias));
typedef i8  vec_i8_ __attribute__((vector_size(FND_VEC), aligned(1), may_alias));
typedef u16 vec_u16_ __attribute__((vector_size(2 * FND_VEC), aligned(1), may_alias));
typedef vec_i32_ vec_i32;
FND_INLINE vec_u8x4 fnd_codes_load_(const u8 *p) { return *(const vec_u8x4_unaligned_ *)p; }
FND_INLINE vec fnd_vec_of(vec_i32 v) { return __builtin_convertvector(v, vec); }
FND_INLINE i32 fnd_four_(const i8 *x, u32 n) { i32 four; __builtin_memcpy(&four, x + 4 * n, 4); return four; }

#if FND_VEC == 16 && defined(__AVX512BW__)
  #include "codes/avx512.h"
#elif FND_VEC == 8 && defined(__AVX2__)
  #include "codes/avx2.h"
#elif FND_VEC == 4 && defined(__AARCH64EL__)
  #include "codes/neon.h"
#else
  #include "codes/plain.h"
#endif

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
#endif
