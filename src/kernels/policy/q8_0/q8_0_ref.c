/* q8_0_ref.c - Q8_0: { half d; int8_t qs[32]; }, weight j = d * qs[j]. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q8_0(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 32; block++, row += 34, w += 32) {
        double d = fnd_ref_f16(row);
        for (int j = 0; j < 32; j++) w[j] = d * (row[2 + j] < 128 ? row[2 + j] : row[2 + j] - 256);
    }
}
