/* policy_codec.h - every weight format written: the other half of what kernels read.
 *
 * policy/<name>/<name>_codec.c has one fnd_codec, by FND_CODEC below. It is host code, in plain C on
 * the dialect's vectors, and is compiled for several levels of instructions; the Makefile finds it by
 * its name. Floats are added in the same order and never contracted at any level, so that a model
 * quantised here has the same bytes wherever that is done. */
#ifndef POLICY_CODEC_H
#define POLICY_CODEC_H

#include "foundry/format.h"

#include <stddef.h>
#include <stdint.h>

/* Rows without gaps: `count` weights are whole blocks. Weights are finite; what a format cannot hold
 * (beyond its largest scale) comes out as infinite or NaN. */
typedef struct fnd_codec {
    void (*encode)(const float *x, size_t count, uint8_t *to);
    void (*decode)(const uint8_t *from, size_t count, float *x);
    /* `to` holds random bytes: set what is no code, so that the weights have mean 0 and standard
     * deviation sigma. */
    void (*randomize)(uint8_t *to, size_t count, float sigma);
    uint32_t   file_type; /* general.file_type of a model in this format */
    fnd_format instead;   /* for rows that are no multiple of the block */
    fnd_format head;      /* for the head of such a model; FND_FORMAT_NONE: as the rest */
} fnd_codec;

#if defined(__x86_64__)
  #define FND_CODEC_LEVELS(X, ...) X(generic, __VA_ARGS__) X(v3, __VA_ARGS__) X(v4, __VA_ARGS__)
#else
  #define FND_CODEC_LEVELS(X, ...) X(generic, __VA_ARGS__)
#endif

/* fnd_codec_<name>_<level> */
#define FND_CODEC_DECLARE_LEVEL_(level, name) extern const fnd_codec fnd_codec_##name##_##level;
#define FND_CODEC_DECLARE_(id, name, ggml, weights, bytes) FND_CODEC_LEVELS(FND_CODEC_DECLARE_LEVEL_, name)
FND_FORMATS(FND_CODEC_DECLARE_)
#undef FND_CODEC_DECLARE_
#undef FND_CODEC_DECLARE_LEVEL_

/* ---- for the codecs themselves ---- */
#ifdef FND_CODEC_LEVEL
#include "fnd_device.h"

/* <name>_WEIGHTS: weights of a block. */
#define FND_CODEC_WEIGHTS_(id, name, ggml, weights, bytes) name##_WEIGHTS = weights,
enum { FND_FORMATS(FND_CODEC_WEIGHTS_) };
#undef FND_CODEC_WEIGHTS_

#define FND_CODEC_NAME__(name, level) fnd_codec_##name##_##level
#define FND_CODEC_NAME_(name, level)  FND_CODEC_NAME__(name, level)

/* FND_CODEC(name, .file_type = 2, ...): the codec of a format in blocks, from <name>_block, its
 * decode16, and
 *     static void <name>_encode_block(const f32 *x, <name>_block *to);
 *     static void <name>_random_block(<name>_block *to, f32 sigma);    `to` holds random bytes */
#define FND_CODEC(name, ...)                                                              \
    static void name##_encode(const float *x, size_t count, uint8_t *to) {                \
        name##_block *block = (name##_block *)to;                                         \
        for (size_t i = 0; i < count / name##_WEIGHTS; i++) name##_encode_block(x + i * name##_WEIGHTS, block + i); \
    }                                                                                     \
    static void name##_decode(const uint8_t *from, size_t count, float *x) {              \
        for (size_t i = 0; i < count / name##_WEIGHTS; i++) {                             \
            const uint8_t *block = from + i * sizeof(name##_block);                       \
            for (u32 g = 0; g < name##_WEIGHTS / 16; g++) name##_decode16(block, g, x + i * name##_WEIGHTS + 16 * g); \
        }                                                                                 \
    }                                                                                     \
    static void name##_randomize(uint8_t *to, size_t count, float sigma) {                \
        name##_block *block = (name##_block *)to;                                         \
        for (size_t i = 0; i < count / name##_WEIGHTS; i++) name##_random_block(block + i, sigma); \
    }                                                                                     \
    FND_CODEC_STRUCT(name, __VA_ARGS__)

#define FND_CODEC_STRUCT(name, ...)                                                       \
    const fnd_codec FND_CODEC_NAME_(name, FND_CODEC_LEVEL) = {                            \
        .encode = name##_encode, .decode = name##_decode, .randomize = name##_randomize, __VA_ARGS__ };

FND_INLINE void fnd_store_f16(u8 *to, f32 v) {
    u16 bits = fnd_f32_to_f16(v);
    __builtin_memcpy(to, &bits, 2);
}
FND_INLINE f32 fnd_read_f16(const u8 *from) { return fnd_f16_to_f32(fnd_load_u16(from)); }

/* A scale from random bytes: either sign, 0.75 to 1.25 times `size` (whose mean square is 49 / 48). */
FND_INLINE f32 fnd_random_scale(const u8 *bytes, f32 size) {
    f32 part = 0.75f + (f32)bytes[0] * (0.5f / 255.0f);
    return (bytes[1] & 128u ? -0.98974332f : 0.98974332f) * part * size;
}

/* Codes as Q4_0 has them: the low nibbles of 16 bytes, then the high ones. */
FND_INLINE void fnd_pack_nibbles(const u8 *u, u8 *to) {
    for (u32 j = 0; j < 16; j++) to[j] = (u8)((u[j] & 15u) | (u32)u[j + 16] << 4);
}
/* Bit 4 of 32 codes, weight j's in bit j. */
FND_INLINE void fnd_pack_fifth_bits(const u8 *u, u8 *to) {
    u32 bits = 0;
    for (u32 j = 0; j < 32; j++) bits |= (u32)(u[j] >> 4 & 1) << j;
    __builtin_memcpy(to, &bits, 4);
}
#endif
#endif
