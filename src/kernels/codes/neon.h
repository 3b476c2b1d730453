/* codes/neon.h - codes with the vectors of arm64, with its dot products (FEAT_DotProd), and with its
 * matrix products (FEAT_I8MM). All of them multiply signed numbers, which codes below 128 are as well. */
#ifndef CODES_NEON_H
#define CODES_NEON_H
#include <arm_neon.h>

FND_INLINE void fnd_codes_store(i8 *codes, vec whole) {
    int16x4_t half = vmovn_s32(vcvtq_s32_f32((float32x4_t)whole));
    u32 four = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(half, half))), 0);
    __builtin_memcpy(codes, &four, 4);
}
FND_INLINE vec_u8x4 fnd_codes_look_up(const i8 *values, vec_u8x4 u) {
    return (vec_u8x4)vqtbl1q_s8(vld1q_s8(values), (uint8x16_t)u);
}
/* Compilers turn the conversion of small vectors into one scalar move a lane. */
FND_INLINE vec_i32 fnd_vec_u16(const u16 *p) { return (vec_i32)vmovl_u16(vld1_u16(p)); }
FND_INLINE vec_i32 fnd_vec_u8(const u8 *p) {
    return (vec_i32)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8((u32)fnd_four_((const i8 *)p, 0)))));
}
FND_INLINE vec_i32 fnd_vec_i8(const u8 *p) {
    return (vec_i32)vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8((u32)fnd_four_((const i8 *)p, 0)))));
}

FND_INLINE vec fnd_vec_fma(vec a, f32 b, vec sum) { return (vec)vfmaq_n_f32((float32x4_t)sum, (float32x4_t)a, b); }

#if defined(__ARM_FEATURE_DOTPROD)
/* The n-th four of x is a lane of 16 bytes that are loaded once for four of them. */
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    int8x16_t fours = vld1q_s8(x + n / 4 * 16);
    switch (n % 4) {
    case 0: return (vec_i32)vdotq_laneq_s32((int32x4_t)acc, (int8x16_t)codes, fours, 0);
    case 1: return (vec_i32)vdotq_laneq_s32((int32x4_t)acc, (int8x16_t)codes, fours, 1);
    case 2: return (vec_i32)vdotq_laneq_s32((int32x4_t)acc, (int8x16_t)codes, fours, 2);
    default: return (vec_i32)vdotq_laneq_s32((int32x4_t)acc, (int8x16_t)codes, fours, 3);
    }
}
#else
/* Products of 8 bits, of which two fit 16 bits: 127 * 128 * 2. */
FND_INLINE vec_i32 fnd_dot4(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) {
    int8x16_t w = (int8x16_t)codes, four = vreinterpretq_s8_s32(vdupq_n_s32(fnd_four_(x, n)));
    int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(four)), high = vmull_high_s8(w, four);
    return (vec_i32)vpadalq_s16((int32x4_t)acc, vpaddq_s16(low, high));
}
#endif
FND_INLINE vec_i32 fnd_dot4_wide(vec_i32 acc, vec_u8x4 codes, const i8 *x, u32 n) { return fnd_dot4(acc, codes ^ 128, x, n); }
#define FND_WIDE_ZERO 0

#if defined(__ARM_FEATURE_MATMUL_INT8)
/* Rows x tokens, 2 x 2: an instruction multiplies 8 columns of two rows with those of two tokens. */
  #define FND_DOT_PAIRS 1
typedef struct fnd_pair { vec_i32 of[2]; } fnd_pair; /* begins as zeros */
/* u: two quads of columns, signed; x: 8 codes of a token, then 8 of another. */
FND_INLINE void fnd_pair_add(fnd_pair *pair, const vec_u8x4 *u, const i8 *x) {
    int32x4_t a = (int32x4_t)u[0], b = (int32x4_t)u[1];
    int8x16_t both = vld1q_s8(x);
    pair->of[0] = (vec_i32)vmmlaq_s32((int32x4_t)pair->of[0], vreinterpretq_s8_s32(vzip1q_s32(a, b)), both);
    pair->of[1] = (vec_i32)vmmlaq_s32((int32x4_t)pair->of[1], vreinterpretq_s8_s32(vzip2q_s32(a, b)), both);
}
/* The sums of every row, of one token and of the other. */
FND_INLINE void fnd_pair_end(fnd_pair pair, vec_i32 *acc) {
    acc[0] = (vec_i32)vuzp1q_s32((int32x4_t)pair.of[0], (int32x4_t)pair.of[1]);
    acc[1] = (vec_i32)vuzp2q_s32((int32x4_t)pair.of[0], (int32x4_t)pair.of[1]);
}
#endif
#endif
