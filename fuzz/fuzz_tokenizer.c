/* fuzz_tokenizer.c - the first byte of the input decides between four things:
 *   0  a whole GGUF file follows: its metadata is opened as a tokenizer;
 *   1  tokens and merges follow as lines, from which metadata is made that is well-formed GGUF;
 *   2  text follows, for a small fixed vocabulary: it must come back byte for byte;
 *   3  tokens follow as lines, each behind a byte for its type and one for its score, for SentencePiece. */
#include "base/memory.h"
#include "foundry/tokenizer.h"
#include "gguf_writer.c" /* a fuzz program is one file and the library */
#include "lm/tokenizer_split.h"

#include <math.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { LINES = 256,
       PRETOKENIZERS = 14 };

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
    for (unsigned flags = 0; flags < 16; flags++) {
        if (complete && flags & (FND_TOKENIZE_ADD_BOS | FND_TOKENIZE_ADD_EOS)) continue;
        fnd_ids ids = { 0 };
        fnd_error err = { 0 };
        char *back = NULL;
        size_t back_bytes;
        fnd_status status = fnd_tokenize(t, text, bytes, flags, &ids, &err);
        if (complete && status != FND_OK) abort();
        if (status == FND_OK && fnd_detokenize(t, ids.data, ids.count, &back, &back_bytes, &err) != FND_OK) abort();
        if (complete && (back_bytes != bytes || (bytes && memcmp(back, text, bytes) != 0))) abort();
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
    gguf_add_str(&w, "tokenizer.ggml.pre", fnd_pretokenizer_at(token_count % PRETOKENIZERS)->names[0]);
    gguf_add_spans(&w, "tokenizer.ggml.tokens", tokens, token_count);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, token_count);
    gguf_add_spans(&w, "tokenizer.ggml.merges", merges, merge_count);
    return open_written(&w);
}

static fnd_tokenizer *from_scored_lines(const char *text, size_t bytes) {
    fnd_span tokens[LINES];
    int32_t types[LINES];
    float scores[LINES];
    size_t count = 0;
    while (bytes && count < LINES) {
        const char *end = memchr(text, '\n', bytes);
        size_t length = end ? (size_t)(end - text) : bytes, head = length < 2 ? length : 2;
        types[count] = length && text[0] != 'n' ? (unsigned char)text[0] % 7 : 1;
        scores[count] = length < 2 || text[1] == 'N' ? NAN : (float)(signed char)text[1];
        tokens[count++] = (fnd_span){ text + head, length - head };
        text += length + (end != NULL);
        bytes -= length + (end != NULL);
    }
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "llama");
    if (count & 1) gguf_add_str(&w, "general.architecture", "phi3");
    gguf_add_spans(&w, "tokenizer.ggml.tokens", tokens, count);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, count);
    gguf_add_f32s(&w, "tokenizer.ggml.scores", scores, count);
    return open_written(&w);
}

/* All bytes, and pieces of a few words with spaces inside and before them. */
static fnd_tokenizer *fixed_spm(void) {
#define MARK "\xE2\x96\x81"
    static const char *const pieces[] = { "<s>", "</s>", "h", "e", "l", "o", MARK, "he", "ll", "llo", "hello", MARK "hello", MARK MARK, MARK MARK MARK MARK, "o" MARK "h", "\xC3\xA9", "e\xC3\xA9" };
    enum { PIECES = sizeof pieces / sizeof *pieces };
    static char names[256][8];
    fnd_span tokens[PIECES + 256];
    int32_t types[PIECES + 256];
    float scores[PIECES + 256];
    for (int i = 0; i < PIECES + 256; i++) {
        if (i >= PIECES) snprintf(names[i - PIECES], sizeof names[0], "<0x%02X>", (unsigned)(i - PIECES));
        tokens[i].data = i < PIECES ? pieces[i] : names[i - PIECES];
        tokens[i].bytes = strlen(tokens[i].data);
        types[i] = i < 2 ? 3 : i < PIECES ? 1
                                          : 6;
        scores[i] = (float)(i * 7 % PIECES);
    }
    gguf_writer w = { 0 };
    gguf_add_str(&w, "tokenizer.ggml.model", "llama");
    gguf_add_spans(&w, "tokenizer.ggml.tokens", tokens, PIECES + 256);
    gguf_add_i32s(&w, "tokenizer.ggml.token_type", types, PIECES + 256);
    gguf_add_f32s(&w, "tokenizer.ggml.scores", scores, PIECES + 256);
    return open_written(&w);
}

static bool has_mark(const char *text, size_t bytes) {
    for (size_t i = 0; i + 3 <= bytes; i++) {
        if (memcmp(text + i, MARK, 3) == 0) return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static fnd_tokenizer *fixed[PRETOKENIZERS + 1];
    if (!fixed[0]) {
        for (size_t i = 0; i <= PRETOKENIZERS; i++) {
            gguf_writer w = { 0 };
            if (i < PRETOKENIZERS) gguf_add_byte_tokenizer(&w, fnd_pretokenizer_at(i)->names[0]);
            fixed[i] = i < PRETOKENIZERS ? open_written(&w) : fixed_spm();
            if (!fixed[i]) abort();
        }
    }
    if (bytes < 1) return 0;
    const char *text = (const char *)data + 1;
    unsigned way = data[0] % 4, which = data[0] / 4 % (PRETOKENIZERS + 1);
    bytes--;
    if (way == 2) {
        use(fixed[which], bytes ? text : NULL, bytes, which < PRETOKENIZERS || !has_mark(text, bytes));
        return 0;
    }
    fnd_tokenizer *t = way == 0 ? open_bytes(text, bytes) : way == 1 ? from_lines(text, bytes)
                                                                     : from_scored_lines(text, bytes);
    if (t) use(t, text, bytes, false);
    fnd_tokenizer_close(t);
    return 0;
}
