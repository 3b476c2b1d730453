/* gguf_writer.c - GGUF files made in memory. */
#include "gguf_writer.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/gguf_text.h"
#include "lm/unicode.h"

#include <stdio.h>

static fnd_span span(const char *text) { return fnd_span_of(text); }

static void begin(gguf_writer *w, const char *key, uint32_t type) {
    fnd_gguf_text_key(&w->entries, span(key), type);
    w->entry_count++;
}

void gguf_add_raw(gguf_writer *w, const char *key, uint32_t type, const void *raw, size_t raw_bytes) {
    begin(w, key, type);
    fnd_text_add(&w->entries, raw, raw_bytes);
}

void gguf_add_u32(gguf_writer *w, const char *key, uint32_t value) { gguf_add_raw(w, key, FND_GGUF_U32, &value, sizeof value); }
void gguf_add_f32(gguf_writer *w, const char *key, float value) { gguf_add_raw(w, key, FND_GGUF_F32, &value, sizeof value); }

void gguf_add_bool(gguf_writer *w, const char *key, bool value) {
    uint8_t byte = value;
    gguf_add_raw(w, key, FND_GGUF_BOOL, &byte, 1);
}

void gguf_add_span(gguf_writer *w, const char *key, fnd_span value) {
    begin(w, key, FND_GGUF_STRING);
    fnd_gguf_text_string(&w->entries, value);
}

void gguf_add_str(gguf_writer *w, const char *key, const char *value) { gguf_add_span(w, key, span(value)); }

static void begin_array(gguf_writer *w, const char *key, uint32_t element, size_t count) {
    fnd_gguf_text_array(&w->entries, span(key), element, count);
    w->entry_count++;
}

void gguf_add_strs(gguf_writer *w, const char *key, const char *const *values, size_t count) {
    begin_array(w, key, FND_GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) fnd_gguf_text_string(&w->entries, span(values[i]));
}

void gguf_add_spans(gguf_writer *w, const char *key, const fnd_span *values, size_t count) {
    begin_array(w, key, FND_GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) fnd_gguf_text_string(&w->entries, values[i]);
}

void gguf_add_i32s(gguf_writer *w, const char *key, const int32_t *values, size_t count) {
    begin_array(w, key, FND_GGUF_I32, count);
    fnd_text_add(&w->entries, (const char *)values, count * sizeof *values);
}

void gguf_add_f32s(gguf_writer *w, const char *key, const float *values, size_t count) {
    begin_array(w, key, FND_GGUF_F32, count);
    fnd_text_add(&w->entries, (const char *)values, count * sizeof *values);
}

void gguf_add_tensor_raw(gguf_writer *w, const char *name, uint32_t ggml_type, uint32_t dim_count, const uint64_t *dims, uint64_t offset, const void *data, size_t bytes) {
    fnd_gguf_text_tensor(&w->infos, &(fnd_gguf_text_info){ span(name), ggml_type, dim_count, dims, offset });
    w->tensor_count++;
    if (data) fnd_text_add(&w->data, data, bytes);
}

void gguf_add_tensor(gguf_writer *w, const char *name, fnd_format format, uint32_t dim_count, const uint64_t *dims, const void *data, size_t bytes) {
    fnd_gguf_text_pad(&w->data, w->alignment ? w->alignment : 32);
    gguf_add_tensor_raw(w, name, (uint32_t)fnd_format_get(format)->ggml, dim_count, dims, w->data.bytes, data, bytes);
}

void gguf_add_byte_tokenizer(gguf_writer *w, const char *pre) {
    static const char *const merges[] = { "h e", "l l", "he ll", "hell o", "\xC4\xA0 w", "o r", "\xC4\xA0w or", "l d", "\xC4\xA0wor ld", "\xC4\xA0 \xC4\xA0", "a a", "aa aa" };
    static const char *const merged[] = { "he", "ll", "hell", "hello", "\xC4\xA0w", "or", "\xC4\xA0wor", "ld", "\xC4\xA0world", "\xC4\xA0\xC4\xA0", "aa", "aaaa" };
    static char letters[256][4];
    fnd_span tokens[GGUF_BYTE_TOKENS];
    int32_t types[GGUF_BYTE_TOKENS];
    uint16_t codes[256];
    fnd_byte_letters(codes);
    for (unsigned i = 0; i < 256; i++) tokens[i] = (fnd_span){ letters[i], fnd_utf8_put(codes[i], letters[i]) };
    tokens[256] = span("<|end|>");
    tokens[257] = span("<|start|>");
    for (size_t i = 0; i < FND_COUNT(merged); i++) tokens[258 + i] = span(merged[i]);
    for (int i = 0; i < GGUF_BYTE_TOKENS; i++) types[i] = i == 256 || i == 257 ? 3 : 1;
    gguf_add_str(w, "tokenizer.ggml.model", "gpt2");
    if (pre) gguf_add_str(w, "tokenizer.ggml.pre", pre);
    gguf_add_spans(w, "tokenizer.ggml.tokens", tokens, GGUF_BYTE_TOKENS);
    gguf_add_i32s(w, "tokenizer.ggml.token_type", types, GGUF_BYTE_TOKENS);
    gguf_add_strs(w, "tokenizer.ggml.merges", merges, FND_COUNT(merges));
    gguf_add_u32(w, "tokenizer.ggml.eos_token_id", 256);
    gguf_add_u32(w, "tokenizer.ggml.bos_token_id", 257);
}

uint8_t *gguf_finish(const gguf_writer *w, size_t *bytes) {
    fnd_text file = { 0 };
    bool own_alignment = w->alignment && w->alignment != 32;
    gguf_writer extra = { 0 };
    if (own_alignment) gguf_add_u32(&extra, "general.alignment", w->alignment);
    fnd_gguf_text_header(&file, w->version ? w->version : 3, w->tensor_count, w->entry_count + extra.entry_count);
    fnd_text_add(&file, extra.entries.data, extra.entries.bytes);
    fnd_text_add(&file, w->entries.data, w->entries.bytes);
    fnd_text_add(&file, w->infos.data, w->infos.bytes);
    if (w->tensor_count) fnd_gguf_text_pad(&file, w->alignment ? w->alignment : 32);
    fnd_text_add(&file, w->data.data, w->data.bytes);
    gguf_free(&extra);
    if (file.failed || w->entries.failed || w->infos.failed || w->data.failed) {
        fprintf(stderr, "gguf_writer: out of memory\n");
        abort();
    }
    *bytes = file.bytes;
    return (uint8_t *)file.data;
}

void gguf_save(const gguf_writer *w, const char *path) {
    size_t bytes;
    uint8_t *file = gguf_finish(w, &bytes);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(file, 1, bytes, f) != bytes || fclose(f) != 0) {
        fprintf(stderr, "gguf_writer: cannot write %s\n", path);
        abort();
    }
    fnd_free_memory(file);
}

void gguf_free(gguf_writer *w) {
    fnd_text_free(&w->entries);
    fnd_text_free(&w->infos);
    fnd_text_free(&w->data);
    *w = (gguf_writer){ 0 };
}
