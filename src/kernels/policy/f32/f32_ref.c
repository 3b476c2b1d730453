/* f32_ref.c - F32: IEEE 754 binary32, little endian. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_f32(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned k = 0; k < cols; k++, row += 4) {
        uint32_t bits = row[0] + 256u * row[1] + 65536u * row[2] + 16777216u * row[3];
        w[k] = fnd_ref_float(bits, 8, 23);
    }
}
