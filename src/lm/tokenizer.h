/* tokenizer.h - what a tokenizer is made of. */
#ifndef LM_TOKENIZER_H
#define LM_TOKENIZER_H

#include "foundry/tokenizer.h"
#include "lm/name_index.h"
#include "lm/tokenizer_split.h"

#define FND_TOKEN_NONE UINT32_MAX

/* tokenizer.ggml.token_type */
enum { FND_TOKEN_NORMAL = 1, FND_TOKEN_UNKNOWN = 2, FND_TOKEN_CONTROL = 3, FND_TOKEN_USER = 4, FND_TOKEN_UNUSED = 5, FND_TOKEN_BYTE = 6 };

/* One merge: the pair of ids, its rank (lower goes first) and what it makes. */
typedef struct fnd_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: empty slot */
    uint32_t rank, merged;
} fnd_merge;

enum { FND_FIRST_USER = 1, FND_FIRST_CONTROL = 2 };

typedef struct fnd_bpe {
    uint32_t   byte_ids[256]; /* FND_TOKEN_NONE: the vocabulary lacks the byte */
    fnd_merge *merges;        /* open addressing, at most 5/8 full */
    size_t     mask;
} fnd_bpe;

/* What one running call needs. One is kept between calls, with its cache of words; a call that finds
 * it taken by another thread makes its own. */
typedef struct fnd_bpe_scratch fnd_bpe_scratch;
typedef struct fnd_bpe_spare {
    fnd_bpe_scratch *_Atomic scratch;
} fnd_bpe_spare;

struct fnd_tokenizer {
    fnd_tokenizer_info info;
    char              *pool;    /* texts of all tokens */
    size_t            *starts;  /* [token_count + 1] in pool */
    uint8_t           *types;   /* [token_count] */
    uint8_t           *ends;    /* [token_count] 1: generation stops here */
    size_t             longest; /* bytes of the longest text */
    uint32_t          *specials; /* ids of control, unknown and user-defined tokens, by text */
    size_t             special_count;
    uint8_t            first[256]; /* which kinds of specials begin with the byte: FND_FIRST_* */
    fnd_bpe            bpe;
    fnd_splitter      *splitter;
    fnd_bpe_spare     *spare;
};

/* Fills texts, types, bytes and merges from the file (byte-level BPE, model "gpt2"). */
FND_USE_RESULT fnd_status fnd_bpe_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err);

/* The slot of a pair, or the empty slot where it belongs. */
static inline size_t fnd_bpe_slot(const fnd_bpe *bpe, uint64_t pair) {
    size_t slot = (size_t)((pair * 0x9E3779B97F4A7C15u) >> 32) & bpe->mask;
    while (bpe->merges[slot].pair != pair && bpe->merges[slot].pair != UINT64_MAX) slot = (slot + 1) & bpe->mask;
    return slot;
}

fnd_bpe_scratch *fnd_bpe_scratch_take(const fnd_tokenizer *t); /* NULL: out of memory */
void fnd_bpe_scratch_give(const fnd_tokenizer *t, fnd_bpe_scratch *scratch);
void fnd_bpe_scratch_close(fnd_bpe_scratch *scratch);

typedef struct fnd_bpe_call {
    const fnd_tokenizer *t;
    fnd_bpe_scratch     *scratch;
    const char          *text; /* the whole text, for offsets in messages */
    fnd_ids             *ids;
    bool                 lossy;
} fnd_bpe_call;
/* Ids of a part of the text that holds no special tokens. */
FND_USE_RESULT fnd_status fnd_bpe_encode(fnd_bpe_call *call, const char *part, size_t bytes, fnd_error *err);

#endif
