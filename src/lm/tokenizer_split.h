/* tokenizer_split.h - cutting text into the words that byte-pair merging stays within. */
#ifndef LM_TOKENIZER_SPLIT_H
#define LM_TOKENIZER_SPLIT_H

#include "foundry/gguf.h"

typedef struct fnd_splitter fnd_splitter;       /* compiled once, shared by threads */
typedef struct fnd_split_state fnd_split_state; /* one per running call */

/* Called for every piece in order; the pieces together are the text. */
typedef fnd_status fnd_piece_fn(void *user, const char *piece, size_t bytes, fnd_error *err);

/* *adds_bos: whether this pre-tokenizer's models want BOS where their files do not say. */
FND_USE_RESULT fnd_status fnd_splitter_open(fnd_span name, fnd_splitter **out, bool *adds_bos, fnd_error *err);
void fnd_splitter_close(fnd_splitter *s);
fnd_split_state *fnd_split_state_open(const fnd_splitter *s); /* NULL: out of memory */
void fnd_split_state_close(fnd_split_state *state);
/* `text` must be well-formed UTF-8. */
FND_USE_RESULT fnd_status fnd_splitter_run(const fnd_splitter *s, fnd_split_state *state, const char *text, size_t bytes, fnd_piece_fn *piece, void *user, fnd_error *err);

#endif
