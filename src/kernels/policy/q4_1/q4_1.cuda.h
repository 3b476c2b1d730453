/* policy/q4_1/q4_1.cuda.h - Q4_1 as the CUDA strategy sees it: codes, and per 32 weights a scale and a minimum. */
#ifndef POLICY_Q4_1_CUDA_H
#define POLICY_Q4_1_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/q4_1/q4_1.h"

#define q4_1_codes(c) (c)
FND_INLINE void q4_1_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    (void)group;
    *scale = fnd_f16_to_f32(*(const u16 *)fields);
    *min = fnd_f16_to_f32(*(const u16 *)(fields + 2));
}
#endif
