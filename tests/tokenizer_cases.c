/* tokenizer_cases.c - recorded vocabularies, and checks of tokenizers. */
#include "tokenizer_cases.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/unicode.h"
#include "test.h"

#include <inttypes.h>
#include <stdlib.h>

fnd_tokenizer *open_tokenizer(const gguf_writer *w, fnd_error *err) {
    size_t bytes;
    uint8_t *file = gguf_finish(w, &bytes);
    fnd_gguf *g = NULL;
    fnd_tokenizer *t = NULL;
    *err = (fnd_error){ 0 };
    if (fnd_gguf_open_memory(file, bytes, "test.gguf", FND_GGUF_METADATA_ONLY, &g, err) == FND_OK && fnd_tokenizer_open(g, &t, err) != FND_OK) CHECK(t == NULL);
    fnd_gguf_close(g);
    memset(file, 0xee, bytes); /* the tokenizer must not look back into the file */
    fnd_free_memory(file);
    return t;
}

/* ---- recorded vocabularies ---- */

static fnd_span span_of(const json_t *string) { return (fnd_span){ json_string_value(string), json_string_length(string) }; }

static json_t *load(const char *path) {
    json_error_t where;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &where);
    if (!json) {
        fprintf(stderr, "%s: %s\n", path, where.text);
        abort();
    }
    return json;
}

/* Read once, kept until the program ends. */
const tokenizer_cases *tokenizer_cases_get(void) {
    static tokenizer_cases cases;
    static fnd_span texts[4096];
    static json_t *strings; /* the texts lie in it */
    if (cases.json) return &cases;
    json_t *group, *text;
    strings = load("tests/tokenizer/strings.json");
    const char *name;
    size_t i;
    cases.json = load("tests/tokenizer/cases.json");
    cases.texts = texts;
    json_object_foreach(strings, name, group) {
        json_array_foreach(group, i, text) texts[cases.text_count++] = span_of(text);
    }
    cases.string_count = cases.text_count;
    json_array_foreach(json_object_get(cases.json, "random"), i, text) texts[cases.text_count++] = span_of(text);
    return &cases;
}

static void add_strings(gguf_writer *w, const char *key, const json_t *first, const json_t *second) {
    size_t a = json_array_size(first), count = a + json_array_size(second);
    fnd_span *spans = calloc(count, sizeof *spans);
    if (!spans) abort();
    for (size_t i = 0; i < count; i++) spans[i] = span_of(i < a ? json_array_get(first, i) : json_array_get(second, i - a));
    gguf_add_spans(w, key, spans, count);
    free(spans);
}

void tokenizer_cases_bpe(gguf_writer *w, const char *pre) {
    json_t *bpe = json_object_get(tokenizer_cases_get()->json, "bpe");
    gguf_add_str(w, "tokenizer.ggml.model", "gpt2");
    gguf_add_str(w, "tokenizer.ggml.pre", pre);
    add_strings(w, "tokenizer.ggml.tokens", json_object_get(bpe, "tokens"), NULL);
    add_strings(w, "tokenizer.ggml.merges", json_object_get(bpe, "merges"), NULL);
}

void tokenizer_cases_spm(gguf_writer *w, size_t which, bool special) {
    json_t *json = tokenizer_cases_get()->json, *v = json_array_get(json_object_get(json, "spm"), which);
    json_t *tokens = json_object_get(v, "tokens"), *more = special ? json_object_get(json_object_get(json, "special"), "tokens") : NULL;
    size_t own = json_array_size(tokens), count = own + json_array_size(more);
    float *scores = calloc(count, sizeof *scores);
    int32_t *types = calloc(count, sizeof *types);
    if (!scores || !types) abort();
    for (size_t i = 0; i < count; i++) {
        scores[i] = i < own ? (float)json_number_value(json_array_get(json_object_get(v, "scores"), i)) : 0;
        types[i] = i < own ? (int32_t)json_integer_value(json_array_get(json_object_get(v, "types"), i)) : 3;
    }
    gguf_add_str(w, "tokenizer.ggml.model", "llama");
    add_strings(w, "tokenizer.ggml.tokens", tokens, more);
    gguf_add_f32s(w, "tokenizer.ggml.scores", scores, count);
    gguf_add_i32s(w, "tokenizer.ggml.token_type", types, count);
    if (!json_is_true(json_object_get(v, "add_space_prefix"))) gguf_add_bool(w, "tokenizer.ggml.add_space_prefix", false);
    free(scores);
    free(types);
}

fnd_tokenizer *tokenizer_cases_open(gguf_writer *w) {
    fnd_error err;
    fnd_tokenizer *t = open_tokenizer(w, &err);
    CHECK_MSG(t != NULL, "%s", err.text);
    gguf_free(w);
    return t;
}

/* ---- checks ---- */

void ids_digest(const fnd_ids *ids, char out[64]) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < ids->count; i++) {
        for (int k = 0; k < 32; k += 8) hash = (hash ^ (ids->data[i] >> k & 0xFF)) * 0x100000001B3u;
    }
    snprintf(out, 64, "%zu:%016" PRIx64, ids->count, hash);
}

