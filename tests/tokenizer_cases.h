/* tokenizer_cases.h - small vocabularies with recorded ids (tests/tokenizer/), and checks of tokenizers. */
#ifndef TESTS_TOKENIZER_CASES_H
#define TESTS_TOKENIZER_CASES_H

#include "foundry/tokenizer.h"
#include "gguf_writer.h"

#include <jansson.h>

/* The tokenizer of a file; NULL: err says why not. The file's bytes are spoilt afterwards. */
fnd_tokenizer *open_tokenizer(const gguf_writer *w, fnd_error *err);

/* tests/tokenizer/cases.json; the texts are those of strings.json and its random ones behind them. */
typedef struct tokenizer_cases {
    json_t *json;
    fnd_span *texts;
    size_t text_count, string_count; /* string_count of them are from strings.json */
} tokenizer_cases;
const tokenizer_cases *tokenizer_cases_get(void);

/* The recorded vocabularies as metadata: byte-level BPE; SentencePiece, which = 0 or 1. With `special`
 * the tokens of Phi-3 stand behind those of the first. */
void tokenizer_cases_bpe(gguf_writer *w, const char *pre);
void tokenizer_cases_spm(gguf_writer *w, size_t which, bool special);
/* Opened; a failure to do so fails the test. */
fnd_tokenizer *tokenizer_cases_open(gguf_writer *w);

/* "count:hash" of ids, as recorded. */
void ids_digest(const fnd_ids *ids, char out[64]);
/* A text comes back byte for byte, from fnd_detokenize and, if it is UTF-8, from a decoder. */
void check_round_trip(const fnd_tokenizer *t, const char *text, size_t bytes, unsigned flags);

/* A text of eight words has eight times the ids of one; the word ends in what merges with nothing. At
 * most 64 bytes: one is short enough to be searched, eight take the heap. */
void check_eight_words(const fnd_tokenizer *t, const char *word, size_t bytes);
/* Opens the tokenizer, tokenizes and decodes, with each allocation failing in turn. Frees the writer. */
void check_failed_allocations(gguf_writer *w);

/* Deterministic noise; text of random bytes, characters, white space and words: at most room - 4 bytes. */
uint32_t noise(uint32_t *state);
size_t noise_text(uint32_t *state, char *text, size_t room);

#endif
