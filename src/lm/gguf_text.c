/* gguf_text.c - the pieces of a GGUF file; gguf.c draws the whole. Numbers are little-endian, as on
 * every machine that Foundry runs on. */
#include "lm/gguf_text.h"

void fnd_gguf_text_u32(fnd_text *t, uint32_t value) { fnd_text_add(t, (const char *)&value, sizeof value); }
void fnd_gguf_text_u64(fnd_text *t, uint64_t value) { fnd_text_add(t, (const char *)&value, sizeof value); }

void fnd_gguf_text_string(fnd_text *t, fnd_span s) {
    fnd_gguf_text_u64(t, s.bytes);
    fnd_text_add(t, s.data, s.bytes);
}

void fnd_gguf_text_pad(fnd_text *t, uint64_t multiple) {
    while (t->bytes % multiple && !t->failed) fnd_text_add(t, "", 1);
}

void fnd_gguf_text_header(fnd_text *t, uint32_t version, uint64_t tensors, uint64_t entries) {
    fnd_text_add(t, "GGUF", 4);
    fnd_gguf_text_u32(t, version);
    fnd_gguf_text_u64(t, tensors);
    fnd_gguf_text_u64(t, entries);
}

void fnd_gguf_text_key(fnd_text *t, fnd_span key, uint32_t type) {
    fnd_gguf_text_string(t, key);
    fnd_gguf_text_u32(t, type);
}

void fnd_gguf_text_array(fnd_text *t, fnd_span key, uint32_t element, uint64_t count) {
    fnd_gguf_text_key(t, key, FND_GGUF_ARRAY);
    fnd_gguf_text_u32(t, element);
    fnd_gguf_text_u64(t, count);
}

void fnd_gguf_text_tensor(fnd_text *t, const fnd_gguf_text_info *info) {
    fnd_gguf_text_string(t, info->name);
    fnd_gguf_text_u32(t, info->dim_count);
    for (uint32_t i = 0; i < info->dim_count; i++) fnd_gguf_text_u64(t, info->dims[i]);
    fnd_gguf_text_u32(t, info->ggml_type);
    fnd_gguf_text_u64(t, info->offset);
}
