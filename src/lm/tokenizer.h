/* tokenizer.h - what a tokenizer is made of. */
#ifndef LM_TOKENIZER_H
#define LM_TOKENIZER_H

#include "foundry/tokenizer.h"
#include "lm/name_index.h"
#include "lm/tokenizer_split.h"

#define FND_TOKEN_NONE UINT32_MAX

/* tokenizer.ggml.token_type */
enum { FND_TOKEN_NORMAL = 1, FND_TOKEN_UNKNOWN = 2, FND_TOKEN_CONTROL = 3, FND_TOKEN_USER = 4, FND_TOKEN_UNUSED = 5, FND_TOKEN_BYTE = 6 };

/* Tokens that are found in a text as they stand, before anything is merged. */
static inline bool fnd_token_is_special(uint8_t type) { return type == FND_TOKEN_CONTROL || type == FND_TOKEN_USER || type == FND_TOKEN_UNKNOWN; }

/* One merge: the pair of symbols and what it makes. */
typedef struct fnd_merge {
    uint32_t left, right, merged;
} fnd_merge;
enum { FND_MERGES_LIMIT = (1 << 24) - 1,
       FND_SYMBOL_BITS = 21 }; /* three symbols are 63 bits; the last symbol stands for none */
#define FND_NO_MERGE UINT32_MAX

enum { FND_FIRST_USER = 1, FND_FIRST_CONTROL = 2 };

typedef struct fnd_spm fnd_spm;

/* Symbols are what merges: tokens; with SentencePiece also characters that are no tokens. */
typedef struct fnd_bpe {
    uint32_t   byte_ids[256]; /* FND_TOKEN_NONE: the vocabulary lacks the byte */
    uint64_t  *merges;        /* left, right, merged, of FND_SYMBOL_BITS each */
    uint32_t   merge_count;
    uint32_t  *ranks;         /* of merges: the lower goes first; NULL: the earlier goes first */
    uint32_t  *slots;         /* open addressing, 5/8 full: 8 bits of the hash << 24 | merge + 1; 0: empty */
    uint32_t   slot_count;
    fnd_index  words;         /* of texts, where whole words are looked up first; else empty */
    fnd_spm   *spm;           /* SentencePiece: symbols begin as characters; NULL: as bytes */
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
    uint32_t          *starts;  /* [token_count + 1] in pool */
    uint8_t           *types;   /* [token_count] */
    uint8_t           *ends;    /* [token_count] 1: generation stops here */
    uint8_t           *strips;  /* [token_count] 1: takes white space behind it along; NULL: none does */
    size_t             longest; /* bytes of the longest text */
    uint32_t          *specials; /* ids of control, unknown and user-defined tokens, by text */
    size_t             special_count;
    uint8_t            first[256]; /* which kinds of specials begin with the byte: FND_FIRST_* */
    bool               space_prefix; /* a space is put before a text and behind a special token */
    fnd_bpe            bpe;
    const fnd_pretokenizer *pre; /* NULL with SentencePiece */
    fnd_splitter      *splitter;
    fnd_bpe_spare     *spare;
};

/* Fill texts, types, bytes and merges from the file: byte-level BPE (model "gpt2", needs t->pre) or
 * SentencePiece (model "llama"). */
FND_USE_RESULT fnd_status fnd_bpe_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err);
FND_USE_RESULT fnd_status fnd_spm_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err);
void fnd_spm_close(fnd_spm *spm);

/* The merge of a pair, or FND_NO_MERGE with *at the slot where it belongs. */
static inline uint32_t fnd_bpe_find(const fnd_bpe *bpe, uint32_t left, uint32_t right, uint32_t *at, uint32_t *tag) {
    uint64_t hash = (((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u) >> 32;
    uint64_t pair = (uint64_t)left << FND_SYMBOL_BITS | right; /* FND_TOKEN_NONE makes it one that there is not */
    uint32_t slot = (uint32_t)(hash * bpe->slot_count >> 32), entry;
    *at = slot;
    *tag = (uint32_t)hash << 24;
    for (; (entry = bpe->slots[slot]); *at = slot = slot + 1 == bpe->slot_count ? 0 : slot + 1) {
        uint32_t merge = (entry & FND_MERGES_LIMIT) - 1;
        if (((entry ^ *tag) >> 24) == 0 && bpe->merges[merge] >> FND_SYMBOL_BITS == pair) return merge;
    }
    return FND_NO_MERGE;
}

/* The token that is a whole word, whatever the merges say; FND_TOKEN_NONE: there is none. */
uint32_t fnd_bpe_whole_word(const fnd_tokenizer *t, const char *piece, size_t bytes);

/* For a text of so many bytes; NULL: out of memory. */
fnd_bpe_scratch *fnd_bpe_scratch_take(const fnd_tokenizer *t, size_t text_bytes);
void fnd_bpe_scratch_give(const fnd_tokenizer *t, fnd_bpe_scratch *scratch);
void fnd_bpe_scratch_close(fnd_bpe_scratch *scratch);
/* Moves in heaps and looked-up merges of long pieces, of all calls that gave this scratch back: what
 * the time of a call grows with. */
uint64_t fnd_bpe_scratch_steps(const fnd_bpe_scratch *scratch);

typedef struct fnd_bpe_call {
    const fnd_tokenizer *t;
    fnd_bpe_scratch     *scratch;
    const char          *base; /* pieces lie behind it, base_offset bytes into the text: for messages */
    size_t               base_offset;
    fnd_ids             *ids;
    bool                 lossy;
} fnd_bpe_call;
/* Ids of a part of the text that holds no special tokens; it begins the text or follows a special token. */
FND_USE_RESULT fnd_status fnd_bpe_encode(fnd_bpe_call *call, const char *part, size_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_spm_encode(fnd_bpe_call *call, const char *part, size_t bytes, fnd_error *err);
/* Ids of one piece, which nothing merges out of; the same with a space before it. With bytes as
 * symbols any piece will do, with characters one of UTF-8 or of one byte. */
FND_USE_RESULT fnd_status fnd_bpe_encode_piece(void *call, const char *piece, size_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_bpe_encode_prefixed(fnd_bpe_call *call, const char *piece, size_t bytes, fnd_error *err);

#endif
