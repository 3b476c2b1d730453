/* policy/f32/f32.cuda.h - F32 as the CUDA strategy sees it. */
#ifndef POLICY_F32_CUDA_H
#define POLICY_F32_CUDA_H
#include "gemv/row.cuda.h"
#include "policy/f32/f32.h"

#define f32_FLOATS 1
/* Columns c .. c + 7 of a row: as they come from memory, and their values. */
typedef struct f32_raw8 { fnd_four a, b; } f32_raw8;
FND_INLINE f32_raw8 f32_fetch8(const u8 *row, u32 c) {
    f32_raw8 r;
    r.a = fnd_load_four(row + 4 * (u64)c);
    r.b = fnd_load_four(row + 4 * (u64)c + 16);
    return r;
}
FND_INLINE void f32_widen8(f32_raw8 r, f32 *v) {
    const u32 words[8] = { r.a.x, r.a.y, r.a.z, r.a.w, r.b.x, r.b.y, r.b.z, r.b.w };
    FND_UNROLL for (u32 i = 0; i < 8; i++) v[i] = fnd_bits_f32(words[i]);
}
#endif
