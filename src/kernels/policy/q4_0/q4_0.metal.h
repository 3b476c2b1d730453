/* policy/q4_0/q4_0.metal.h - Q4_0 as the Metal strategies see it: codes of 4 bits, masked where they stand. */
#ifndef POLICY_Q4_0_METAL_H
#define POLICY_Q4_0_METAL_H
#include "gemv/masked.metal.h"
#include "policy/q4_0/q4_0.h"

#define q4_0_MASKED 1

#define q4_0_high(g) ((g) % 2)
/* Columns 16 g .. 16 g + 15 of a row times x, prescaled; sum: of x as it was. */
FND_INLINE f32 q4_0_masked16(const FND_GPU u8 *row, u32 g, const FND_OWN f32 *x, f32 sum) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 18;
    return fnd_half_at(block) * (fnd_masked16(block + 2, g % 2, x) - 8.0f * sum);
}
#endif
