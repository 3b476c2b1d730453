/* gemv/take.cpu.h - from rows as a file has them to the planes and fields of a tile (gemv/tile.cpu.h), a block
 * of FND_VEC rows at a time, by turning matrices of 32-bit words in registers: what repacking writes, and what
 * is multiplied at once where nothing was repacked (gemv/dot_rows.cpu.h).
 *
 *     fnd_words4     w[j] = for every row, bytes 4j .. 4j + 3 of the 16 at p; rows are `stride` bytes apart
 *     fnd_put_u16    the low 16 bits of every row, as [row]; fnd_put_u8: the low 8
 *
 * and by them what formats are made of: fnd_take_<bits> for the codes of a block of 32. */
#ifndef GEMV_TAKE_CPU_H
#define GEMV_TAKE_CPU_H
#include "codes.cpu.h"

typedef u32 vec_u32 __attribute__((vector_size(4 * FND_VEC)));
typedef u32 vec_u32_unaligned_ __attribute__((vector_size(4 * FND_VEC), aligned(1), may_alias));
FND_INLINE void fnd_put_u32(u8 *to, vec_u32 v) { *(vec_u32_unaligned_ *)to = v; }

#if FND_VEC == 16 && defined(__AVX512BW__)
  #define FND_ROW_(r) _mm_loadu_si128((const __m128i_u *)(p + (r) * stride))
FND_INLINE __m512i fnd_every_fourth_(const u8 *p, u64 stride) {
    __m512i v = _mm512_inserti32x4(_mm512_castsi128_si512(FND_ROW_(0)), FND_ROW_(4), 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(v, FND_ROW_(8), 2), FND_ROW_(12), 3);
}
FND_INLINE void fnd_words4(const u8 *p, u64 stride, vec_u32 *w) {
    __m512i a = fnd_every_fourth_(p, stride), b = fnd_every_fourth_(p + stride, stride);
    __m512i c = fnd_every_fourth_(p + 2 * stride, stride), d = fnd_every_fourth_(p + 3 * stride, stride);
    __m512i ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    w[0] = (vec_u32)_mm512_unpacklo_epi64(ab, cd);
    w[1] = (vec_u32)_mm512_unpackhi_epi64(ab, cd);
    ab = _mm512_unpackhi_epi32(a, b);
    cd = _mm512_unpackhi_epi32(c, d);
    w[2] = (vec_u32)_mm512_unpacklo_epi64(ab, cd);
    w[3] = (vec_u32)_mm512_unpackhi_epi64(ab, cd);
}
  #undef FND_ROW_
FND_INLINE void fnd_put_u16(u8 *to, vec_u32 v) { _mm256_storeu_si256((__m256i_u *)to, _mm512_cvtepi32_epi16((__m512i)v)); }
FND_INLINE void fnd_put_u8(u8 *to, vec_u32 v) { _mm_storeu_si128((__m128i_u *)to, _mm512_cvtepi32_epi8((__m512i)v)); }
#elif FND_VEC == 8 && defined(__AVX2__)
FND_INLINE __m256i fnd_every_fourth_(const u8 *p, u64 stride) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)p)), _mm_loadu_si128((const __m128i_u *)(p + 4 * stride)), 1);
}
FND_INLINE void fnd_words4(const u8 *p, u64 stride, vec_u32 *w) {
    __m256i a = fnd_every_fourth_(p, stride), b = fnd_every_fourth_(p + stride, stride);
    __m256i c = fnd_every_fourth_(p + 2 * stride, stride), d = fnd_every_fourth_(p + 3 * stride, stride);
    __m256i ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
    w[0] = (vec_u32)_mm256_unpacklo_epi64(ab, cd);
    w[1] = (vec_u32)_mm256_unpackhi_epi64(ab, cd);
    ab = _mm256_unpackhi_epi32(a, b);
    cd = _mm256_unpackhi_epi32(c, d);
    w[2] = (vec_u32)_mm256_unpacklo_epi64(ab, cd);
    w[3] = (vec_u32)_mm256_unpackhi_epi64(ab, cd);
}
FND_INLINE __m128i fnd_halves_(vec_u32 v) { return _mm_packus_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1)); }
FND_INLINE void fnd_put_u16(u8 *to, vec_u32 v) { _mm_storeu_si128((__m128i_u *)to, fnd_halves_(v & 0xffffu)); }
FND_INLINE void fnd_put_u8(u8 *to, vec_u32 v) {
    __m128i halves = fnd_halves_(v & 255u);
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(halves, halves));
}
#elif FND_VEC == 4 && defined(__AARCH64EL__)
FND_INLINE void fnd_words4(const u8 *p, u64 stride, vec_u32 *w) {
    uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(p)), b = vreinterpretq_u32_u8(vld1q_u8(p + stride));
    uint32x4_t c = vreinterpretq_u32_u8(vld1q_u8(p + 2 * stride)), d = vreinterpretq_u32_u8(vld1q_u8(p + 3 * stride));
    uint64x2_t ab = vreinterpretq_u64_u32(vtrn1q_u32(a, b)), cd = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
    w[0] = (vec_u32)vtrn1q_u64(ab, cd);
    w[2] = (vec_u32)vtrn2q_u64(ab, cd);
    ab = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    cd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    w[1] = (vec_u32)vtrn1q_u64(ab, cd);
    w[3] = (vec_u32)vtrn2q_u64(ab, cd);
}
FND_INLINE void fnd_put_u16(u8 *to, vec_u32 v) { vst1_u8(to, vreinterpret_u8_u16(vmovn_u32((uint32x4_t)v))); }
FND_INLINE void fnd_put_u8(u8 *to, vec_u32 v) {
    uint16x4_t half = vmovn_u32((uint32x4_t)v);
    u32 four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(half, half))), 0);
    __builtin_memcpy(to, &four, 4);
}
#else
FND_INLINE void fnd_words4(const u8 *p, u64 stride, vec_u32 *w) {
    for (u32 r = 0; r < FND_VEC; r++)
        for (u32 j = 0; j < 4; j++) w[j][r] = fnd_load_u32(p + r * stride + 4 * j);
}
FND_INLINE void fnd_put_u16(u8 *to, vec_u32 v) {
    for (u32 r = 0; r < 2 * FND_VEC; r++) to[r] = (u8)(v[r / 2] >> r % 2 * 8);
}
FND_INLINE void fnd_put_u8(u8 *to, vec_u32 v) {
    for (u32 r = 0; r < FND_VEC; r++) to[r] = (u8)v[r];
}
#endif

