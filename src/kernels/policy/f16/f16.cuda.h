/* policy/f16/f16.cuda.h - F16 as the CUDA strategy sees it. */
#ifndef POLICY_F16_CUDA_H
#define POLICY_F16_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/f16/f16.h"

#define f16_FLOATS 1
/* Columns c .. c + 7 of a row: as they come from memory, and their values. */
typedef fnd_four f16_raw8;
FND_INLINE f16_raw8 f16_fetch8(const u8 *row, u32 c) { return fnd_load_four(row + 2 * (u64)c); }
FND_INLINE void f16_widen8(f16_raw8 r, f32 *v) {
    const u32 words[4] = { r.x, r.y, r.z, r.w };
    FND_UNROLL for (u32 i = 0; i < 4; i++) {
        v[2 * i] = fnd_f16_to_f32((u16)words[i]);
        v[2 * i + 1] = fnd_f16_to_f32((u16)(words[i] >> 16));
    }
}
#endif
