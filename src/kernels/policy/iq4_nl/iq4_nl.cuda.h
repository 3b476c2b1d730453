/* policy/iq4_nl/iq4_nl.cuda.h - IQ4_NL as the CUDA strategy sees it: codes that a table turns into 8-bit
 * ones, and per 32 weights a scale. */
#ifndef POLICY_IQ4_NL_CUDA_H
#define POLICY_IQ4_NL_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/iq4_nl/iq4_nl.h"

/* Value + 128 of every code. */
FND_INLINE fnd_codes iq4_nl_codes(fnd_codes c) {
    FND_UNROLL for (u32 j = 0; j < 8; j++) {
        u32 values = 0;
        FND_UNROLL for (u32 i = 0; i < 4; i++) values |= (u32)(iq4_nl_values[c.of[j] >> 8 * i & 15u] + 128) << 8 * i;
        c.of[j] = values;
    }
    return c;
}
FND_INLINE void iq4_nl_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    (void)group;
    (void)min;
    *scale = fnd_f16_to_f32(*(const u16 *)fields);
}
#endif
