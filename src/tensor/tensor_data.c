/* tensor_data.c - what is in a tensor: filling, reading and writing it from the host. */
#include "foundry/tensor.h"
#include "base/base.h"
#include "base/memory.h"
#include "tensor/storage_table.h"

enum { FILL_BYTES = 1 << 20 };

/* The value 1 in formats of one value a block; bytes of the pattern, 0 for others. */
static size_t pattern_of_one(fnd_format format, uint8_t pattern[4]) {
    const float one = 1.0f;
    const uint32_t integer = 1;
    const uint16_t f16 = 0x3C00, bf16 = 0x3F80;
    switch (format) {
    case FND_F32:
        memcpy(pattern, &one, 4);
        return 4;
    case FND_F16:
        memcpy(pattern, &f16, 2);
        return 2;
    case FND_BF16:
        memcpy(pattern, &bf16, 2);
        return 2;
    case FND_I32:
    case FND_U32:
        memcpy(pattern, &integer, 4);
        return 4;
    case FND_U8:
        pattern[0] = 1;
        return 1;
    default:
        return 0;
    }
}

/* Repeat a pattern over the bytes from `base`, a piece at a time. */
static fnd_status fill(fnd_storage *s, uint64_t bytes, const uint8_t *pattern, size_t pattern_bytes, fnd_error *err) {
    size_t piece = bytes < FILL_BYTES ? (size_t)bytes : FILL_BYTES;
    uint8_t *block = fnd_alloc_aligned(piece, 64);
    if (!block) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while filling a tensor of %llu bytes", (unsigned long long)bytes);
    for (size_t i = 0; i < piece; i++) block[i] = pattern[i % pattern_bytes];
    fnd_status status = FND_OK;
    for (uint64_t at = 0; at < bytes && status == FND_OK; at += piece) {
        status = fnd_storage_put(s, at, block, bytes - at < piece ? bytes - at : piece, err);
    }
    fnd_free_memory(block);
    return status;
}

fnd_status fnd_tensor_fill(fnd_storage *s, const fnd_tensor *t, const fnd_init *init, bool zeroed, fnd_error *err) {
    uint8_t pattern[4] = { 0 };
    char text[192];
    switch (init->kind) {
    case FND_INIT_ZEROS:
        return zeroed ? FND_OK : fill(s, s->bytes, pattern, 1, err);
    case FND_INIT_ONES: {
        size_t pattern_bytes = pattern_of_one(t->format, pattern);
        if (pattern_bytes) return fill(s, s->bytes, pattern, pattern_bytes, err);
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "tensor %s cannot start with ones: its format is packed", fnd_tensor_describe(t, text, sizeof text));
    }
    case FND_INIT_COPY:
        if (init->data && init->bytes == s->bytes) return fnd_storage_put(s, 0, init->data, init->bytes, err);
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has %llu bytes and cannot be copied from %zu", fnd_tensor_describe(t, text, sizeof text),
                        (unsigned long long)s->bytes, init->data ? init->bytes : 0);
    case FND_INIT_POISON:
        pattern[0] = 0xFF;
        return fill(s, s->bytes, pattern, 1, err);
    }
    return fnd_fail(err, FND_ERR_USAGE, "tensor %s: unknown way %d to start", fnd_tensor_describe(t, text, sizeof text), (int)init->kind);
}

/* ---- host access --------------------------------------------------------------------------------- */

/* The longest runs of bytes that lie together, in order. */
typedef struct runs {
    uint64_t bytes; /* of one run */
    uint32_t outer; /* dimensions 0 .. outer - 1 lie apart */
} runs;

static runs runs_of(const fnd_tensor *t) {
    if (fnd_tensor_contiguous(t)) return (runs){ .bytes = fnd_tensor_bytes(t) };
    const fnd_format_info *info = fnd_format_get(t->format);
    uint64_t blocks = t->shape[t->rank - 1] / info->block_weights;
    uint32_t outer = t->rank - 1;
    while (outer > 0 && (t->shape[outer - 1] == 1 || t->stride[outer - 1] == blocks)) blocks *= t->shape[--outer];
    return (runs){ .bytes = blocks * info->block_bytes, .outer = outer };
}

