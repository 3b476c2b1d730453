/* f16_ref.c - F16: IEEE 754 binary16, little endian. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_f16(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned k = 0; k < cols; k++) w[k] = fnd_ref_f16(row + 2 * k);
}
