/* tokenizer_spm.h - characters of a SentencePiece vocabulary. */
#ifndef LM_TOKENIZER_SPM_H
#define LM_TOKENIZER_SPM_H

#include "lm/tokenizer.h"
#include "lm/unicode.h"

#define FND_SPACE_MARK "\xE2\x96\x81" /* U+2581 */

enum { FND_SPM_PAGES = 0x110000 / 256,
       FND_SPM_JOIN_BITS = 1 << 20 };

/* A text is cut where no token holds the two characters side by side: nothing merges across. */
struct fnd_spm {
    uint32_t *pages[FND_SPM_PAGES]; /* symbols by character, in pages of 256; NULL: none of them */
    uint32_t  extra_count;          /* symbols after the tokens: characters that only stand in tokens */
    uint64_t  ascii_joins[128][2];  /* exact for pairs of ASCII */
    uint64_t  joins[FND_SPM_JOIN_BITS / 64]; /* by hash for the others: may be set for other pairs too */
};

/* The character at text, which must be well-formed; U+2581 and space are the same. */
static inline uint32_t fnd_spm_code(const char *text) {
    uint32_t code = fnd_utf8_code(text);
    return code == 0x2581 ? ' ' : code;
}

static inline uint32_t fnd_spm_symbol(const fnd_spm *spm, uint32_t code) {
    const uint32_t *page = spm->pages[code / 256];
    return page ? page[code % 256] : FND_TOKEN_NONE;
}

static inline uint32_t fnd_spm_hash(uint32_t left, uint32_t right) {
    return (uint32_t)(((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u >> 44); /* 20 bits */
}

static inline bool fnd_spm_joins(const fnd_spm *spm, uint32_t left, uint32_t right) {
    if ((left | right) < 128) return spm->ascii_joins[left][right / 64] >> right % 64 & 1;
    uint32_t bit = fnd_spm_hash(left, right);
    return spm->joins[bit / 64] >> bit % 64 & 1;
}

/* For loading. */
uint32_t *fnd_spm_place(fnd_spm *spm, uint32_t code); /* NULL: out of memory */
void fnd_spm_join(fnd_spm *spm, uint32_t left, uint32_t right);

#endif
