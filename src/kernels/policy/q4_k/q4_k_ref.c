/* q4_k_ref.c - Q4_K: { half d, dmin; uint8_t scales[12]; uint8_t qs[128]; }. 256 weights in pairs of
 * 32 that share 32 bytes: low nibbles, then high nibbles. Every 32 have a scale and a minimum of 6
 * bits: the first four of each lie in the low 6 bits of bytes 0-3 and 4-7; of the last four, the low
 * nibbles are in bytes 8-11 (scale, minimum) and the upper 2 bits above those of the first four.
 * weight = d * scale * nibble - dmin * minimum. */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q4_k(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 256; block++, row += 144) {
        double d = fnd_ref_f16(row), dmin = fnd_ref_f16(row + 2);
        const unsigned char *packed = row + 4, *qs = row + 16;
        int scale[8], minimum[8];
        for (int i = 0; i < 4; i++) {
            scale[i] = packed[i] % 64;
            minimum[i] = packed[4 + i] % 64;
            scale[4 + i] = packed[8 + i] % 16 + packed[i] / 64 * 16;
            minimum[4 + i] = packed[8 + i] / 16 + packed[4 + i] / 64 * 16;
        }
        for (int pair = 0; pair < 4; pair++, qs += 32) {
            int i = 2 * pair;
            for (int j = 0; j < 32; j++) *w++ = d * scale[i] * (qs[j] % 16) - dmin * minimum[i];
            i++;
            for (int j = 0; j < 32; j++) *w++ = d * scale[i] * (qs[j] / 16) - dmin * minimum[i];
        }
    }
}
