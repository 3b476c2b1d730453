/* policy/iq4_nl/iq4_nl.cpu.h - IQ4_NL as the CPU strategies see it: 4-bit codes in tiles, which a
 * table turns into 8-bit ones, and per 32 weights a scale. */
#ifndef POLICY_IQ4_NL_CPU_H
#define POLICY_IQ4_NL_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/iq4_nl/iq4_nl.h"

#define iq4_nl_PLANES      FND_PLANES_4
#define iq4_nl_dot4        fnd_dot4_wide

/* Quad j of 32 columns: value + 128 of every code. */
FND_INLINE vec_u8x4 iq4_nl_unpack(const u8 *p, u32 j) {
    vec_u8x4 u = fnd_unpack_4(p, j);
#if FND_VEC == 16 && defined(__AVX512BW__)
    __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i_u *)iq4_nl_values));
    return (vec_u8x4)_mm512_shuffle_epi8(values, (__m512i)u) ^ 128;
#elif FND_VEC == 8 && defined(__AVX2__)
    __m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)iq4_nl_values));
    return (vec_u8x4)_mm256_shuffle_epi8(values, (__m256i)u) ^ 128;
#else
    for (u32 i = 0; i < 4 * FND_VEC; i++) u[i] = (u8)(iq4_nl_values[u[i]] + 128);
    return u;
#endif
}
/* Scales of one tile for a group of a block. */
FND_INLINE void iq4_nl_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}
#endif
