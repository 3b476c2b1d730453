/* tokenizer.h - text to token ids and back, as the model file's metadata defines it.
 *
 *     fnd_tokenizer *t;
 *     if (fnd_tokenizer_open(gguf, &t, &err) != FND_OK) ...
 *     fnd_ids ids = { 0 };
 *     if (fnd_tokenize(t, text, strlen(text), FND_TOKENIZE_SPECIAL, &ids, &err) != FND_OK) ...
 *     fnd_ids_free(&ids);
 *     fnd_tokenizer_close(t);
 *
 * A tokenizer keeps its own copies: the file may be closed after fnd_tokenizer_open. Several threads
 * may use one tokenizer. Text is bytes; what is not UTF-8 is kept byte for byte. Nothing is normalised.
 */
#ifndef FOUNDRY_TOKENIZER_H
#define FOUNDRY_TOKENIZER_H

#include "foundry/gguf.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fnd_tokenizer fnd_tokenizer;

/* A growing list of token ids. Start with { 0 }. */
typedef struct fnd_ids {
    uint32_t *data;
    size_t    count, capacity;
} fnd_ids;

FND_USE_RESULT fnd_status fnd_ids_add(fnd_ids *ids, uint32_t id, fnd_error *err);
void fnd_ids_free(fnd_ids *ids);

/* Needs no tensors in the file. Unknown models and pre-tokenizers are refused by name. A file of byte-level BPE that
 * names no pre-tokenizer (tokenizer.ggml.pre is missing or empty) gets "default", as with llama.cpp, which rarely is
 * the one its model was trained with: info's pre_assumed is then true, for users to be told. */
FND_USE_RESULT fnd_status fnd_tokenizer_open(const fnd_gguf *g, fnd_tokenizer **out, fnd_error *err);
void fnd_tokenizer_close(fnd_tokenizer *t); /* NULL is fine */

/* Ids the file names; -1: it names none. */
typedef struct fnd_tokenizer_info {
    uint32_t token_count;
    int32_t  bos, eos, eot, unknown, padding;
    bool     add_bos, add_eos; /* what the file says should be put round a text */
    bool     add_bos_assumed;  /* the file does not say it (tokenizer.ggml.add_bos_token): as others of its kind */
    bool     pre_assumed;      /* the file names no pre-tokenizer: `pre` is "default" */
    char     model[32];        /* "gpt2": byte-level BPE; "llama": SentencePiece */
    char     pre[32];          /* the pre-tokenizer, "qwen2"; empty with SentencePiece, which has none */
} fnd_tokenizer_info;
const fnd_tokenizer_info *fnd_tokenizer_get_info(const fnd_tokenizer *t);

enum {
    FND_TOKENIZE_SPECIAL = 1, /* text of control tokens is the token; without it, it is only text */
    FND_TOKENIZE_ADD_BOS = 2, /* begin with the BOS token if (and only if) the file says so */
    FND_TOKENIZE_LOSSY   = 4, /* leave out bytes that the vocabulary has no token for */
    FND_TOKENIZE_ADD_EOS = 8  /* end with the EOS token if (and only if) the file says so */
};
/* Appends to *ids. A byte that the vocabulary cannot express (some lack rare bytes) is
 * FND_ERR_UNSUPPORTED, unless LOSSY. On failure *ids is as before. */
FND_USE_RESULT fnd_status fnd_tokenize(const fnd_tokenizer *t, const char *text, size_t bytes, unsigned flags, fnd_ids *ids, fnd_error *err);

/* The same for a text of which only some parts may make control tokens: trusted[i] are ascending,
 * non-overlapping ranges of `text`. Words are merged across their borders as if there were none. */
typedef struct fnd_text_range {
    size_t start, bytes;
} fnd_text_range;
FND_USE_RESULT fnd_status fnd_tokenize_trusted(const fnd_tokenizer *t, const char *text, size_t bytes, const fnd_text_range *trusted, size_t trusted_count, unsigned flags, fnd_ids *ids, fnd_error *err);

/* Bytes of one token ({ "", 0 } for an id out of range); they live as long as the tokenizer. */
fnd_span fnd_token_text(const fnd_tokenizer *t, uint32_t id);
/* Control tokens are not text: <|im_end|>. */
bool fnd_token_is_control(const fnd_tokenizer *t, uint32_t id);
/* Generation stops at these: end of text, of turn, of message. */
bool fnd_token_is_end(const fnd_tokenizer *t, uint32_t id);
/* The control or user-defined token with exactly this text; -1: none. */
int32_t fnd_token_find(const fnd_tokenizer *t, fnd_span text);

/* The exact text of a list of ids: for the ids of a text, that text. (Of SentencePiece: the space that
 * was put before it is left out; U+2581 comes back as a space.) It comes in a block to be freed with
 * fnd_text_release. An id out of range is an error. NUL-terminated; *bytes does not count the NUL. */
FND_USE_RESULT fnd_status fnd_detokenize(const fnd_tokenizer *t, const uint32_t *ids, size_t count, char **text, size_t *bytes, fnd_error *err);
void fnd_text_release(char *text);

/* Text for showing while it is generated: always whole UTF-8 characters. Characters may span tokens:
 * the beginning of one is held back until the rest comes. Bytes that are no UTF-8 become U+FFFD.
 * The space that SentencePiece puts before a text shows nothing; to go on after a prompt, push the
 * prompt's last token first and show nothing of it. Nothing is allocated after the open. The tokenizer
 * must outlive the decoder. */
typedef struct fnd_decoder fnd_decoder;
enum {
    FND_DECODE_CONTROL = 1 /* show control tokens by their text; without it they show nothing */
};
FND_USE_RESULT fnd_status fnd_decoder_open(const fnd_tokenizer *t, unsigned flags, fnd_decoder **out, fnd_error *err);
void fnd_decoder_close(fnd_decoder *d); /* NULL is fine */
/* What can be shown after this token; valid until the next call. */
fnd_span fnd_decoder_push(fnd_decoder *d, uint32_t id);
/* The end: an unfinished character becomes U+FFFD. The decoder is as new afterwards. */
fnd_span fnd_decoder_flush(fnd_decoder *d);

#ifdef __cplusplus
}
#endif
#endif
