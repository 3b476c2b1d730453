/* tokenizer_split.h - cutting text into the words that byte-pair merging stays within. */
#ifndef LM_TOKENIZER_SPLIT_H
#define LM_TOKENIZER_SPLIT_H

#include "foundry/gguf.h"

/* One step cuts every piece of the step before: what its expression matches is a piece, and so is
 * what lies between two matches. It sees one piece only, so that "end of text" in a lookahead means
 * the end of the piece. */
typedef struct fnd_split_step {
    const char *pattern; /* PCRE2; NULL: no more steps */
    bool        bytes;   /* sees bytes instead of characters */
} fnd_split_step;

enum { FND_SPLIT_STEPS = 6 };

typedef struct fnd_pretokenizer {
    const char    *names[3]; /* the first is the name, the others mean the same */
    bool           adds_bos;    /* its models want BOS where their files do not say */
    bool           whole_words; /* a piece that is a token is that token, whatever the merges say */
    fnd_split_step steps[FND_SPLIT_STEPS + 1];
} fnd_pretokenizer;

/* All there are, NULL after the last; by name, or an error with the names of all. */
const fnd_pretokenizer *fnd_pretokenizer_at(size_t i);
FND_USE_RESULT fnd_status fnd_pretokenizer_find(fnd_span name, const fnd_pretokenizer **out, fnd_error *err);

typedef struct fnd_splitter fnd_splitter;       /* compiled once, shared by threads */
typedef struct fnd_split_state fnd_split_state; /* one per running call */

/* Called for every piece in order; the pieces together are the text. */
typedef fnd_status fnd_piece_fn(void *user, const char *piece, size_t bytes, fnd_error *err);

FND_USE_RESULT fnd_status fnd_splitter_open(const fnd_pretokenizer *kind, fnd_splitter **out, fnd_error *err);
void fnd_splitter_close(fnd_splitter *s);
fnd_split_state *fnd_split_state_open(const fnd_splitter *s); /* NULL: out of memory */
void fnd_split_state_close(fnd_split_state *state);
/* `text` must be well-formed UTF-8. */
FND_USE_RESULT fnd_status fnd_splitter_run(const fnd_splitter *s, fnd_split_state *state, const char *text, size_t bytes, fnd_piece_fn *piece, void *user, fnd_error *err);

#endif
