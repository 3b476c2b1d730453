/* q6_k_codec.c - Q6_K: the scales with the least square error. */
#include "policy/q6_k/q6_k.h"
#include "policy/search_codec.h"

typedef struct q6_k_fit {
    f32 d; /* as F16 has it */
    i8 scale[16];
} q6_k_fit;

/* For each 16 weights the scale, of those about what they would like, that leaves the least error;
 * returns the d that is best for all. */
static f32 q6_k_choose(const f32 *x, const f32 *want, q6_k_fit *fit) {
    f32 by = fnd_inverse(fit->d), xq = 0.0f, qq = 0.0f;
    for (u32 j = 0; j < 16; j++) {
        f32 near = fnd_round(fnd_fmax(fnd_fmin(want[j] * by, 127.0f), -128.0f)), scale[16], d[16], inverse[16];
        for (u32 i = 0; i < 16; i++) {
            scale[i] = fnd_fmax(fnd_fmin(near + (f32)i - 8.0f, 127.0f), -128.0f);
            d[i] = fit->d * scale[i];
            inverse[i] = fnd_inverse(d[i]);
        }
        wide none = wide_splat(0.0f);
        u32 best = wide_best(fnd_fit_of(x + 16 * j, 16, wide_load(d), none, wide_load(inverse), -32.0f, 31.0f));
        wide v = wide_load(x + 16 * j), q = wide_code(wide_mul(v, wide_splat(inverse[best])), -32.0f, 31.0f);
        fit->scale[j] = (i8)scale[best];
        xq += scale[best] * wide_sum(wide_mul(v, q));
        qq += scale[best] * scale[best] * wide_sum(wide_mul(q, q));
    }
    return qq > 0.0f ? xq / qq : fit->d;
}

static q6_k_fit q6_k_search(const f32 *x) {
    q6_k_fit fit = { 0 };
    f32 want[16];
    for (u32 j = 0; j < 16; j++) want[j] = fnd_search_scale(x + 16 * j, 16, -32.0f, 31.0f);
    f32 d = fnd_peak(want, 16) / -128.0f;
    for (u32 round = 0; round < 2; round++) {
        fit.d = fnd_f16_to_f32(fnd_f32_to_f16(d));
        d = q6_k_choose(x, want, &fit);
    }
    return fit;
}

static void q6_k_encode_block(const f32 *x, q6_k_block *to) {
    q6_k_fit fit = q6_k_search(x);
    u8 u[256];
    fnd_store_f16(to->d, fit.d);
    for (u32 j = 0; j < 16; j++) {
        to->scales[j] = fit.scale[j];
        fnd_write_codes(x + 16 * j, 16, fnd_inverse(fit.d * (f32)fit.scale[j]), 0.0f, -32.0f, 31.0f, 32.0f, u + 16 * j);
    }
    for (u32 h = 0; h < 2; h++) {
        for (u32 j = 0; j < 32; j++) {
            const u8 *v = u + 128 * h + j;
            to->low[64 * h + j] = (u8)((v[0] & 15u) | (u32)v[64] << 4);
            to->low[64 * h + 32 + j] = (u8)((v[32] & 15u) | (u32)v[96] << 4);
            to->high[32 * h + j] = (u8)(v[0] >> 4 | v[32] >> 4 << 2 | v[64] >> 4 << 4 | v[96] >> 4 << 6);
        }
    }
}

/* Scales of magnitude 64 .. 127 (mean square 9461.5) and codes -32 .. 31 (341.5). */
static void q6_k_random_block(q6_k_block *to, f32 sigma) {
    for (u32 j = 0; j < 16; j++) {
        i32 scale = 64 | (to->scales[j] & 63);
        to->scales[j] = (i8)(to->scales[j] < 0 ? -scale : scale);
    }
    fnd_store_f16(to->d, fnd_random_scale(to->d, sigma / (97.270242f * 18.479719f)));
}

FND_CODEC(q6_k, .file_type = 18, .instead = FND_Q8_0, .head = FND_Q8_0)
