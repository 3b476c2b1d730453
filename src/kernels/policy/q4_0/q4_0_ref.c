/* q4_0_ref.c - Q4_0: { half d; uint8_t qs[16]; }, the low nibble of qs[j] is weight j, the high one
 * weight j + 16; weight = d * (nibble - 8). */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q4_0(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 32; block++, row += 18, w += 32) {
        double d = fnd_ref_f16(row);
        for (int j = 0; j < 16; j++) {
            w[j] = d * (row[2 + j] % 16 - 8);
            w[j + 16] = d * (row[2 + j] / 16 - 8);
        }
    }
}
