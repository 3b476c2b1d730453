/* iq4_nl_ref.c - IQ4_NL: { half d; uint8_t qs[16]; }, nibbles as in Q4_0, each the index of one of
 * 16 values; weight = d * value. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_iq4_nl(const unsigned char *row, unsigned cols, double *w) {
    static const int values[16] = {
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
    };
    for (unsigned block = 0; block < cols / 32; block++, row += 18, w += 32) {
        double d = fnd_ref_f16(row);
        for (int j = 0; j < 16; j++) {
            w[j] = d * values[row[2 + j] % 16];
            w[j + 16] = d * values[row[2 + j] / 16];
        }
    }
}
