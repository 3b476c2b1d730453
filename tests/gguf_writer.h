/* gguf_writer.h - tests write their own little GGUF files, right ones and wrong ones.
 *
 *     gguf_writer w = { 0 };
 *     gguf_add_str(&w, "general.architecture", "llama");
 *     gguf_add_u32(&w, "llama.block_count", 2);
 *     gguf_add_tensor(&w, "token_embd.weight", FND_F32, 2, (uint64_t[]){ 32, 64 }, data, bytes);
 *     size_t n;
 *     uint8_t *file = gguf_finish(&w, &n);   // free with fnd_free_memory
 *     gguf_free(&w);
 *
 * gguf_save writes the file instead. Out of memory ends the test program. */
#ifndef TESTS_GGUF_WRITER_H
#define TESTS_GGUF_WRITER_H

#include "base/text.h"
#include "foundry/gguf.h"

typedef struct gguf_writer {
    fnd_text entries, infos, data; /* data: tensor data, each padded to the alignment */
    uint64_t entry_count, tensor_count;
    uint32_t version;              /* 0: 3 */
    uint32_t alignment;            /* 0: 32; another value is written as general.alignment */
} gguf_writer;

/* Metadata. */
void gguf_add_u32(gguf_writer *w, const char *key, uint32_t value);
void gguf_add_f32(gguf_writer *w, const char *key, float value);
void gguf_add_bool(gguf_writer *w, const char *key, bool value);
void gguf_add_str(gguf_writer *w, const char *key, const char *value);
void gguf_add_span(gguf_writer *w, const char *key, fnd_span value);
void gguf_add_strs(gguf_writer *w, const char *key, const char *const *values, size_t count);
void gguf_add_spans(gguf_writer *w, const char *key, const fnd_span *values, size_t count);
void gguf_add_i32s(gguf_writer *w, const char *key, const int32_t *values, size_t count);
void gguf_add_f32s(gguf_writer *w, const char *key, const float *values, size_t count);
/* Any type at all, also one that does not exist: `raw` is the value as the file has it. */
void gguf_add_raw(gguf_writer *w, const char *key, uint32_t type, const void *raw, size_t raw_bytes);

/* dims[0] is the length of a row. The data is copied and padded; `bytes` must be what the format needs
 * for the file to be right. */
void gguf_add_tensor(gguf_writer *w, const char *name, fnd_format format, uint32_t dim_count, const uint64_t *dims, const void *data, size_t bytes);
/* Only the description, with any number in it; the data (may be NULL) is appended unpadded. */
void gguf_add_tensor_raw(gguf_writer *w, const char *name, uint32_t ggml_type, uint32_t dim_count, const uint64_t *dims, uint64_t offset, const void *data, size_t bytes);

/* A tokenizer of 256 byte tokens, the control tokens <|end|> (256, eos) and <|start|> (257, bos), and
 * a few merges ("h e" "he l" ...): byte-level BPE with the pre-tokenizer `pre` (NULL: the file names none). */
enum { GGUF_BYTE_TOKENS = 270 };
void gguf_add_byte_tokenizer(gguf_writer *w, const char *pre);

uint8_t *gguf_finish(const gguf_writer *w, size_t *bytes);
void gguf_save(const gguf_writer *w, const char *path);
void gguf_free(gguf_writer *w); /* and makes it empty again */

#endif