/* Where run number `index` starts, from the tensor's first byte. */
static uint64_t run_start(const fnd_tensor *t, const runs *r, uint64_t index) {
    uint64_t blocks = 0;
    for (uint32_t i = r->outer; i-- > 0;) {
        blocks += index % t->shape[i] * t->stride[i];
        index /= t->shape[i];
    }
    return r->outer ? blocks * fnd_format_get(t->format)->block_bytes : 0;
}

/* Find the storage and check the range. */
static fnd_status check_access(const foundry *f, const fnd_tensor *t, uint64_t offset_bytes, uint64_t bytes, fnd_storage **out, fnd_error *err) {
    char text[192];
    FND_TRY(fnd_storage_find(f, t, out, err));
    uint64_t size = fnd_tensor_bytes(t), extent = fnd_tensor_extent_bytes(t), storage = (*out)->bytes;
    if (offset_bytes > size || bytes > size - offset_bytes) {
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s has %llu bytes; %llu from %llu on do not fit", fnd_tensor_describe(t, text, sizeof text),
                        (unsigned long long)size, (unsigned long long)bytes, (unsigned long long)offset_bytes);
    }
    if (extent == 0 || t->offset_bytes > storage || extent > storage - t->offset_bytes) {
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s reaches beyond the %llu bytes of its storage", fnd_tensor_describe(t, text, sizeof text), (unsigned long long)storage);
    }
    return FND_OK;
}

typedef struct access_range {
    uint64_t offset_bytes, bytes;
    const uint8_t *from; /* writing */
    uint8_t *to;         /* reading */
} access_range;

static fnd_status each_run(fnd_storage *s, const fnd_tensor *t, const access_range *a, fnd_error *err) {
    runs r = runs_of(t);
    uint64_t usable = atomic_load_explicit(&s->usable, memory_order_relaxed);
    for (uint64_t done = 0; done < a->bytes;) {
        uint64_t at = a->offset_bytes + done, in_run = at % r.bytes;
        uint64_t n = r.bytes - in_run < a->bytes - done ? r.bytes - in_run : a->bytes - done;
        uint64_t lo = t->offset_bytes + run_start(t, &r, at / r.bytes) + in_run;
        if (lo + n > usable) {
            char text[192];
            return fnd_fail(err, FND_ERR_LIMIT, "tensor %s has not grown that far: %llu of its outermost dimension are usable",
                            fnd_tensor_describe(t, text, sizeof text), (unsigned long long)fnd_usable(t));
        }
        if (a->from) FND_TRY(fnd_storage_put(s, lo, a->from + done, n, err));
        if (a->to) FND_TRY(fnd_storage_get(s, lo, a->to + done, n, err));
        done += n;
    }
    return FND_OK;
}

fnd_status fnd_tensor_write(foundry *f, fnd_tensor *t, uint64_t offset_bytes, const void *data, size_t bytes, fnd_error *err) {
    fnd_storage *s;
    FND_TRY(check_access(f, t, offset_bytes, bytes, &s, err));
    if (t->flags & FND_TENSOR_READ_ONLY) {
        char text[192];
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s is read-only and cannot be written", fnd_tensor_describe(t, text, sizeof text));
    }
    return each_run(s, t, &(access_range){ .offset_bytes = offset_bytes, .bytes = bytes, .from = data }, err);
}

fnd_status fnd_tensor_read(foundry *f, const fnd_tensor *t, uint64_t offset_bytes, void *data, size_t bytes, fnd_error *err) {
    fnd_storage *s;
    FND_TRY(check_access(f, t, offset_bytes, bytes, &s, err));
    return each_run(s, t, &(access_range){ .offset_bytes = offset_bytes, .bytes = bytes, .to = data }, err);
}

fnd_status fnd_tensor_check(const foundry *f, const fnd_tensor *t, fnd_error *err) {
    fnd_storage *s;
    return fnd_storage_find(f, t, &s, err);
}
