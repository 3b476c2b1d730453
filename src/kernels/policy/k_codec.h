/* k_codec.h - what Q4_K and Q5_K share when they are written: 8 scales and minima of 6 bits under one
 * scale and one minimum. */
#ifndef POLICY_K_CODEC_H
#define POLICY_K_CODEC_H
#include "policy/k_scales.h"
#include "policy/search_codec.h"

#ifdef FND_CODEC_LEVEL
typedef struct fnd_k_fit {
    f32 d, dmin;         /* as F16 has them */
    u8  scale[8], min[8]; /* 0 .. 63 */
} fnd_k_fit;

FND_INLINE u32 fnd_k_round(f32 v) { return v > 63.0f ? 63u : v > 0.0f ? (u32)(v + 0.5f) : 0u; }
FND_INLINE f32 fnd_k_as_f16(f32 v) { return fnd_f16_to_f32(fnd_f32_to_f16(v)); }

/* For each group the scale and minimum, of those about what it would like, that leave the least error. */
FND_INLINE void fnd_k_choose(const f32 *x, f32 most, const fnd_affine *want, fnd_k_fit *fit) {
    f32 by_d = fnd_inverse(fit->d), by_min = fnd_inverse(fit->dmin);
    for (u32 j = 0; j < 8; j++) {
        u32 s = fnd_k_round(want[j].d * by_d), m = fnd_k_round(-want[j].m * by_min);
        f32 scale[16], min[16], d[16], shift[16], by[16];
        for (u32 i = 0; i < 16; i++) {
            scale[i] = fnd_fmax(0.0f, fnd_fmin(63.0f, (f32)s + (f32)(i % 3) - 1.0f));
            min[i] = fnd_fmax(0.0f, fnd_fmin(63.0f, (f32)m + (f32)(i / 3) - 2.0f));
            d[i] = fit->d * scale[i];
            shift[i] = -fit->dmin * min[i];
            by[i] = fnd_inverse(d[i]);
        }
        u32 best = wide_best(fnd_fit_of(x + 32 * j, 32, wide_load(d), wide_load(shift), wide_load(by), 0.0f, most));
        fit->scale[j] = (u8)scale[best];
        fit->min[j] = (u8)min[best];
    }
}

/* The d and dmin that are best for all 256 weights, given their codes and 6-bit numbers. */
FND_INLINE void fnd_k_refine(const f32 *x, f32 most, fnd_k_fit *fit) {
    f32 ss = 0.0f, sm = 0.0f, mm = 0.0f, xs = 0.0f, xm = 0.0f;
    for (u32 j = 0; j < 8; j++) {
        wide a = wide_load(x + 32 * j), b = wide_load(x + 32 * j + 16);
        f32 s = (f32)fit->scale[j], m = (f32)fit->min[j];
        wide by = wide_splat(fnd_inverse(fit->d * s)), shift = wide_splat(fit->dmin * m);
        wide p = wide_code(wide_mul(wide_add(a, shift), by), 0.0f, most), q = wide_code(wide_mul(wide_add(b, shift), by), 0.0f, most);
        f32 u = wide_sum(wide_add(p, q)), uu = wide_sum(wide_add(wide_mul(p, p), wide_mul(q, q)));
        ss += s * s * uu;
        sm += s * m * u;
        mm += m * m * 32.0f;
        xs += s * wide_sum(wide_add(wide_mul(a, p), wide_mul(b, q)));
        xm += m * wide_sum(wide_add(a, b));
    }
    /* x ~ d s u - dmin m */
    f32 det = ss * mm - sm * sm, d = fit->d, dmin = fit->dmin;
    if (det > 1e-6f * ss * mm) {
        d = (xs * mm - xm * sm) / det;
        dmin = (xs * sm - xm * ss) / det;
    } else if (ss > 0.0f) {
        d = (xs + dmin * sm) / ss;
    }
    if (d > 0.0f && dmin >= 0.0f) {
        fit->d = fnd_k_as_f16(d);
        fit->dmin = fnd_k_as_f16(dmin);
    }
}

/* 256 weights, codes 0 .. most. */
FND_INLINE fnd_k_fit fnd_k_search(const f32 *x, f32 most) {
    fnd_affine want[8];
    f32 d = 0.0f, m = 0.0f;
    fnd_k_fit fit = { 0 };
    for (u32 j = 0; j < 8; j++) {
        want[j] = fnd_search_affine(x + 32 * j, most, true);
        d = fnd_fmax(d, want[j].d);
        m = fnd_fmax(m, -want[j].m);
    }
    fit.d = fnd_k_as_f16(d / 63.0f);
    fit.dmin = fnd_k_as_f16(m / 63.0f);
    fnd_k_choose(x, most, want, &fit);
    fnd_k_refine(x, most, &fit);
    fnd_k_choose(x, most, want, &fit);
    return fit;
}

/* Codes of all 256 weights, and the scales and minima as k_scales.h draws them. */
FND_INLINE void fnd_k_write(const f32 *x, f32 most, const fnd_k_fit *fit, u8 *u, u8 *packed) {
    for (u32 j = 0; j < 8; j++) {
        fnd_write_codes(x + 32 * j, 32, fnd_inverse(fit->d * (f32)fit->scale[j]), -fit->dmin * (f32)fit->min[j], 0.0f, most, 0.0f, u + 32 * j);
    }
    for (u32 j = 0; j < 4; j++) {
        packed[j] = (u8)(fit->scale[j] | fit->scale[j + 4] >> 4 << 6);
        packed[j + 4] = (u8)(fit->min[j] | fit->min[j + 4] >> 4 << 6);
        packed[j + 8] = (u8)((fit->scale[j + 4] & 15) | fit->min[j + 4] << 4);
    }
}

/* Scales 32 .. 63 (mean square 2341.5) from random bytes, minima equal to them; dmin is what puts the
 * mean of the codes, `middle`, at 0. `square`: the mean square of the codes about it. */
FND_INLINE void fnd_k_randomize(u8 *d, u8 *dmin, u8 *packed, f32 sigma, f32 middle, f32 inverse_deviation) {
    f32 scale = fnd_random_scale(d, sigma * inverse_deviation / 48.389049f);
    fnd_store_f16(d, scale);
    fnd_store_f16(dmin, middle * scale);
    for (u32 j = 0; j < 4; j++) {
        u32 first = 32u | (packed[j] & 31u), second = 32u | (packed[j + 4] & 31u);
        packed[j] = packed[j + 4] = (u8)(first | second >> 4 << 6);
        packed[j + 8] = (u8)((second & 15u) * 17u);
    }
}
#endif
#endif
