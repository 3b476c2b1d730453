/* tokenizer_spm.c - cutting text for a SentencePiece vocabulary.
 *
 * SentencePiece merges over a whole text. Where no token of the vocabulary holds two characters side
 * by side, no merge can cross between them: cutting the text there changes nothing, and what is left
 * are mostly words, which the cache knows (tokenizer_bpe.c). */
#include "lm/tokenizer_spm.h"
#include "base/base.h"
#include "base/memory.h"

uint32_t *fnd_spm_place(fnd_spm *spm, uint32_t code) {
    uint32_t **page = &spm->pages[code / 256];
    if (!*page) {
        *page = fnd_alloc_resized(NULL, 256, sizeof **page);
        if (!*page) return NULL;
        memset(*page, 0xff, 256 * sizeof **page);
    }
    return &(*page)[code % 256];
}

void fnd_spm_join(fnd_spm *spm, uint32_t left, uint32_t right) {
    if ((left | right) < 128) {
        spm->ascii_joins[left][right / 64] |= (uint64_t)1 << right % 64;
    } else {
        uint32_t bit = fnd_spm_hash(left, right);
        spm->joins[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

void fnd_spm_close(fnd_spm *spm) {
    if (!spm) return;
    for (size_t i = 0; i < FND_SPM_PAGES; i++) fnd_free_memory(spm->pages[i]);
    fnd_free_memory(spm);
}

enum { NO_CHARACTER = 0x110000 };

/* The end of the piece that begins at `at`; `before` is the character before it (NO_CHARACTER: it may
 * be cut off at once). */
static size_t piece_end(const fnd_spm *spm, const char *part, size_t bytes, size_t at, uint32_t before) {
    while (at < bytes) {
        size_t n = 1;
        uint32_t code = (unsigned char)part[at];
        if (code >= 128) {
            n = fnd_utf8_char(part + at, bytes - at);
            code = n ? fnd_spm_code(part + at) : NO_CHARACTER;
        }
        if (before != NO_CHARACTER && (code == NO_CHARACTER || !fnd_spm_joins(spm, before, code))) break;
        if (code == NO_CHARACTER) return at + 1; /* no UTF-8: a piece of its own */
        before = code;
        at += n;
    }
    return at;
}

fnd_status fnd_spm_encode(fnd_bpe_call *call, const char *part, size_t bytes, fnd_error *err) {
    const fnd_spm *spm = call->t->bpe.spm;
    size_t at = 0;
    if (bytes && call->t->space_prefix) {
        at = piece_end(spm, part, bytes, 0, ' ');
        FND_TRY(fnd_bpe_encode_prefixed(call, part, at, err));
    }
    while (at < bytes) {
        size_t end = piece_end(spm, part, bytes, at, NO_CHARACTER);
        FND_TRY(fnd_bpe_encode_piece(call, part + at, end - at, err));
        at = end;
    }
    return FND_OK;
}
