/* bf16_ref.c - BF16: as binary32, with 7 bits of mantissa; little endian. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_bf16(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned k = 0; k < cols; k++) w[k] = fnd_ref_float(row[2 * k] + 256u * row[2 * k + 1], 8, 7);
}
