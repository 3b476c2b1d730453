/* policy/q4_0/q4_0.cuda.h - Q4_0 as the CUDA strategy sees it: codes, and per 32 weights a scale. */
#ifndef POLICY_Q4_0_CUDA_H
#define POLICY_Q4_0_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/q4_0/q4_0.h"

#define q4_0_codes(c) (c)
FND_INLINE void q4_0_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    (void)group;
    (void)min;
    *scale = fnd_f16_to_f32(*(const u16 *)fields);
}
#endif