FND_INLINE void fnd_words8(const u8 *p, u64 stride, vec_u32 *w) {
    fnd_words4(p, stride, w);
    fnd_words4(p + 16, stride, w + 4);
}

/* Fields of `count` (1 or 2) 16-bit units; 16 bytes at p are the block's. */
FND_INLINE void fnd_take_units(u8 *fields, const u8 *p, u64 stride, u32 count) {
    vec_u32 w[4];
    fnd_words4(p, stride, w);
    fnd_put_u16(fields, w[0]);
    if (count == 2) fnd_put_u16(fields + 2 * FND_VEC, w[0] >> 16);
}

/* ---- codes of 32 columns to their planes ---- */

/* `flip`: what signed codes differ by from unsigned ones. */
FND_INLINE void fnd_take_8(u8 *planes, const u8 *p, u64 stride, u32 flip) {
    vec_u32 w[8];
    fnd_words8(p, stride, w);
    FND_UNROLL for (u32 j = 0; j < 8; j++) fnd_put_u32(planes + j * 4 * FND_VEC, w[j] ^ flip * 0x01010101u);
}
/* 16 bytes: low nibbles are columns 0 .. 15, high ones 16 .. 31. */
FND_INLINE void fnd_take_4(u8 *planes, const u8 *p, u64 stride) {
    vec_u32 w[4];
    fnd_words4(p, stride, w);
    FND_UNROLL for (u32 j = 0; j < 4; j++) fnd_put_u32(planes + j * 4 * FND_VEC, w[j]);
}
/* The same, and `high`, whose bit k is bit 4 of column k = 4 j + b. In its plane that is bit j of byte b:
 * the bits of k turned by two places, by four exchanges of two of them. */
FND_INLINE vec_u32 fnd_exchange_(vec_u32 v, u32 distance, u32 mask) {
    vec_u32 t = ((v >> distance) ^ v) & mask;
    return v ^ t ^ (t << distance);
}
FND_INLINE void fnd_take_5(u8 *planes, const u8 *p, u64 stride, vec_u32 high) {
    fnd_take_4(planes, p, stride);
    high = fnd_exchange_(high, 14, 0x0000ccccu);
    high = fnd_exchange_(high, 7, 0x00aa00aau);
    high = fnd_exchange_(high, 2, 0x0c0c0c0cu);
    fnd_put_u32(planes + FND_VEC * 16, fnd_exchange_(high, 1, 0x22222222u));
}

/* Nibbles of 32 bytes for 32 columns, the low (shift 0) or the high (4) ones of w, to the planes of 4 bits. */
FND_INLINE void fnd_put_nibbles(u8 *planes, const vec_u32 *w, u32 shift) {
    FND_UNROLL for (u32 j = 0; j < 4; j++)
        fnd_put_u32(planes + j * 4 * FND_VEC, ((w[j] >> shift) & 0x0f0f0f0fu) | ((w[j + 4] >> shift) & 0x0f0f0f0fu) << 4);
}
#endif
