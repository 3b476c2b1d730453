/* q5_1_ref.c - Q5_1: { half d, m; uint32_t qh; uint8_t qs[16]; }, codes as in Q5_0;
 * weight = d * code + m. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q5_1(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 32; block++, row += 24, w += 32) {
        double d = fnd_ref_f16(row), m = fnd_ref_f16(row + 2);
        uint32_t qh = 0;
        for (int i = 3; i >= 0; i--) qh = qh * 256 + row[4 + i];
        for (int j = 0; j < 32; j++, qh /= 2) {
            int nibble = j < 16 ? row[8 + j] % 16 : row[8 + j - 16] / 16;
            w[j] = d * (nibble + 16 * (int)(qh % 2)) + m;
        }
    }
}
