/* codes/plain.h - codes in plain C: for any processor, and any FND_VEC. */
#ifndef CODES_PLAIN_H
#define CODES_PLAIN_H

FND_INLINE void fnd_codes_store(i8 *codes, vec whole) {
    *(vec_i8_ *)codes = __builtin_convertvector(__builtin_convertvector(whole, vec_i32_), vec_i8_);
}
FND_INLINE vec_u8x4 fnd_codes_look_up(const i8 *values, vec_u8x4 u) {
    for (u32 i = 0; i < 4 * FND_VEC; i++) u[i] = (u8)values[u[i]];
    return u;
}
FND_INLINE vec_i32 fnd_vec_u8(const u8 *p) { return __builtin_convertvector(*(const vec_u8_ *)p, vec_i32); }
FND_INLINE vec_i32 fnd_vec_i8(const u8 *p) { return __builtin_convertvector(*(const vec_i8_ *)p, vec_i32); }
FND_INLINE vec_i32 fnd_vec_u16(const u16 *p) { return __builtin_convertvector(*(const vec_u16_ *)p, vec_i32); }

FND_INLINE vec fnd_vec_fma(vec a, f32 b, vec sum) { return a * b + sum; }

FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    for (u32 i = 0; i < FND_VEC; i++) {
        for (u32 k = 0; k < 4; k++) acc[i] += codes[4 * i + k] * x[4 * n + k];
    }
    return acc;
}
#define fnd_dot4_wide fnd_dot4
#define FND_WIDE_ZERO 128
#endif
