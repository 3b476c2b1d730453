/* toy_rope.c - see toy_rope.h. */
#include "toy_rope.h"

#include <math.h>
#include <stdio.h>

static const double TURN = 6.28318530717958647692;

/* Su et al. 2021: theta_i = base^(-2i / dim). */
static double theta(const toy_rope *r, size_t i) { return pow(r->base, -2.0 * (double)i / r->dim); }

/* Peng et al. 2023, "NTK-by-parts" as published with the paper: the dimension that makes `turns` turns in
 * the original context, and between two of them a linear mask. Positions are interpolated behind it. */
static double yarn_dimension(const toy_rope *r, double turns) { return r->dim * log(r->original / (turns * TURN)) / (2.0 * log(r->base)); }

static double yarn(const toy_rope *r, size_t i) {
    double low = floor(yarn_dimension(r, 32.0)), high = ceil(yarn_dimension(r, 1.0));
    if (low < 0.0) low = 0.0;
    if (high > r->dim - 1.0) high = r->dim - 1.0;
    if (low == high) high += 0.001;
    double mask = ((double)i - low) / (high - low);
    mask = mask < 0.0 ? 0.0 : mask > 1.0 ? 1.0
                                         : mask;
    return theta(r, i) / r->factor * mask + theta(r, i) * (1.0 - mask);
}

/* Llama 3.1 (Dubey et al. 2024, and the code published with it): wavelengths beyond original / 1 are
 * divided by the factor, those below original / 4 stay, and between them both are mixed. */
static double llama3_divisor(const toy_rope *r, size_t i) {
    double wavelength = TURN / theta(r, i);
    if (wavelength < r->original / 4.0) return 1.0;
    if (wavelength > r->original) return r->factor;
    double smooth = (r->original / wavelength - 1.0) / (4.0 - 1.0);
    return 1.0 / ((1.0 - smooth) / r->factor + smooth);
}

/* Ding et al. 2024, as the modelling code of Phi-3 has it. */
static double longrope_scale(const toy_rope *r) {
    double scale = (double)r->context / r->original;
    return scale <= 1.0 ? 1.0 : sqrt(1.0 + log(scale) / log(r->original));
}

double toy_rope_frequencies(const toy_rope *r, uint32_t session, double *frequencies) {
    for (size_t i = 0; i < r->dim / 2; i++) {
        double f = theta(r, i);
        if (r->scaling == TOY_LINEAR) f /= r->factor;
        if (r->scaling == TOY_YARN) f = yarn(r, i);
        if (r->scaling == TOY_LLAMA3) f /= llama3_divisor(r, i);
        if (r->scaling == TOY_LONGROPE) f /= (double)(session > r->original ? r->long_divisor : r->short_divisor)[i];
        frequencies[i] = f;
    }
    if (r->scaling == TOY_YARN) return 0.1 * log(r->factor) + 1.0;
    return r->scaling == TOY_LONGROPE ? longrope_scale(r) : 1.0;
}

void toy_rope_turn(const double *frequencies, double mscale, uint32_t dim, bool halves, double *head, size_t position) {
    size_t pairs = dim / 2;
    for (size_t i = 0; i < pairs; i++) {
        double angle = (double)position * frequencies[i], c = cos(angle) * mscale, s = sin(angle) * mscale;
        double *a = head + (halves ? i : 2 * i), *b = head + (halves ? i + pairs : 2 * i + 1), x = *a, y = *b;
        *a = x * c - y * s;
        *b = x * s + y * c;
    }
}

void toy_rope_write(const toy_rope *r, const char *architecture, gguf_writer *w) {
    static const char *const types[] = { "none", "linear", "yarn", NULL, "longrope" };
    char key[96];
    uint64_t pairs = r->dim / 2;
    float divisors[TOY_ROPE_PAIRS];
#define KEY(suffix) (snprintf(key, sizeof key, "%s.rope." suffix, architecture), key)
    gguf_add_f32(w, KEY("freq_base"), (float)r->base);
    gguf_add_u32(w, KEY("dimension_count"), r->dim);
    if (types[r->scaling] && !r->untold) gguf_add_str(w, KEY("scaling.type"), types[r->scaling]);
    if (r->scaling == TOY_LINEAR || r->scaling == TOY_YARN) gguf_add_f32(w, r->untold ? KEY("scale_linear") : KEY("scaling.factor"), (float)r->factor);
    if (r->original) gguf_add_u32(w, KEY("scaling.original_context_length"), r->original);
    if (r->scaling == TOY_LLAMA3) {
        for (size_t i = 0; i < pairs; i++) divisors[i] = (float)llama3_divisor(r, i);
        gguf_add_tensor(w, "rope_freqs.weight", FND_F32, 1, &pairs, divisors, pairs * sizeof *divisors);
    }
    if (r->scaling != TOY_LONGROPE) return;
    if (!r->untold) gguf_add_f32(w, KEY("scaling.attn_factor"), (float)longrope_scale(r));
    gguf_add_tensor(w, "rope_factors_long.weight", FND_F32, 1, &pairs, r->long_divisor, pairs * sizeof *divisors);
    gguf_add_tensor(w, "rope_factors_short.weight", FND_F32, 1, &pairs, r->short_divisor, pairs * sizeof *divisors);
#undef KEY
}
