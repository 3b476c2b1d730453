/* attention/spread.cpu.h - on a CPU: steps within a vector by moving its lanes. */
#ifndef ATTENTION_SPREAD_H
#define ATTENTION_SPREAD_H
#include "fnd_device.h"

#define ATTENTION_SPREAD_UNIT 0.17677669529663687f /* 1 / sqrt(32) */

/* Steps below FND_VEC: v with lanes i and i ^ step exchanged, and v, negative where i & step. */
#if FND_VEC == 16
  #define ATTENTION_LANES_(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s), f(8, s), f(9, s), f(10, s), f(11, s), f(12, s), f(13, s), f(14, s), f(15, s)
#elif FND_VEC == 8
  #define ATTENTION_LANES_(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s)
#else
  #define ATTENTION_LANES_(f, s) f(0, s), f(1, s), f(2, s), f(3, s)
#endif
#define ATTENTION_PARTNER_(i, step) (i) ^ (step)
#define ATTENTION_SIGN_(i, step)    (i) & (step) ? -1.0f : 1.0f
#if defined(__clang__)
  #define ATTENTION_EXCHANGE_(v, step) __builtin_shufflevector(v, v, ATTENTION_LANES_(ATTENTION_PARTNER_, step))
#else
  #define ATTENTION_EXCHANGE_(v, step) __builtin_shuffle(v, (vec_i32_){ ATTENTION_LANES_(ATTENTION_PARTNER_, step) })
#endif
#define ATTENTION_SPREAD_STEP_(v, step)                                                                          \
    if ((step) < FND_VEC) {                                                                                      \
        for (u32 i = 0; i < 32 / FND_VEC; i++) {                                                                 \
            v[i] = v[i] * (vec){ ATTENTION_LANES_(ATTENTION_SIGN_, (step) % FND_VEC) } +                         \
                   ATTENTION_EXCHANGE_(v[i], (step) % FND_VEC);                                                  \
        }                                                                                                        \
    } else {                                                                                                     \
        for (u32 i = 0; i < 32 / FND_VEC; i++) {                                                                 \
            if (i & (step) / FND_VEC) continue;                                                                  \
            vec a = v[i], b = v[i + (step) / FND_VEC];                                                           \
            v[i] = a + b;                                                                                        \
            v[i + (step) / FND_VEC] = a - b;                                                                     \
        }                                                                                                        \
    }

/* 32 values. */
FND_INLINE void attention_spread(f32 *values) {
    vec v[32 / FND_VEC];
    for (u32 i = 0; i < 32 / FND_VEC; i++) v[i] = fnd_vec_load(values + i * FND_VEC);
    ATTENTION_SPREAD_STEP_(v, 1)
    ATTENTION_SPREAD_STEP_(v, 2)
    ATTENTION_SPREAD_STEP_(v, 4)
    ATTENTION_SPREAD_STEP_(v, 8)
    ATTENTION_SPREAD_STEP_(v, 16)
    for (u32 i = 0; i < 32 / FND_VEC; i++) fnd_vec_store(values + i * FND_VEC, v[i] * ATTENTION_SPREAD_UNIT);
}
#endif
