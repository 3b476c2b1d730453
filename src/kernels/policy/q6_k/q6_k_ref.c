/* q6_k_ref.c - Q6_K: { uint8_t ql[128]; uint8_t qh[64]; int8_t scales[16]; half d; }. Each half of 128
 * weights has 64 bytes of ql, 32 of qh and 8 scales: of four runs of 32 weights, the first two have
 * their low bits in the low nibbles of ql, the others in the high ones, and each has two bits of
 * every byte of qh. weight = d * scale of its 16 * (code - 32). */
#include "kernels/policy/policy_ref.h"

void fnd_ref_decode_q6_k(const unsigned char *row, unsigned cols, double *w) {
    for (unsigned block = 0; block < cols / 256; block++, row += 210) {
        const unsigned char *ql = row, *qh = row + 128, *scales = row + 192;
        double d = fnd_ref_f16(row + 208);
        for (int part = 0; part < 2; part++, ql += 64, qh += 32, scales += 8, w += 128) {
            for (int l = 0; l < 32; l++) {
                int code[4] = {
                    ql[l] % 16 + qh[l] % 4 * 16,
                    ql[l + 32] % 16 + qh[l] / 4 % 4 * 16,
                    ql[l] / 16 + qh[l] / 16 % 4 * 16,
                    ql[l + 32] / 16 + qh[l] / 64 * 16,
                };
                for (int run = 0; run < 4; run++) {
                    int scale = scales[2 * run + l / 16];
                    if (scale > 127) scale -= 256;
                    w[32 * run + l] = d * scale * (code[run] - 32);
                }
            }
        }
    }
}
