/* rope/table.cpu.h - sines and cosines of all pairs of one position, FND_VEC at a time, and the
 * rotation of a row by them. The same arithmetic as rope/angle.h. */
#ifndef ROPE_TABLE_H
#define ROPE_TABLE_H
#include "rope/angle.h"

#define ROPE_MAX_HALF 128u

typedef struct rope_steps { u64 of[ROPE_MAX_HALF]; } rope_steps; /* rope_step of every frequency */
typedef struct rope_table { f32 sin[ROPE_MAX_HALF], cos[ROPE_MAX_HALF]; } rope_table;

FND_INLINE void rope_steps_fill(rope_steps *steps, rope_params p) {
    for (u32 i = 0; i < p.pairs; i++) steps->of[i] = rope_step(p.inv_freq[i]);
}

typedef u32 rope_vec_u32 __attribute__((vector_size(4 * FND_VEC)));

FND_INLINE void rope_table_fill(rope_table *table, rope_params p, const rope_steps *steps, u32 position) {
    u32 turns[ROPE_MAX_HALF], i = 0;
    for (; i < p.pairs; i++) turns[i] = (u32)(steps->of[i] * (u64)position >> 32);
    for (; i % FND_VEC; i++) turns[i] = 0;
    for (i = 0; i < p.pairs; i += FND_VEC) {
        rope_vec_u32 turn;
        __builtin_memcpy(&turn, turns + i, sizeof turn);
        rope_vec_u32 quarter = (turn + 0x20000000u) >> 30;
        vec r = __builtin_convertvector((vec_i32_)(turn - (quarter << 30)), vec) * 1.4629180792671596e-9f, z = r * r;
        vec s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * r + r;
        vec c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
        rope_vec_u32 odd = -(quarter & 1u), a = ((rope_vec_u32)c & odd) | ((rope_vec_u32)s & ~odd);
        rope_vec_u32 b = ((rope_vec_u32)s & odd) | ((rope_vec_u32)c & ~odd);
        fnd_vec_store(table->sin + i, (vec)(a ^ ((quarter & 2u) << 30)) * p.mscale);
        fnd_vec_store(table->cos + i, (vec)(b ^ (((quarter + 1u) & 2u) << 30)) * p.mscale);
    }
}

/* out = in, rotated, times scale; dim values. */
FND_INLINE void rope_row(f32 *restrict out, const f32 *restrict in, rope_params p, const rope_table *table, u32 dim, f32 scale) {
    u32 i = 0;
    if (p.pairing == ROPE_HALVES) {
        const f32 *in_b = in + p.pairs;
        f32 *out_b = out + p.pairs;
        for (; i + FND_VEC <= p.pairs; i += FND_VEC) {
            vec a = fnd_vec_load(in + i) * scale, b = fnd_vec_load(in_b + i) * scale;
            vec s = fnd_vec_load(table->sin + i), c = fnd_vec_load(table->cos + i);
            fnd_vec_store(out + i, a * c - b * s);
            fnd_vec_store(out_b + i, a * s + b * c);
        }
    }
    for (; i < p.pairs; i++) {
        f32 a = in[rope_first(p, i)] * scale, b = in[rope_second(p, i)] * scale;
        out[rope_first(p, i)] = a * table->cos[i] - b * table->sin[i];
        out[rope_second(p, i)] = a * table->sin[i] + b * table->cos[i];
    }
    for (u32 d = 2 * p.pairs; d < dim; d++) out[d] = in[d] * scale;
}
#endif
