/* rope/angle.h - sine and cosine of position x frequency, for any position.
 *
 * position * frequency in f32 is off by 1e-3 radians at position 32,000 already. So angles are counted
 * in turns, as a fraction of 2^64: what a frequency adds per position is computed once with integers
 * to 2^-62 of a turn, and the product with the position wraps as turns do. Exact on every machine,
 * whatever it fuses or contracts; then sine and cosine on an eighth of a turn by polynomials (those
 * of the Cephes library). Absolute error < 2e-7 for every i32 position and frequency below 2^24. */
#ifndef ROPE_ANGLE_H
#define ROPE_ANGLE_H
#include "fnd_device.h"

typedef struct rope_turn { f32 sin, cos; } rope_turn;

/* frequency (radians per position) / (2 pi) * 2^64, modulo 2^64. With frequency = m * 2^(e - 150),
 * m of 24 bits: m * (2^41 / (2 pi)), shifted by 127 - e. */
FND_INLINE u64 rope_step(f32 frequency) {
    u32 bits = fnd_f32_bits(frequency), e = (bits >> 23) & 255u;
    u64 m = (bits & 0x7fffffu) | 0x800000u, per_unit = ((u64)0x51u << 32) | 0x7cc1b727u;
    u64 step = m * per_unit + ((m * (u64)0x220a94feu) >> 32);
    step = e > 127u ? step << ((e - 127u) & 63u) : (e > 64u ? step >> (127u - e) : 0u);
    return bits >> 31 ? 0u - step : step;
}

FND_INLINE rope_turn rope_sincos(u64 phase) {
    u32 turn = (u32)(phase >> 32), quarter = (turn + 0x20000000u) >> 30;
    f32 r = (f32)(i32)(turn - (quarter << 30)) * 1.4629180792671596e-9f, z = r * r; /* 2 pi / 2^32 */
    f32 s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
    f32 c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
    f32 a = quarter & 1u ? c : s, b = quarter & 1u ? s : c;
    rope_turn out;
    out.sin = quarter & 2u ? -a : a;
    out.cos = (quarter + 1u) & 2u ? -b : b;
    return out;
}

/* What all rotations of a model have in common. */
typedef struct rope_params {
    const FND_GPU f32 *inv_freq; /* [pairs] */
    u32 pairs, pairing;
    f32 mscale;
} rope_params;

#define ROPE_ADJACENT 0u /* pairs (2i, 2i + 1): llama in GGUF files ("norm") */
#define ROPE_HALVES   1u /* pairs (i, i + pairs): qwen2 and others ("neox") */

FND_INLINE rope_params rope_params_of(const FND_GPU f32 *inv_freq, u32 pairs, u32 pairing, f32 mscale) {
    rope_params p;
    p.inv_freq = inv_freq;
    p.pairs = pairs;
    p.pairing = pairing;
    p.mscale = mscale;
    return p;
}
/* Sine and cosine for pair i at a position, times mscale. */
FND_INLINE rope_turn rope_turn_of(rope_params p, i32 position, u32 i) {
    rope_turn turn = rope_sincos((u64)(i64)position * rope_step(p.inv_freq[i]));
    turn.sin *= p.mscale;
    turn.cos *= p.mscale;
    return turn;
}
/* Where the first and the second member of pair i stand. */
FND_INLINE u32 rope_first(rope_params p, u32 i) { return p.pairing == ROPE_HALVES ? i : 2 * i; }
FND_INLINE u32 rope_second(rope_params p, u32 i) { return p.pairing == ROPE_HALVES ? i + p.pairs : 2 * i + 1; }

/* Value d of a row, rotated. */
FND_INLINE f32 rope_value(rope_params p, const FND_GPU f32 *row, i32 position, u32 d) {
    if (d >= 2 * p.pairs) return row[d];
    u32 i = p.pairing == ROPE_HALVES ? d % p.pairs : d / 2;
    rope_turn turn = rope_turn_of(p, position, i);
    f32 a = row[rope_first(p, i)], b = row[rope_second(p, i)];
    return d == rope_first(p, i) ? a * turn.cos - b * turn.sin : a * turn.sin + b * turn.cos;
}
#endif
