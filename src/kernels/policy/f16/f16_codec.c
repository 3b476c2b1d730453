/* f16_codec.c - F16: half precision, rounded to nearest, ties to even. */
#include "policy/f16/f16.h"
#include "policy/policy_codec.h"

static void f16_encode(const float *x, size_t count, uint8_t *to) {
    for (size_t i = 0; i < count; i++) {
        u16 bits = fnd_f32_to_f16(x[i]);
        __builtin_memcpy(to + 2 * i, &bits, 2);
    }
}

static void f16_decode(const uint8_t *from, size_t count, float *x) {
    for (size_t i = 0; i < count; i++) x[i] = fnd_f16_to_f32(fnd_load_u16(from + 2 * i));
}

/* Evenly within sigma times the square root of 3. */
static void f16_randomize(uint8_t *to, size_t count, float sigma) {
    float step = sigma * 1.7320508f / 32768.0f;
    for (size_t i = 0; i < count; i++) {
        u16 bits = fnd_f32_to_f16((f32)(i16)fnd_load_u16(to + 2 * i) * step);
        __builtin_memcpy(to + 2 * i, &bits, 2);
    }
}

FND_CODEC_STRUCT(f16, .file_type = 1)
