/* iq4_nl_codec.c - IQ4_NL: the scale with the least square error, each weight as the nearest of the 16
 * values. */
#include "policy/iq4_nl/iq4_nl.h"
#include "policy/search_codec.h"

/* The nearest value to each of 16 numbers: up the steps from the lowest, half way between two. */
FND_INLINE wide iq4_nl_nearest(wide x) {
    wide value = wide_splat((f32)iq4_nl_values[0]);
    FND_UNROLL for (u32 k = 1; k < 16; k++) {
        f32 low = (f32)iq4_nl_values[k - 1], high = (f32)iq4_nl_values[k];
        value = wide_add(value, wide_where_above(x, 0.5f * (low + high), high - low));
    }
    return value;
}

static f32 iq4_nl_search(const f32 *x) {
    f32 inverse = fnd_inverse(fnd_peak(x, 32)), by[16], best = 0.0f, scale = 0.0f;
    if (inverse == 0.0f) return 0.0f;
    for (u32 i = 0; i < 8; i++) { /* the peak becomes a number near -127, or near 113 */
        by[i] = (-127.0f + 5.0f * ((f32)i - 5.0f)) * inverse;
        by[i + 8] = (113.0f + 5.0f * ((f32)i - 2.0f)) * inverse;
    }
    for (u32 round = 0; round < 2; round++) {
        wide by_ = wide_load(by), xq = wide_splat(0.0f), qq = xq;
        for (u32 i = 0; i < 32; i++) {
            wide v = wide_splat(x[i]), q = iq4_nl_nearest(wide_mul(v, by_));
            xq = wide_add(xq, wide_mul(v, q));
            qq = wide_add(qq, wide_mul(q, q));
        }
        wide gain = wide_div(wide_mul(xq, xq), qq); /* values are never 0 */
        u32 at = wide_best(gain);
        if (wide_lane(gain, at) > best) {
            best = wide_lane(gain, at);
            scale = wide_lane(xq, at) / wide_lane(qq, at);
        }
        inverse = fnd_inverse(scale);
        for (u32 i = 0; i < 16; i++) by[i] = inverse * (1.0f + 0.0025f * ((f32)i - 7.5f));
    }
    return scale;
}

static void iq4_nl_encode_block(const f32 *x, iq4_nl_block *to) {
    fnd_store_f16(to->d, iq4_nl_search(x));
    f32 inverse = fnd_inverse(fnd_read_f16(to->d));
    u8 u[32];
    for (u32 i = 0; i < 32; i += 16) {
        i32 codes[16];
        wide scaled = wide_mul(wide_load(x + i), wide_splat(inverse)), count = wide_splat(0.0f);
        for (u32 k = 1; k < 16; k++) {
            count = wide_add(count, wide_where_above(scaled, 0.5f * ((f32)iq4_nl_values[k - 1] + (f32)iq4_nl_values[k]), 1.0f));
        }
        wide_store_whole(codes, count);
        for (u32 j = 0; j < 16; j++) u[i + j] = (u8)codes[j];
    }
    fnd_pack_nibbles(u, to->codes);
}

/* The 16 values have a mean square of 4548. */
static void iq4_nl_random_block(iq4_nl_block *to, f32 sigma) {
    fnd_store_f16(to->d, fnd_random_scale(to->d, sigma / 67.438861f));
}

FND_CODEC(iq4_nl, .file_type = 25, .instead = FND_F16, .head = FND_Q6_K)
