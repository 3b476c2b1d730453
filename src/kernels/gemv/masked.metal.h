/* gemv/masked.metal.h - products with codes of 4 bits that are masked and not shifted.
 *
 * Two bytes of codes are a word of 16 bits; its low nibbles are columns 2i and 2i + 1, its high ones are of
 * another group of columns. Masked, the four are u, 256 u, 16 u and 4,096 u, exact as floats; the activations
 * are divided by these powers of two, once for all rows, which is exact too. */
#ifndef GEMV_MASKED_METAL_H
#define GEMV_MASKED_METAL_H
#include "fnd_device.h"

/* 16 activations for codes in high (1) or low (0) nibbles. */
FND_INLINE void fnd_prescale16(u32 high, FND_OWN f32 *x) {
    f32 even = high ? 0.0625f : 1.0f, odd = even * 0.00390625f;
    FND_UNROLL for (u32 i = 0; i < 16; i += 2) {
        x[i] *= even;
        x[i + 1] *= odd;
    }
}
/* The sum of u x over 16 columns: high or low nibbles of 16 bytes. */
FND_INLINE f32 fnd_masked16(const FND_GPU u8 *codes, u32 high, const FND_OWN f32 *x) {
    const FND_GPU u16 *words = (const FND_GPU u16 *)codes;
    u32 even = 0x000fu << 4 * high, odd = 0x0f00u << 4 * high;
    f32 sum = 0.0f, sum_odd = 0.0f;
    FND_UNROLL for (u32 i = 0; i < 8; i++) {
        u32 word = words[i];
        sum += (f32)(word & even) * x[2 * i];
        sum_odd += (f32)(word & odd) * x[2 * i + 1];
    }
    return sum + sum_odd;
}
FND_INLINE f32 fnd_half_at(const FND_GPU u8 *p) { return fnd_f16_to_f32(*(const FND_GPU u16 *)p); }
#endif