static void check_decoder(const fnd_tokenizer *t, const fnd_ids *ids, const char *text, size_t bytes) {
    fnd_decoder *d = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_decoder_open(t, FND_DECODE_CONTROL, &d, &err), &err);
    if (!d) return;
    size_t at = 0;
    for (size_t i = 0; i <= ids->count; i++) {
        fnd_span shown = i < ids->count ? fnd_decoder_push(d, ids->data[i]) : fnd_decoder_flush(d);
        CHECK_MSG(fnd_utf8_valid(shown.data, shown.bytes) == shown.bytes, "token %zu shows half a character", i);
        bool fits = shown.bytes <= bytes - at && memcmp(text + at, shown.data, shown.bytes) == 0;
        CHECK_MSG(fits, "token %zu of \"%.*s\" shows \"%.*s\"", i, (int)bytes, text, (int)shown.bytes, shown.data);
        if (!fits) break;
        at += shown.bytes;
    }
    CHECK_MSG(at == bytes, "%zu of %zu bytes were shown", at, bytes);
    fnd_decoder_close(d);
}

void check_round_trip(const fnd_tokenizer *t, const char *text, size_t bytes, unsigned flags) {
    fnd_ids ids = { 0 };
    fnd_error err = { 0 };
    char *back = NULL;
    size_t back_bytes = 0;
    CHECK_OK(fnd_tokenize(t, text, bytes, flags, &ids, &err), &err);
    CHECK_OK(fnd_detokenize(t, ids.data, ids.count, &back, &back_bytes, &err), &err);
    CHECK_MSG(back_bytes == bytes && memcmp(back, text, bytes) == 0, "\"%.*s\" comes back as \"%.*s\"", (int)bytes, text, (int)back_bytes, back);
    if (fnd_utf8_valid(text, bytes) == bytes) check_decoder(t, &ids, text, bytes);
    fnd_text_release(back);
    fnd_ids_free(&ids);
}

void check_eight_words(const fnd_tokenizer *t, const char *word, size_t bytes) {
    char eight[8 * 64];
    fnd_ids one = { 0 }, ids = { 0 };
    fnd_error err = { 0 };
    for (size_t i = 0; i < 8; i++) memcpy(eight + i * bytes, word, bytes);
    CHECK_OK(fnd_tokenize(t, word, bytes, 0, &one, &err), &err);
    CHECK_OK(fnd_tokenize(t, eight, 8 * bytes, 0, &ids, &err), &err);
    bool same = ids.count == 8 * one.count;
    for (size_t i = 0; same && i < ids.count; i++) same = ids.data[i] == one.data[i % one.count];
    CHECK_MSG(same, "\"%.*s\" eight times has other ids", (int)bytes, word);
    fnd_ids_free(&one);
    fnd_ids_free(&ids);
}

static fnd_status use_all(const fnd_gguf *g, fnd_error *err) {
    fnd_tokenizer *t = NULL;
    fnd_decoder *d = NULL;
    fnd_ids ids = { 0 };
    char *text = NULL, long_text[200]; /* too long for the short way */
    size_t bytes;
    memset(long_text, 'a', sizeof long_text);
    fnd_status status = fnd_tokenizer_open(g, &t, err);
    if (status == FND_OK) status = fnd_tokenize(t, long_text, sizeof long_text, 0, &ids, err);
    if (status == FND_OK) status = fnd_detokenize(t, ids.data, ids.count, &text, &bytes, err);
    if (status == FND_OK) status = fnd_decoder_open(t, 0, &d, err);
    fnd_decoder_close(d);
    fnd_text_release(text);
    fnd_ids_free(&ids);
    fnd_tokenizer_close(t);
    return status;
}

void check_failed_allocations(gguf_writer *w) {
    size_t bytes;
    uint8_t *file = gguf_finish(w, &bytes);
    fnd_gguf *g = NULL;
    fnd_error err = { 0 };
    gguf_free(w);
    CHECK_OK(fnd_gguf_open_memory(file, bytes, "test.gguf", 0, &g, &err), &err);
    fnd_status status = FND_ERR_MEMORY;
    int n = 1;
    for (; g && status != FND_OK && n < 500; n++) {
        err = (fnd_error){ 0 };
        fnd_memory_fail_after((uint64_t)n);
        status = use_all(g, &err);
        fnd_memory_fail_after(0);
        CHECK_MSG(status == FND_OK || status == FND_ERR_MEMORY, "allocation %d: %s", n, err.text);
    }
    CHECK(status == FND_OK && n > 15);
    fnd_gguf_close(g);
    fnd_free_memory(file);
}

uint32_t noise(uint32_t *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

size_t noise_text(uint32_t *state, char *text, size_t room) {
    size_t n = 0, length = noise(state) % (room - 4);
    while (n < length) {
        switch (noise(state) % 5) {
        case 0:
            text[n++] = (char)noise(state);
            break;
        case 1:
            text[n++] = " \n\t\r  "[noise(state) % 6];
            break;
        case 2:
            text[n++] = "helo wrd<|>"[noise(state) % 11];
            break;
        case 3:
            n += fnd_utf8_put(0x80 + noise(state) % 0x700, text + n);
            break;
        default:
            n += fnd_utf8_put(0xE000 + noise(state) % 0x12000, text + n);
        }
    }
    return n;
}
