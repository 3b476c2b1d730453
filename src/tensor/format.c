/* format.c - the table of number formats, derived from the lists in foundry/format.h. */
#include "foundry/format.h"
#include "base/base.h"
#include "foundry/tensor.h"
#include "tensor/format_custom.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

static const fnd_format_info formats[FND_FORMAT_COUNT] = {
#define FND_FORMAT_ROW_(id, name, ggml, weights, bytes) [FND_##id] = { #name, ggml, weights, bytes, true },
    FND_FORMATS(FND_FORMAT_ROW_)
#undef FND_FORMAT_ROW_
#define FND_FORMAT_ROW_(id, name, ggml, weights, bytes) [FND_##id] = { #name, ggml, weights, bytes, false },
        FND_PLAIN_FORMATS(FND_FORMAT_ROW_)
#undef FND_FORMAT_ROW_
};

/* Formats added at run time, by any context. Entries are written under the lock, then counted, and never
 * change again: whoever reads the count may read them without it. */
enum { CUSTOM = FND_FORMAT_LIMIT - FND_FORMAT_FIRST_CUSTOM };
static pthread_mutex_t custom_lock = PTHREAD_MUTEX_INITIALIZER;
static fnd_format_info custom[CUSTOM];
static char custom_names[CUSTOM][FND_NAME_BYTES]; /* the table outlives who registers */
static _Atomic(int) custom_count;

const fnd_format_info *fnd_format_get(fnd_format format) {
    int place = (int)format - FND_FORMAT_FIRST_CUSTOM;
    if ((int)format > 0 && format < FND_FORMAT_COUNT) return &formats[format];
    return place >= 0 && place < atomic_load_explicit(&custom_count, memory_order_acquire) ? &custom[place] : NULL;
}

/* The next format behind this one; FND_FORMAT_LIMIT: there is none. */
static fnd_format next(fnd_format format) {
    for (int i = (int)format + 1; i < FND_FORMAT_LIMIT; i++) {
        if (fnd_format_get((fnd_format)i)) return (fnd_format)i;
    }
    return FND_FORMAT_LIMIT;
}

fnd_format fnd_format_by_name(const char *name) {
    for (fnd_format i = next(FND_FORMAT_NONE); i < FND_FORMAT_LIMIT; i = next(i)) {
        if (strcasecmp(fnd_format_get(i)->name, name) == 0) return i;
    }
    return FND_FORMAT_NONE;
}

fnd_format fnd_format_by_ggml(uint32_t ggml) {
    for (fnd_format i = next(FND_FORMAT_NONE); i < FND_FORMAT_LIMIT; i = next(i)) {
        if (fnd_format_get(i)->ggml >= 0 && (uint32_t)fnd_format_get(i)->ggml == ggml) return i;
    }
    return FND_FORMAT_NONE;
}

bool fnd_format_bytes(fnd_format format, uint64_t rows, uint64_t cols, uint64_t *bytes) {
    const fnd_format_info *info = fnd_format_get(format);
    if (!info || cols % info->block_weights) return false;
    uint64_t row_bytes;
    return fnd_mul_u64(cols / info->block_weights, info->block_bytes, &row_bytes) && fnd_mul_u64(row_bytes, rows, bytes);
}

static fnd_status add_locked(const fnd_format_info *info, fnd_format *out, fnd_error *err) {
    fnd_format known = fnd_format_by_name(info->name);
    if (known != FND_FORMAT_NONE) {
        const fnd_format_info *old = fnd_format_get(known);
        if (old->block_weights != info->block_weights || old->block_bytes != info->block_bytes) {
            return fnd_fail(err, FND_ERR_USAGE, "format %s is already known with blocks of %u weights in %u bytes, not %u in %u", info->name, old->block_weights, old->block_bytes, info->block_weights, info->block_bytes);
        }
        *out = known;
        return FND_OK;
    }
    int place = atomic_load_explicit(&custom_count, memory_order_relaxed);
    if (place == CUSTOM) return fnd_fail(err, FND_ERR_LIMIT, "format %s: all %d places for custom formats are taken", info->name, CUSTOM);
    snprintf(custom_names[place], FND_NAME_BYTES, "%s", info->name);
    custom[place] = *info;
    custom[place].name = custom_names[place];
    *out = (fnd_format)(FND_FORMAT_FIRST_CUSTOM + place);
    atomic_store_explicit(&custom_count, place + 1, memory_order_release);
    return FND_OK;
}

fnd_status fnd_format_add(const fnd_format_info *info, fnd_format *out, fnd_error *err) {
    if (strlen(info->name) >= FND_NAME_BYTES) return fnd_fail(err, FND_ERR_LIMIT, "the name of format %s is longer than %d characters", info->name, FND_NAME_BYTES - 1);
    if (info->block_weights == 0 || info->block_bytes == 0 || info->block_weights > 4096 || info->block_bytes > 65536) {
        return fnd_fail(err, FND_ERR_USAGE, "format %s: blocks of %u weights in %u bytes are out of range", info->name, info->block_weights, info->block_bytes);
    }
    pthread_mutex_lock(&custom_lock);
    fnd_status status = add_locked(info, out, err);
    pthread_mutex_unlock(&custom_lock);
    return status;
}
