/* q4_1_ref.c - Q4_1: { half d, m; uint8_t qs[16]; }, nibbles as in Q4_0; weight = d * nibble + m. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q4_1(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 32; block++, row += 20, w += 32) {
        double d = fnd_ref_f16(row), m = fnd_ref_f16(row + 2);
        for (int j = 0; j < 16; j++) {
            w[j] = d * (row[4 + j] % 16) + m;
            w[j + 16] = d * (row[4 + j] / 16) + m;
        }
    }
}
