/* fuzz_tokenizer.c - the first byte of the input decides between three things:
 *   0  a whole GGUF file follows: its metadata is opened as a tokenizer;
 *   1  tokens and merges follow as lines, from which metadata is made that is well-formed GGUF;
 *   2  text follows, for a small fixed vocabulary: it must come back byte for byte. */
#include "base/memory.h"
#include "foundry/tokenizer.h"
#include "gguf_writer.c" /* a fuzz program is one file and the library */

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static fnd_tokenizer *open_bytes(const void *data, size_t bytes) {
    fnd_gguf *g;
    fnd_tokenizer *t = NULL;
    fnd_error err = { 0 };
    if (fnd_gguf_open_memory(data, bytes, "fuzz", FND_GGUF_METADATA_ONLY, &g, &err) != FND_OK) return NULL;
    if (fnd_tokenizer_open(g, &t, &err) != FND_OK && !err.text[0]) abort();
    fnd_gguf_close(g);
    return t;
}

static fnd_tokenizer *open_written(gguf_writer *w) {
    size_t bytes;
    uint8_t *file = gguf_finish(w, &bytes);
    gguf_free(w);
    fnd_tokenizer *t = open_bytes(file, bytes);
    fnd_free_memory(file);
    return t;
}

static void use(const fnd_tokenizer *t, const char *text, size_t bytes, bool complete) {
    for (unsigned flags = 0; flags < 8; flags++) {
        fnd_ids ids = { 0 };
        fnd_error err = { 0 };
        char *back = NULL;
        size_t back_bytes;
        fnd_status status = fnd_tokenize(t, text, bytes, flags, &ids, &err);
        if (complete && status != FND_OK) abort();
        if (status == FND_OK && fnd_detokenize(t, ids.data, ids.count, &back, &back_bytes, &err) != FND_OK) abort();
        if (complete && (back_bytes != bytes || memcmp(back, text, bytes) != 0)) abort();
        fnd_decoder *d;
        if (fnd_decoder_open(t, flags & 1, &d, &err) == FND_OK) {
            for (size_t i = 0; i < ids.count; i++) fnd_decoder_push(d, ids.data[i]);
            fnd_decoder_flush(d);
            fnd_decoder_close(d);
        }
        fnd_text_release(back);
        fnd_ids_free(&ids);
    }
}

static fnd_tokenizer *from_lines(const char *text, size_t bytes) {
    enum { LINES = 256 };
    fnd_span tokens[LINES], merges[LINES];
    int32_t types[LINES];
    size_t token_count = 0, merge_count = 0;
    while (bytes && token_count < LINES && merge_count < LINES) {
        const char *end = memchr(text, '\n', bytes);
        size_t length = end ? (size_t)(end - text) : bytes;
        if (memchr(text, ' ', length)) {
            merges[merge_count++] = (fnd_span){ text, length };
        } else {
            types[token_count] = length && text[0] == '<' ? 3 + (length & 1) : 1;
            tokens[token_count++] = (fnd_span){ text, length };
        }
        text += length + (end != NULL);
        bytes -= length + (end != NULL);
    }
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "gpt2");
    gguf_add_str(&w, "tokenizer.ggml.pre", token_count & 1 ? "qwen2" : "smollm");
    gguf_add_spans(&w, "tokenizer.ggml.tokens", tokens, token_count);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, token_count);
    gguf_add_spans(&w, "tokenizer.ggml.merges", merges, merge_count);
    return open_written(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static fnd_tokenizer *fixed[2];
    if (!fixed[0]) {
        for (int i = 0; i < 2; i++) {
            gguf_writer w = { 0 };
            gguf_add_byte_tokenizer(&w, i ? "smollm" : "qwen2");
            fixed[i] = open_written(&w);
            if (!fixed[i]) abort();
        }
    }
    if (bytes < 1) return 0;
    const char *text = (const char *)data + 1;
    bytes--;
    if (data[0] % 3 == 2) {
        use(fixed[data[0] / 3 % 2], text, bytes, true);
        return 0;
    }
    fnd_tokenizer *t = data[0] % 3 ? from_lines(text, bytes) : open_bytes(text, bytes);
    if (t) use(t, text, bytes, false);
    fnd_tokenizer_close(t);
    return 0;
}
