/* gguf_write.c - a GGUF file whose data comes in pieces, from several threads. */
#include "foundry/gguf_write.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "lm/gguf_file.h"
#include "lm/gguf_text.h"

#include <stdatomic.h>

typedef struct place {
    uint64_t offset, bytes; /* offset: in the data section, later in the file */
} place;

struct fnd_gguf_writer {
    fnd_new_file file;
    fnd_text entries, infos;
    fnd_text places; /* place[tensor_count] */
    uint64_t entry_count, tensor_count;
    uint64_t data_bytes, tensor_bytes, file_bytes;
    uint32_t alignment;
    fnd_error first; /* what is wrong with a tensor */
    bool begun;
    _Atomic uint64_t written_bytes;
};

fnd_status fnd_gguf_writer_open(const fnd_gguf_writer_desc *desc, fnd_gguf_writer **out, fnd_error *err) {
    uint32_t alignment = desc->alignment ? desc->alignment : 32;
    *out = NULL;
    if (!desc->path) return fnd_fail(err, FND_ERR_USAGE, "no file to write was named");
    if (alignment < 8 || alignment > 65536 || (alignment & (alignment - 1))) return fnd_fail(err, FND_ERR_USAGE, "an alignment of %u: a power of two from 8 to 65536 is needed", alignment);
    fnd_gguf_writer *w = fnd_alloc_zeroed(1, sizeof *w);
    if (!w) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for writing %s", desc->path);
    w->alignment = alignment;
    fnd_status status = fnd_new_file_open(&w->file, desc->path, desc->replace, FND_FILE_AS_USUAL, err);
    if (status != FND_OK) {
        fnd_free_memory(w);
        return status;
    }
    if (alignment != 32) fnd_gguf_put_u32(w, "general.alignment", alignment);
    *out = w;
    return FND_OK;
}

void fnd_gguf_writer_close(fnd_gguf_writer *w) {
    if (!w) return;
    fnd_new_file_drop(&w->file);
    fnd_text_free(&w->entries);
    fnd_text_free(&w->infos);
    fnd_text_free(&w->places);
    fnd_free_memory(w);
}

/* ---- metadata ---- */

static void put_raw(fnd_gguf_writer *w, const char *key, fnd_gguf_type type, const void *value, size_t bytes) {
    fnd_gguf_text_key(&w->entries, fnd_span_of(key), type);
    fnd_text_add(&w->entries, value, bytes);
    w->entry_count++;
}

void fnd_gguf_put_u32(fnd_gguf_writer *w, const char *key, uint32_t value) { put_raw(w, key, FND_GGUF_U32, &value, sizeof value); }
void fnd_gguf_put_f32(fnd_gguf_writer *w, const char *key, float value) { put_raw(w, key, FND_GGUF_F32, &value, sizeof value); }

void fnd_gguf_put_bool(fnd_gguf_writer *w, const char *key, bool value) {
    uint8_t byte = value;
    put_raw(w, key, FND_GGUF_BOOL, &byte, 1);
}

void fnd_gguf_put_str(fnd_gguf_writer *w, const char *key, const char *value) {
    put_raw(w, key, FND_GGUF_STRING, NULL, 0);
    fnd_gguf_text_string(&w->entries, fnd_span_of(value));
}

void fnd_gguf_put_strs(fnd_gguf_writer *w, const char *key, const fnd_span *values, size_t count) {
    fnd_gguf_text_array(&w->entries, fnd_span_of(key), FND_GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) fnd_gguf_text_string(&w->entries, values[i]);
    w->entry_count++;
}

void fnd_gguf_put_i32s(fnd_gguf_writer *w, const char *key, const int32_t *values, size_t count) {
    fnd_gguf_text_array(&w->entries, fnd_span_of(key), FND_GGUF_I32, count);
    fnd_text_add(&w->entries, (const char *)values, count * sizeof *values);
    w->entry_count++;
}

void fnd_gguf_put_f32s(fnd_gguf_writer *w, const char *key, const float *values, size_t count) {
    fnd_gguf_text_array(&w->entries, fnd_span_of(key), FND_GGUF_F32, count);
    fnd_text_add(&w->entries, (const char *)values, count * sizeof *values);
    w->entry_count++;
}

void fnd_gguf_put_value(fnd_gguf_writer *w, const fnd_gguf_value *v) {
    if (v->type == FND_GGUF_ARRAY)
        fnd_gguf_text_array(&w->entries, v->key, v->element, v->count);
    else
        fnd_gguf_text_key(&w->entries, v->key, v->type);
    w->entry_count++;
    if (v->element != FND_GGUF_STRING) {
        fnd_text_add(&w->entries, (const char *)v->data, (size_t)v->count * fnd_gguf_type_bytes(v->element));
        return;
    }
    fnd_span s;
    for (fnd_gguf_cursor c = { .value = v }; fnd_gguf_next_string(&c, &s);) fnd_gguf_text_string(&w->entries, s);
}

/* ---- tensors ---- */

