/* codec.c - choosing codecs and formats; and the codecs for users of the library. */
#include "lm/codec.h"
#include "base/base.h"
#include "base/cpuinfo.h"
#include "foundry/quantize.h"

#include <math.h>

typedef struct codec_row {
    const char *level;
    const fnd_codec *of[FND_FORMAT_COUNT];
} codec_row;

#define FORMAT_generic_(id, name, ggml, weights, bytes) [FND_##id] = &fnd_codec_##name##_generic,
#define FORMAT_v3_(id, name, ggml, weights, bytes)      [FND_##id] = &fnd_codec_##name##_v3,
#define FORMAT_v4_(id, name, ggml, weights, bytes)      [FND_##id] = &fnd_codec_##name##_v4,
#define ROW_(level, unused)                             { #level, { FND_FORMATS(FORMAT_##level##_) } },
static const codec_row codecs[] = { FND_CODEC_LEVELS(ROW_, _) };

const fnd_codec *fnd_codec_at(fnd_format format, const char *level) {
    const fnd_codec *found = NULL;
    size_t bytes = strcspn(level, "_");
    for (size_t i = 0; i < FND_COUNT(codecs) && (unsigned)format < FND_FORMAT_COUNT; i++) {
        if (strlen(codecs[i].level) == bytes && memcmp(codecs[i].level, level, bytes) == 0) found = codecs[i].of[format];
    }
    return found;
}

const fnd_codec *fnd_codec_of(fnd_format format) {
    const fnd_codec *codec = fnd_codec_at(format, fnd_cpu_level_best()->name);
    return codec ? codec : fnd_codec_at(format, codecs[0].level);
}

fnd_format fnd_format_for(fnd_format wanted, bool head, uint64_t cols) {
    const fnd_codec *codec = fnd_codec_of(wanted);
    if (head && codec && codec->head) wanted = codec->head;
    while ((codec = fnd_codec_of(wanted)) && codec->instead && cols % fnd_format_get(wanted)->block_weights) wanted = codec->instead;
    return wanted;
}

/* ---- for users of the library ---- */

static fnd_status find_codec(fnd_format format, uint64_t count, const fnd_codec **out, fnd_error *err) {
    const fnd_format_info *info = fnd_format_get(format);
    *out = fnd_codec_of(format);
    if (!*out) return fnd_fail(err, FND_ERR_UNSUPPORTED, "weights cannot be written in or read from %s", info ? info->name : "an unknown format");
    if (count % info->block_weights == 0) return FND_OK;
    return fnd_fail(err, FND_ERR_SHAPE, "%llu weights are no whole blocks of %s, which have %u", (unsigned long long)count, info->name, info->block_weights);
}

fnd_status fnd_encode(fnd_format format, const float *weights, size_t count, void *to, fnd_error *err) {
    const fnd_codec *codec;
    FND_TRY(find_codec(format, count, &codec, err));
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(weights[i])) return fnd_fail(err, FND_ERR_FORMAT, "weight %zu is %s", i, isnan(weights[i]) ? "NaN" : "infinite");
    }
    codec->encode(weights, count, to);
    return FND_OK;
}

fnd_status fnd_decode(fnd_format format, const void *from, size_t count, float *weights, fnd_error *err) {
    const fnd_codec *codec;
    FND_TRY(find_codec(format, count, &codec, err));
    codec->decode(from, count, weights);
    return FND_OK;
}
