/* tensor_shape.c - sizes, strides and descriptions of tensors. */
#include "foundry/tensor.h"
#include "base/base.h"
#include "tensor/storage_table.h"

#include <stdio.h>

/* Larger than any memory, small enough that sums of a few never wrap. */
static const uint64_t bytes_limit = (uint64_t)1 << 60;

void fnd_tensor_set_name(fnd_tensor *t, const char *name) { snprintf(t->name, sizeof t->name, "%s", name ? name : ""); }

char *fnd_shape_describe(fnd_format format, const fnd_shape *shape, char *text, size_t bytes) {
    const fnd_format_info *info = fnd_format_get(format);
    size_t at = (size_t)snprintf(text, bytes, "%s [", info ? info->name : "?");
    for (uint32_t i = 0; i < shape->rank && i < FND_MAX_RANK && at < bytes; i++) {
        at += (size_t)snprintf(text + at, bytes - at, "%s%llu", i ? ", " : "", (unsigned long long)shape->dim[i]);
    }
    if (at < bytes) snprintf(text + at, bytes - at, "]");
    return text;
}

static fnd_shape shape_of(const fnd_tensor *t) {
    fnd_shape shape = { .rank = t->rank };
    memcpy(shape.dim, t->shape, sizeof shape.dim);
    return shape;
}

char *fnd_tensor_describe(const fnd_tensor *t, char *text, size_t bytes) {
    if (bytes == 0) return text;
    size_t at = 0;
    if (t->name[0]) at = (size_t)snprintf(text, bytes, "'%.*s' ", FND_NAME_BYTES - 1, t->name);
    fnd_shape shape = shape_of(t);
    if (at < bytes) fnd_shape_describe(t->format, &shape, text + at, bytes - at);
    return text;
}

/* The product of dimensions first .. last - 1; false when it overflows. */
static bool product(const uint64_t *dim, uint32_t first, uint32_t last, uint64_t *out) {
    uint64_t n = 1;
    for (uint32_t i = first; i < last; i++) {
        if (!fnd_mul_u64(n, dim[i], &n)) return false;
    }
    *out = n;
    return true;
}

uint64_t fnd_tensor_values(const fnd_tensor *t) {
    uint64_t n;
    return t->rank - 1 < FND_MAX_RANK && product(t->shape, 0, t->rank, &n) ? n : 0;
}

uint64_t fnd_tensor_rows(const fnd_tensor *t) {
    uint64_t n;
    return t->rank - 1 < FND_MAX_RANK && product(t->shape, 0, t->rank - 1, &n) ? n : 0;
}

/* Bytes of one tile; false when out of range. */
static bool tile_bytes(fnd_format format, uint32_t tile_rows, uint64_t cols, uint64_t *out) {
    if (!fnd_format_bytes(format, tile_rows, cols, out) || *out > bytes_limit) return false;
    *out = (*out + 63) / 64 * 64;
    return true;
}

uint64_t fnd_tensor_bytes(const fnd_tensor *t) {
    uint64_t rows = fnd_tensor_rows(t), bytes = 0;
    if (rows == 0) return 0;
    uint64_t cols = t->shape[t->rank - 1];
    bool fits = true;
    if (t->layout == FND_LAYOUT_TILES) {
        if (t->tile_rows == 0) return 0;
        fits = tile_bytes(t->format, t->tile_rows, cols, &bytes) && fnd_mul_u64(bytes, rows / t->tile_rows + (rows % t->tile_rows != 0), &bytes);
    } else {
        fits = fnd_format_bytes(t->format, rows, cols, &bytes);
    }
    return fits && bytes <= bytes_limit ? bytes : 0;
}

uint64_t fnd_tensor_extent_bytes(const fnd_tensor *t) {
    uint64_t blocks = 0, bytes;
    if (t->layout == FND_LAYOUT_TILES || fnd_tensor_bytes(t) == 0) return fnd_tensor_bytes(t);
    const fnd_format_info *info = fnd_format_get(t->format);
    for (uint32_t i = 0; i + 1 < t->rank; i++) {
        uint64_t step;
        if (!fnd_mul_u64(t->shape[i] - 1, t->stride[i], &step) || !fnd_add_u64(blocks, step, &blocks)) return 0;
    }
    if (!fnd_add_u64(blocks, t->shape[t->rank - 1] / info->block_weights, &blocks)) return 0;
    return fnd_mul_u64(blocks, info->block_bytes, &bytes) && bytes <= bytes_limit ? bytes : 0;
}

bool fnd_tensor_contiguous(const fnd_tensor *t) {
    const fnd_format_info *info = fnd_format_get(t->format);
    if (!info || t->rank - 1 >= FND_MAX_RANK) return false;
    if (t->layout == FND_LAYOUT_TILES) return true;
    uint64_t expected = t->shape[t->rank - 1] / info->block_weights;
    for (uint32_t i = t->rank - 1; i-- > 0;) {
        if (t->shape[i] != 1 && t->stride[i] != expected) return false;
        expected *= t->shape[i];
    }
    return true;
}

fnd_status fnd_tensor_plan(fnd_format format, fnd_shape shape, uint32_t tile_rows, fnd_tensor *out, uint64_t *bytes, fnd_error *err) {
    char text[160];
    *out = (fnd_tensor){ 0 };
    const fnd_format_info *info = fnd_format_get(format);
    if (!info) return fnd_fail(err, FND_ERR_TYPE, "a tensor of the unknown format %d was asked for", (int)format);
    if (shape.rank < 1 || shape.rank > FND_MAX_RANK) {
        return fnd_fail(err, FND_ERR_SHAPE, "a tensor of %u dimensions was asked for; 1 to %d are possible", shape.rank, FND_MAX_RANK);
    }
    fnd_shape_describe(format, &shape, text, sizeof text);
    for (uint32_t i = 0; i < shape.rank; i++) {
        if (shape.dim[i] == 0) return fnd_fail(err, FND_ERR_SHAPE, "tensor %s: dimension %u is 0", text, i);
    }
    uint64_t cols = shape.dim[shape.rank - 1];
    if (cols % info->block_weights) {
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s: rows of %llu values are no multiple of the format's blocks of %u", text, (unsigned long long)cols, info->block_weights);
    }
    fnd_tensor t = { .format = format, .rank = shape.rank, .layout = tile_rows ? FND_LAYOUT_TILES : FND_LAYOUT_ROWS, .tile_rows = tile_rows };
    for (uint32_t i = 0; i < FND_MAX_RANK; i++) t.shape[i] = i < shape.rank ? shape.dim[i] : 1;
    *bytes = fnd_tensor_bytes(&t);
    if (*bytes == 0 || *bytes > SIZE_MAX) return fnd_fail(err, FND_ERR_SHAPE, "tensor %s: its size overflows", text);
    uint64_t stride = cols / info->block_weights;
    t.stride[shape.rank - 1] = 1;
    for (uint32_t i = shape.rank - 1; i-- > 0;) {
        t.stride[i] = stride;
        stride *= t.shape[i];
    }
    *out = t;
    return FND_OK;
}
