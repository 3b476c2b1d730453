/* tokenizer_load.h - a vocabulary while it is read from a file's metadata. */
#ifndef LM_TOKENIZER_LOAD_H
#define LM_TOKENIZER_LOAD_H

#include "lm/tokenizer.h"

typedef struct fnd_vocab {
    fnd_tokenizer  *t;
    const fnd_gguf *g;
    fnd_error      *err;
    fnd_span       *raw;         /* [token_count] as in the file; all are UTF-8, none is there twice */
    size_t          total_bytes; /* of raw */
    fnd_index       index;       /* of raw */
    bool            has_types;   /* the file says what kind each token is; otherwise all are normal */
} fnd_vocab;

/* Reads tokens and their types, and makes room for their texts (t->pool, t->starts). */
FND_USE_RESULT fnd_status fnd_vocab_open(fnd_vocab *v);
void fnd_vocab_close(fnd_vocab *v); /* after a failed open too */
/* The next token's text was written to t->pool + t->starts[id]; it has so many bytes. */
void fnd_vocab_put(fnd_vocab *v, uint32_t id, size_t bytes);
/* FND_TOKEN_NONE: there is no such token. */
uint32_t fnd_vocab_find(const fnd_vocab *v, fnd_span raw);
fnd_status fnd_vocab_no_memory(const fnd_vocab *v);

/* A table with room for `count` merges; `ranked`: they have ranks of their own, otherwise they come in
 * the order of their ranks. */
FND_USE_RESULT fnd_status fnd_merges_open(const fnd_vocab *v, uint64_t count, bool ranked);
/* A pair that is listed again never gets its turn: its lower rank went first. */
void fnd_merges_add(fnd_bpe *bpe, const fnd_merge *merge, uint32_t rank);

#endif
