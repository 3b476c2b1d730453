/* tokenizer_load.c - what every vocabulary has: tokens and what kind each is. */
#include "lm/tokenizer_load.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/unicode.h"

/* With all the characters that SentencePiece may add, symbols have FND_SYMBOL_BITS. */
enum { CHARACTERS = 0x110000,
       TOKENS_LIMIT = (1 << FND_SYMBOL_BITS) - 1 - CHARACTERS };

static fnd_span raw_key(const void *items, size_t i) { return ((const fnd_span *)items)[i]; }

fnd_status fnd_vocab_no_memory(const fnd_vocab *v) { return fnd_fail(v->err, FND_ERR_MEMORY, "out of memory while opening the tokenizer"); }

static fnd_status add_token(fnd_vocab *v, size_t i) {
    fnd_span raw = v->raw[i];
    char shown[64];
    size_t valid = fnd_utf8_valid(raw.data, raw.bytes);
    if (valid != raw.bytes) {
        return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens[%zu] is \"%s\", which is not UTF-8 at byte %zu; the file is damaged", fnd_gguf_path(v->g), i,
                        fnd_span_quote(raw, shown, sizeof shown), valid);
    }
    /* Some converters leave holes in a vocabulary: empty texts, which match nothing. */
    if (raw.bytes == 0 || fnd_index_add(&v->index, v->raw, raw_key, i)) return FND_OK;
    return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens has the token \"%s\" twice, as %zu and %zu; the file is damaged", fnd_gguf_path(v->g),
                    fnd_span_quote(raw, shown, sizeof shown), fnd_index_find(&v->index, v->raw, raw_key, raw), i);
}

static fnd_status read_tokens(fnd_vocab *v) {
    const fnd_gguf_value *tokens = NULL;
    FND_TRY(fnd_gguf_get_array(v->g, "tokenizer.ggml.tokens", FND_GGUF_STRINGS, &tokens, v->err));
    if (tokens->count == 0 || tokens->count > TOKENS_LIMIT) {
        return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens has %llu tokens, expected 1 to %d",
                        fnd_gguf_path(v->g), (unsigned long long)tokens->count, TOKENS_LIMIT);
    }
    size_t count = (size_t)tokens->count;
    v->t->info.token_count = (uint32_t)count;
    v->raw = fnd_alloc_zeroed(count, sizeof *v->raw);
    if (!v->raw || !fnd_index_init(&v->index, count)) return fnd_vocab_no_memory(v);
    fnd_gguf_cursor cursor = { .value = tokens };
    for (size_t i = 0; i < count && fnd_gguf_next_string(&cursor, &v->raw[i]); i++) {
        v->total_bytes += v->raw[i].bytes; /* all of them lie in the file */
        FND_TRY(add_token(v, i));
    }
    if (v->total_bytes <= UINT32_MAX) return FND_OK;
    return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens has %zu bytes of text, expected less than 4 GiB", fnd_gguf_path(v->g), v->total_bytes);
}

static fnd_status read_types(fnd_vocab *v) {
    size_t count = v->t->info.token_count;
    v->t->types = fnd_alloc_zeroed(count, 1);
    if (!v->t->types) return fnd_vocab_no_memory(v);
    memset(v->t->types, FND_TOKEN_NORMAL, count);
    v->has_types = fnd_gguf_find(v->g, "tokenizer.ggml.token_type") != NULL;
    if (!v->has_types) return FND_OK;
    const fnd_gguf_value *types = NULL;
    FND_TRY(fnd_gguf_get_array(v->g, "tokenizer.ggml.token_type", FND_GGUF_INTEGERS, &types, v->err));
    if (types->count != count) {
        return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.token_type has %llu entries for %zu tokens; the file is damaged",
                        fnd_gguf_path(v->g), (unsigned long long)types->count, count);
    }
    for (size_t i = 0; i < count; i++) {
        int64_t type = fnd_gguf_integer_at(types, i);
        if (type < FND_TOKEN_NORMAL || type > FND_TOKEN_BYTE) {
            return fnd_fail(v->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.token_type[%zu] is %lld, expected 1 to 6; the file is damaged", fnd_gguf_path(v->g), i, (long long)type);
        }
        v->t->types[i] = (uint8_t)type;
    }
    return FND_OK;
}

fnd_status fnd_vocab_open(fnd_vocab *v) {
    FND_TRY(read_tokens(v));
    FND_TRY(read_types(v));
    v->t->pool = fnd_alloc_zeroed(v->total_bytes, 1); /* no text is longer than its spelling */
    v->t->starts = fnd_alloc_zeroed((size_t)v->t->info.token_count + 1, sizeof *v->t->starts);
    return v->t->pool && v->t->starts ? FND_OK : fnd_vocab_no_memory(v);
}

void fnd_vocab_close(fnd_vocab *v) {
    fnd_free_memory(v->raw);
    fnd_index_free(&v->index);
}

void fnd_vocab_put(fnd_vocab *v, uint32_t id, size_t bytes) {
    v->t->starts[id + 1] = v->t->starts[id] + (uint32_t)bytes;
    v->t->longest = fnd_max_size(v->t->longest, bytes);
}

uint32_t fnd_vocab_find(const fnd_vocab *v, fnd_span raw) {
    size_t i = fnd_index_find(&v->index, v->raw, raw_key, raw);
    return i == FND_INDEX_NONE ? FND_TOKEN_NONE : (uint32_t)i;
}

/* ---- merges ---- */

fnd_status fnd_merges_open(const fnd_vocab *v, uint64_t count, bool ranked) {
    fnd_bpe *bpe = &v->t->bpe;
    if (count > FND_MERGES_LIMIT) {
        return fnd_fail(v->err, FND_ERR_FORMAT, "%s: the tokenizer has %llu merges, expected at most %d", fnd_gguf_path(v->g), (unsigned long long)count, FND_MERGES_LIMIT);
    }
    bpe->slot_count = (uint32_t)(count / 5 * 8 + 16);
    bpe->slots = fnd_alloc_zeroed(bpe->slot_count, sizeof *bpe->slots);
    bpe->merges = fnd_alloc_resized(NULL, (size_t)count, sizeof *bpe->merges);
    if (ranked) bpe->ranks = fnd_alloc_resized(NULL, (size_t)count, sizeof *bpe->ranks);
    return bpe->slots && bpe->merges && (bpe->ranks || !ranked) ? FND_OK : fnd_vocab_no_memory(v);
}

void fnd_merges_add(fnd_bpe *bpe, const fnd_merge *merge, uint32_t rank) {
    uint32_t at, tag;
    if (fnd_bpe_find(bpe, merge->left, merge->right, &at, &tag) != FND_NO_MERGE) return;
    if (bpe->ranks) bpe->ranks[bpe->merge_count] = rank;
    bpe->merges[bpe->merge_count++] = ((uint64_t)merge->left << FND_SYMBOL_BITS | merge->right) << FND_SYMBOL_BITS | merge->merged;
    bpe->slots[at] = tag | bpe->merge_count;
}
