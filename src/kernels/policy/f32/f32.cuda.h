/* policy/f32/f32.cuda.h - F32 as the CUDA strategy sees it. */
#ifndef POLICY_F32_CUDA_H
#define POLICY_F32_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/f32/f32.h"

#define f32_FLOATS 1
/* Columns c .. c + 7 of a row. */
FND_INLINE void f32_load8(const u8 *row, u32 c, f32 *v) {
    fnd_four a = fnd_load_four(row + 4 * (u64)c), b = fnd_load_four(row + 4 * (u64)c + 16);
    const u32 words[8] = { a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w };
    FND_UNROLL for (u32 i = 0; i < 8; i++) v[i] = fnd_bits_f32(words[i]);
}
#endif
