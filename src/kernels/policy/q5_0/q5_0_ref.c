/* q5_0_ref.c - Q5_0: { half d; uint32_t qh; uint8_t qs[16]; }, nibbles as in Q4_0, bit j of qh is the
 * fifth bit of weight j; weight = d * (code - 16). */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q5_0(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 32; block++, row += 22, w += 32) {
        double d = fnd_ref_f16(row);
        uint32_t qh = 0;
        for (int i = 3; i >= 0; i--) qh = qh * 256 + row[2 + i];
        for (int j = 0; j < 32; j++, qh /= 2) {
            int nibble = j < 16 ? row[6 + j] % 16 : row[6 + j - 16] / 16;
            w[j] = d * (nibble + 16 * (int)(qh % 2) - 16);
        }
    }
}
