/* policy/bf16/bf16.cuda.h - BF16 as the CUDA strategy sees it. */
#ifndef POLICY_BF16_CUDA_H
#define POLICY_BF16_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/bf16/bf16.h"

#define bf16_FLOATS 1
/* Columns c .. c + 7 of a row: as they come from memory, and their values. */
typedef fnd_four bf16_raw8;
FND_INLINE bf16_raw8 bf16_fetch8(const u8 *row, u32 c) { return fnd_load_four(row + 2 * (u64)c); }
FND_INLINE void bf16_widen8(bf16_raw8 r, f32 *v) {
    const u32 words[4] = { r.x, r.y, r.z, r.w };
    FND_UNROLL for (u32 i = 0; i < 4; i++) {
        v[2 * i] = fnd_bits_f32(words[i] << 16);
        v[2 * i + 1] = fnd_bits_f32(words[i] & 0xffff0000u);
    }
}
#endif
