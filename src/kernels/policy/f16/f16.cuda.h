/* policy/f16/f16.cuda.h - F16 as the CUDA strategy sees it. */
#ifndef POLICY_F16_CUDA_H
#define POLICY_F16_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/f16/f16.h"

#define f16_FLOATS 1
/* Columns c .. c + 7 of a row. */
FND_INLINE void f16_load8(const u8 *row, u32 c, f32 *v) {
    fnd_four a = fnd_load_four(row + 2 * (u64)c);
    const u32 words[4] = { a.x, a.y, a.z, a.w };
    FND_UNROLL for (u32 i = 0; i < 4; i++) {
        v[2 * i] = fnd_f16_to_f32((u16)words[i]);
        v[2 * i + 1] = fnd_f16_to_f32((u16)(words[i] >> 16));
    }
}
#endif
