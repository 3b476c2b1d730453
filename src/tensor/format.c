/* format.c - the table of number formats, derived from the lists in foundry/format.h. */
#include "foundry/format.h"
#include "base/base.h"
#include "foundry/tensor.h"
#include "tensor/format_custom.h"

#include <stdio.h>
#include <strings.h>

static fnd_format_info formats[FND_FORMAT_LIMIT] = {
#define FND_FORMAT_ROW_(id, name, ggml, weights, bytes) [FND_##id] = { #name, ggml, weights, bytes, true },
    FND_FORMATS(FND_FORMAT_ROW_)
#undef FND_FORMAT_ROW_
#define FND_FORMAT_ROW_(id, name, ggml, weights, bytes) [FND_##id] = { #name, ggml, weights, bytes, false },
        FND_PLAIN_FORMATS(FND_FORMAT_ROW_)
#undef FND_FORMAT_ROW_
};

const fnd_format_info *fnd_format_get(fnd_format format) {
    if ((unsigned)format >= FND_FORMAT_LIMIT || !formats[format].name) return NULL;
    return &formats[format];
}

fnd_format fnd_format_by_name(const char *name) {
    for (int i = 1; i < FND_FORMAT_LIMIT; i++) {
        if (formats[i].name && strcasecmp(formats[i].name, name) == 0) return (fnd_format)i;
    }
    return FND_FORMAT_NONE;
}

fnd_format fnd_format_by_ggml(uint32_t ggml) {
    for (int i = 1; i < FND_FORMAT_LIMIT; i++) {
        if (formats[i].name && formats[i].ggml >= 0 && (uint32_t)formats[i].ggml == ggml) return (fnd_format)i;
    }
    return FND_FORMAT_NONE;
}

bool fnd_format_bytes(fnd_format format, uint64_t rows, uint64_t cols, uint64_t *bytes) {
    const fnd_format_info *info = fnd_format_get(format);
    if (!info || cols % info->block_weights) return false;
    uint64_t row_bytes;
    return fnd_mul_u64(cols / info->block_weights, info->block_bytes, &row_bytes) && fnd_mul_u64(row_bytes, rows, bytes);
}

fnd_status fnd_format_add(const fnd_format_info *info, fnd_format *out, fnd_error *err) {
    static char names[FND_FORMAT_LIMIT - FND_FORMAT_FIRST_CUSTOM][FND_NAME_BYTES]; /* the table outlives who registers */
    if (strlen(info->name) >= FND_NAME_BYTES) return fnd_fail(err, FND_ERR_LIMIT, "the name of format %s is longer than %d characters", info->name, FND_NAME_BYTES - 1);
    if (info->block_weights == 0 || info->block_bytes == 0 || info->block_weights > 4096 || info->block_bytes > 65536) {
        return fnd_fail(err, FND_ERR_USAGE, "format %s: blocks of %u weights in %u bytes are out of range", info->name, info->block_weights, info->block_bytes);
    }
    fnd_format known = fnd_format_by_name(info->name);
    if (known != FND_FORMAT_NONE) {
        const fnd_format_info *old = &formats[known];
        if (old->block_weights != info->block_weights || old->block_bytes != info->block_bytes) {
            return fnd_fail(err, FND_ERR_USAGE, "format %s is already known with blocks of %u weights in %u bytes, not %u in %u", info->name, old->block_weights, old->block_bytes, info->block_weights, info->block_bytes);
        }
        *out = known;
        return FND_OK;
    }
    for (int i = FND_FORMAT_FIRST_CUSTOM; i < FND_FORMAT_LIMIT; i++) {
        if (formats[i].name) continue;
        char *name = names[i - FND_FORMAT_FIRST_CUSTOM];
        snprintf(name, FND_NAME_BYTES, "%s", info->name);
        formats[i] = *info;
        formats[i].name = name;
        *out = (fnd_format)i;
        return FND_OK;
    }
    return fnd_fail(err, FND_ERR_LIMIT, "format %s: all %d places for custom formats are taken", info->name, FND_FORMAT_LIMIT - FND_FORMAT_FIRST_CUSTOM);
}
