/* policy/q8_0/q8_0.cuda.h - Q8_0 as the CUDA strategy sees it: codes, and per 32 weights a scale. */
#ifndef POLICY_Q8_0_CUDA_H
#define POLICY_Q8_0_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/q8_0/q8_0.h"

#define q8_0_codes(c) (c)
FND_INLINE void q8_0_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    (void)group;
    (void)min;
    *scale = fnd_f16_to_f32(*(const u16 *)fields);
}
#endif
