/* f32_codec.c - F32: as it is. */
#include "policy/f32/f32.h"
#include "policy/policy_codec.h"

static void f32_encode(const float *x, size_t count, uint8_t *to) { __builtin_memcpy(to, x, 4 * count); }
static void f32_decode(const uint8_t *from, size_t count, float *x) { __builtin_memcpy(x, from, 4 * count); }

/* Evenly within sigma times the square root of 3. */
static void f32_randomize(uint8_t *to, size_t count, float sigma) {
    float step = sigma * 1.7320508f / 2147483648.0f;
    for (size_t i = 0; i < count; i++) {
        f32 v = (f32)(i32)fnd_load_u32(to + 4 * i) * step;
        __builtin_memcpy(to + 4 * i, &v, 4);
    }
}

FND_CODEC_STRUCT(f32, .file_type = 0)
