/* policy/q4_1/q4_1.metal.h - Q4_1 as the Metal strategies see it: codes of 4 bits, masked where they stand. */
#ifndef POLICY_Q4_1_METAL_H
#define POLICY_Q4_1_METAL_H
#include "gemv/masked.metal.h"
#include "policy/q4_1/q4_1.h"

#define q4_1_MASKED 1

#define q4_1_high(g) ((g) % 2)
/* Columns 16 g .. 16 g + 15 of a row times x, prescaled; sum: of x as it was. */
FND_INLINE f32 q4_1_masked16(const FND_GPU u8 *row, u32 g, const FND_OWN f32 *x, f32 sum) {
    const FND_GPU u8 *block = row + (u64)(g / 2) * 20;
    return fnd_half_at(block) * fnd_masked16(block + 4, g % 2, x) + fnd_half_at(block + 2) * sum;
}
#endif
