/* policy/q4_k/q4_k.metal.h - Q4_K as the Metal strategies see it: codes of 4 bits, masked where they stand. */
#ifndef POLICY_Q4_K_METAL_H
#define POLICY_Q4_K_METAL_H
#include "gemv/masked.metal.h"
#include "policy/q4_k/q4_k.h"

#define q4_k_MASKED 1

#define q4_k_high(g) ((g) / 2 % 2)
/* Columns 16 g .. 16 g + 15 of a row times x, prescaled; sum: of x as it was. */
FND_INLINE f32 q4_k_masked16(const FND_GPU u8 *row, u32 g, const FND_OWN f32 *x, f32 sum) {
    const FND_GPU u8 *block = row + (u64)(g / 16) * 144;
    u32 j = g % 16 / 2;
    f32 scale = fnd_half_at(block) * (f32)fnd_k_scale(block + 4, j), min = fnd_half_at(block + 2) * (f32)fnd_k_min(block + 4, j);
    return scale * fnd_masked16(block + 16 + j / 2 * 32 + g % 2 * 16, j % 2, x) - min * sum;
}
#endif
