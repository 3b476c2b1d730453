/* policy/q5_k/q5_k.cuda.h - Q5_K as the CUDA strategy sees it: codes, and per 32 weights a scale and a minimum of 6
 * bits. */
#ifndef POLICY_Q5_K_CUDA_H
#define POLICY_Q5_K_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/q5_k/q5_k.h"

#define q5_k_codes(c) (c)
FND_INLINE void q5_k_scales(const u8 *fields, u32 group, f32 *scale, f32 *min) {
    *scale = fnd_f16_to_f32(*(const u16 *)fields) * (f32)fnd_k_scale(fields + 4, group);
    *min = -fnd_f16_to_f32(*(const u16 *)(fields + 2)) * (f32)fnd_k_min(fields + 4, group);
}
#endif
