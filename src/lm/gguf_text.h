/* gguf_text.h - the pieces of a GGUF file, put behind a text: what gguf.c reads. Nothing is checked,
 * so that tests can write wrong files too; gguf_write.c checks what it has put together. */
#ifndef LM_GGUF_TEXT_H
#define LM_GGUF_TEXT_H

#include "base/text.h"
#include "foundry/gguf.h"

void fnd_gguf_text_u32(fnd_text *t, uint32_t value);
void fnd_gguf_text_u64(fnd_text *t, uint64_t value);
void fnd_gguf_text_string(fnd_text *t, fnd_span s);
/* Zero bytes up to a multiple. */
void fnd_gguf_text_pad(fnd_text *t, uint64_t multiple);

void fnd_gguf_text_header(fnd_text *t, uint32_t version, uint64_t tensors, uint64_t entries);
/* The beginning of an entry: its value follows. Of an array: its elements. */
void fnd_gguf_text_key(fnd_text *t, fnd_span key, uint32_t type);
void fnd_gguf_text_array(fnd_text *t, fnd_span key, uint32_t element, uint64_t count);
/* dims[0] is the length of a row; the offset counts from the start of the data section. */
typedef struct fnd_gguf_text_info {
    fnd_span        name;
    uint32_t        ggml_type, dim_count;
    const uint64_t *dims;
    uint64_t        offset;
} fnd_gguf_text_info;
void fnd_gguf_text_tensor(fnd_text *t, const fnd_gguf_text_info *info);

static inline fnd_span fnd_span_of(const char *text) { return (fnd_span){ text, __builtin_strlen(text) }; }

#endif