void fnd_gguf_put_tensor(fnd_gguf_writer *w, const char *name, fnd_format format, uint32_t dim_count, const uint64_t *dims) {
    const fnd_format_info *info = fnd_format_get(format);
    fnd_error *err = &w->first;
    uint64_t rows = 1, end;
    place p = { .offset = w->data_bytes };
    bool fits = info && info->ggml >= 0 && dim_count >= 1 && dim_count <= 4;
    for (uint32_t i = 1; fits && i < dim_count; i++) fits = fnd_mul_u64(rows, dims[i], &rows);
    fits = fits && fnd_format_bytes(format, rows, dims[0], &p.bytes) && fnd_add_u64(p.offset, p.bytes, &end) && fnd_add_u64(end, w->alignment, &end);
    if (!fits) {
        (void)fnd_fail(err, FND_ERR_SHAPE, "%s: tensor \"%s\" cannot be written as %s with rows of %llu values", w->file.path, name, info ? info->name : "an unknown format", (unsigned long long)(dim_count ? dims[0] : 0));
        return;
    }
    fnd_gguf_text_tensor(&w->infos, &(fnd_gguf_text_info){ fnd_span_of(name), (uint32_t)info->ggml, dim_count, dims, p.offset });
    fnd_text_add(&w->places, (const char *)&p, sizeof p);
    w->tensor_count++;
    w->tensor_bytes += p.bytes;
    w->data_bytes = fnd_round_up(p.offset + p.bytes, w->alignment);
}

static place place_at(const fnd_gguf_writer *w, size_t i) {
    place p;
    memcpy(&p, w->places.data + i * sizeof p, sizeof p);
    return p;
}

/* ---- the file ---- */

/* What the reader would say of it, it says before any data is written. */
static fnd_status check_head(const fnd_gguf_writer *w, const fnd_text *head, fnd_error *err) {
    fnd_gguf *g;
    FND_TRY(fnd_gguf_open_memory(head->data, head->bytes, w->file.path, FND_GGUF_METADATA_ONLY, &g, err));
    fnd_gguf_close(g);
    return FND_OK;
}

fnd_status fnd_gguf_writer_begin(fnd_gguf_writer *w, fnd_error *err) {
    fnd_text head = { 0 };
    if (w->begun) return fnd_fail(err, FND_ERR_USAGE, "%s: its data was begun before", w->file.path);
    if (w->first.status != FND_OK) return fnd_fail(err, w->first.status, "%s", w->first.text);
    FND_TRY(fnd_text_check(&w->entries, err));
    FND_TRY(fnd_text_check(&w->infos, err));
    FND_TRY(fnd_text_check(&w->places, err));
    fnd_gguf_text_header(&head, 3, w->tensor_count, w->entry_count);
    fnd_text_add(&head, w->entries.data, w->entries.bytes);
    fnd_text_add(&head, w->infos.data, w->infos.bytes);
    fnd_gguf_text_pad(&head, w->alignment);
    fnd_status status = fnd_text_check(&head, err);
    if (status == FND_OK) status = check_head(w, &head, err);
    if (status == FND_OK && !fnd_add_u64(head.bytes, w->data_bytes, &w->file_bytes)) status = fnd_fail(err, FND_ERR_LIMIT, "%s would be larger than a file can be", w->file.path);
    if (status == FND_OK) status = fnd_new_file_reserve(&w->file, w->file_bytes, err);
    if (status == FND_OK) status = fnd_new_file_put(&w->file, 0, head.data, head.bytes, err);
    for (size_t i = 0; status == FND_OK && i < w->tensor_count; i++) {
        place p = place_at(w, i);
        p.offset += head.bytes;
        memcpy(w->places.data + i * sizeof p, &p, sizeof p);
    }
    w->begun = status == FND_OK;
    fnd_text_free(&head);
    return status;
}

fnd_status fnd_gguf_writer_write(fnd_gguf_writer *w, size_t tensor, uint64_t offset_bytes, const void *data, size_t bytes, fnd_error *err) {
    uint64_t end;
    if (!w->begun || tensor >= w->tensor_count) return fnd_fail(err, FND_ERR_USAGE, "%s: tensor %zu cannot be written: %s", w->file.path, tensor, w->begun ? "there is none" : "fnd_gguf_writer_begin comes first");
    place p = place_at(w, tensor);
    if (!fnd_add_u64(offset_bytes, bytes, &end) || end > p.bytes) return fnd_fail(err, FND_ERR_USAGE, "%s: %zu bytes at %llu of tensor %zu, which has %llu", w->file.path, bytes, (unsigned long long)offset_bytes, tensor, (unsigned long long)p.bytes);
    FND_TRY(fnd_new_file_put(&w->file, p.offset + offset_bytes, data, bytes, err));
    atomic_fetch_add_explicit(&w->written_bytes, bytes, memory_order_relaxed);
    return FND_OK;
}

fnd_status fnd_gguf_writer_finish(fnd_gguf_writer *w, fnd_error *err) {
    uint64_t written = atomic_load(&w->written_bytes);
    if (!w->begun || written != w->tensor_bytes) {
        return fnd_fail(err, FND_ERR_USAGE, "%s is not whole: %llu of %llu bytes of its tensors were written", w->file.path ? w->file.path : "the file", (unsigned long long)written, (unsigned long long)w->tensor_bytes);
    }
    w->begun = false;
    return fnd_new_file_keep(&w->file, err);
}

uint64_t fnd_gguf_writer_tensor_bytes(const fnd_gguf_writer *w) { return w->tensor_bytes; }
uint64_t fnd_gguf_writer_file_bytes(const fnd_gguf_writer *w) { return w->file_bytes; }
