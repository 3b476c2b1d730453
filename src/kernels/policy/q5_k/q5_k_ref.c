/* q5_k_ref.c - Q5_K: { half d, dmin; uint8_t scales[12]; uint8_t qh[32]; uint8_t qs[128]; }. Scales,
 * minima and nibbles as in Q4_K; bit i of qh[j] is the fifth bit of weight j of the i-th 32.
 * weight = d * scale * code - dmin * minimum. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q5_k(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 256; block++, row += 176) {
        double d = fnd_ref_f16(row), dmin = fnd_ref_f16(row + 2);
        const unsigned char *packed = row + 4, *qh = row + 16, *qs = row + 48;
        for (int i = 0, bit = 1; i < 8; i++, bit *= 2) {
            int scale, minimum;
            if (i < 4) {
                scale = packed[i] % 64;
                minimum = packed[i + 4] % 64;
            } else {
                scale = packed[i + 4] % 16 + packed[i - 4] / 64 * 16;
                minimum = packed[i + 4] / 16 + packed[i] / 64 * 16;
            }
            for (int j = 0; j < 32; j++) {
                int byte = qs[i / 2 * 32 + j], code = i % 2 ? byte / 16 : byte % 16;
                if (qh[j] & bit) code += 16;
                *w++ = d * scale * code - dmin * minimum;
            }
        }
    }
}
