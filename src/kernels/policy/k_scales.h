/* policy/k_scales.h - the 6-bit scales s and minima m as Q4_K and Q5_K have them: 8 of each in 12
 * bytes.
 *
 *   byte          bits 6-7            bits 4-5   bits 0-3
 *   j     (0-3)   bits 4-5 of s[j+4]  s[j] ................
 *   j + 4 (4-7)   bits 4-5 of m[j+4]  m[j] ................
 *   j + 8 (8-11)  bits 0-3 of m[j+4] (bits 4-7) and of s[j+4] (bits 0-3)
 */
#ifndef POLICY_K_SCALES_H
#define POLICY_K_SCALES_H
#include "fnd_device.h"

FND_INLINE u32 fnd_k_scale(const FND_GPU u8 *packed, u32 j) {
    return j < 4 ? packed[j] & 63u : (packed[j + 4] & 15u) | (u32)(packed[j - 4] >> 6) << 4;
}
FND_INLINE u32 fnd_k_min(const FND_GPU u8 *packed, u32 j) {
    return j < 4 ? packed[j + 4] & 63u : (u32)(packed[j + 4] >> 4) | (u32)(packed[j] >> 6) << 4;
}
#endif
