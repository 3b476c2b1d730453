/* half_codec.h - formats of one 16-bit float a weight: a block is one.
 *
 *     FND_CODEC_HALF(f16, .file_type = 1)    from fnd_f32_to_f16 and fnd_f16_to_f32 */
#ifndef HALF_CODEC_H
#define HALF_CODEC_H

#include "policy/policy_codec.h"

/* Random weights lie evenly within sigma times the square root of 3. */
#define FND_CODEC_HALF(name, ...)                                                                        \
    static void name##_encode(const float *x, size_t count, uint8_t *to) {                               \
        for (size_t i = 0; i < count; i++) {                                                             \
            u16 bits = fnd_f32_to_##name(x[i]);                                                          \
            __builtin_memcpy(to + 2 * i, &bits, 2);                                                      \
        }                                                                                                \
    }                                                                                                    \
    static void name##_decode(const uint8_t *from, size_t count, float *x) {                             \
        for (size_t i = 0; i < count; i++) x[i] = fnd_##name##_to_f32(fnd_load_u16(from + 2 * i));       \
    }                                                                                                    \
    static void name##_randomize(uint8_t *to, size_t count, float sigma) {                               \
        float step = sigma * 1.7320508f / 32768.0f;                                                      \
        for (size_t i = 0; i < count; i++) {                                                             \
            u16 bits = fnd_f32_to_##name((f32)(i16)fnd_load_u16(to + 2 * i) * step);                     \
            __builtin_memcpy(to + 2 * i, &bits, 2);                                                      \
        }                                                                                                \
    }                                                                                                    \
    FND_CODEC_STRUCT(name, __VA_ARGS__)

#endif
