/* policy/iq4_nl/iq4_nl.cpu.h - IQ4_NL as the CPU strategies see it: 4-bit codes in tiles, which a
 * table turns into 8-bit ones, and per 32 weights a scale. */
#ifndef POLICY_IQ4_NL_CPU_H
#define POLICY_IQ4_NL_CPU_H
#include "gemv/tile.cpu.h"
#include "policy/iq4_nl/iq4_nl.h"

#define iq4_nl_PLANES      FND_PLANES_4

/* Quad j of 32 columns: value + 128 of every code. */
FND_INLINE vec_u8x4 iq4_nl_unpack(const u8 *p, u32 j) {
    return fnd_codes_look_up(iq4_nl_values, fnd_unpack_4(p, j)) ^ 128;
}
/* Scales of one tile for a group of a block. */
FND_INLINE void iq4_nl_scales(const u8 *fields, u32 group, vec *scale, vec *min) {
    (void)group;
    (void)min;
    *scale = fnd_vec_load_f16((const u16 *)fields);
}

/* One block of the tile's rows. */
#define iq4_nl_TAKES 1
FND_INLINE void iq4_nl_take(u8 *planes, u8 *fields, const u8 *block, u64 stride) {
    fnd_take_units(fields, block, stride, 1);
    fnd_take_4(planes, block + 2, stride);
}
#endif
