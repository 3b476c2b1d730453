/* policy/q6_k/q6_k.cuda.h - Q6_K as the CUDA strategy sees it: codes, and per 16 weights a scale of 8 bits. */
#ifndef POLICY_Q6_K_CUDA_H
#define POLICY_Q6_K_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/q6_k/q6_k.h"

#define q6_k_codes(c) (c)
FND_INLINE void q6_k_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    (void)min;
    *scale = fnd_f16_to_f32(*(const u16 *)(fields + 16)) * (f32)(i8)fields[group];
}
#endif
