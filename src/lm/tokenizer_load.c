/* tokenizer_load.c - the vocabulary and the merges of a byte-level BPE from the file's metadata.
 *
 * Byte-level vocabularies spell bytes as letters (unicode.h). Texts are decoded to bytes once, here. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/tokenizer.h"
#include "lm/unicode.h"

#include <stdio.h>

enum { TOKENS_LIMIT = 1 << 24 };

typedef struct loader {
    fnd_tokenizer *t;
    const fnd_gguf *g;
    fnd_error *err;
    fnd_span *raw;                   /* [token_count] as in the file */
    fnd_index index;                 /* of raw */
    int16_t bytes[FND_BYTE_LETTERS]; /* letter -> byte; -1: no letter of the alphabet */
    uint16_t letters[256];           /* byte -> letter */
    char *joined;                    /* room for the longest merged text */
} loader;

static fnd_span raw_key(const void *items, size_t i) { return ((const fnd_span *)items)[i]; }

static fnd_status no_memory(fnd_error *err) { return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the tokenizer"); }

static void make_alphabet(loader *l) {
    for (int i = 0; i < FND_BYTE_LETTERS; i++) l->bytes[i] = -1;
    fnd_byte_letters(l->letters);
    for (unsigned b = 0; b < 256; b++) l->bytes[l->letters[b]] = (int16_t)b;
}

/* Bytes that `raw` spells; false when it has a character outside the alphabet. */
static bool decode_letters(const loader *l, fnd_span raw, char *out, size_t *bytes) {
    size_t n = 0;
    for (size_t i = 0; i < raw.bytes;) {
        size_t length = fnd_utf8_char(raw.data + i, raw.bytes - i);
        uint32_t code = length ? fnd_utf8_code(raw.data + i) : FND_BYTE_LETTERS;
        if (code >= FND_BYTE_LETTERS || l->bytes[code] < 0) return false;
        out[n++] = (char)l->bytes[code];
        i += length;
    }
    *bytes = n;
    return true;
}

static bool is_special(uint8_t type) { return type == FND_TOKEN_CONTROL || type == FND_TOKEN_USER || type == FND_TOKEN_UNKNOWN; }

static fnd_status read_raw(loader *l, size_t *total) {
    const fnd_gguf_value *tokens = NULL;
    FND_TRY(fnd_gguf_get_array(l->g, "tokenizer.ggml.tokens", FND_GGUF_STRINGS, &tokens, l->err));
    if (tokens->count == 0 || tokens->count > TOKENS_LIMIT) {
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens has %llu tokens, expected 1 to %d",
                        fnd_gguf_path(l->g), (unsigned long long)tokens->count, TOKENS_LIMIT);
    }
    size_t count = (size_t)tokens->count;
    l->t->info.token_count = (uint32_t)count;
    l->raw = fnd_alloc_zeroed(count, sizeof *l->raw);
    if (!l->raw || !fnd_index_init(&l->index, count)) return no_memory(l->err);
    fnd_gguf_cursor cursor = { .value = tokens };
    *total = 0;
    for (size_t i = 0; i < count && fnd_gguf_next_string(&cursor, &l->raw[i]); i++) {
        *total += l->raw[i].bytes; /* all of them lie in the file */
        /* Some converters leave holes in a vocabulary: empty texts, which match nothing. */
        if (l->raw[i].bytes == 0 || fnd_index_add(&l->index, l->raw, raw_key, i)) continue;
        char shown[64];
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens has the token \"%s\" twice, as %zu and %zu; the file is damaged", fnd_gguf_path(l->g),
                        fnd_span_quote(l->raw[i], shown, sizeof shown), fnd_index_find(&l->index, l->raw, raw_key, l->raw[i]), i);
    }
    return FND_OK;
}

static fnd_status read_types(loader *l) {
    size_t count = l->t->info.token_count;
    l->t->types = fnd_alloc_zeroed(count, 1);
    if (!l->t->types) return no_memory(l->err);
    memset(l->t->types, FND_TOKEN_NORMAL, count);
    if (!fnd_gguf_find(l->g, "tokenizer.ggml.token_type")) return FND_OK;
    const fnd_gguf_value *types = NULL;
    FND_TRY(fnd_gguf_get_array(l->g, "tokenizer.ggml.token_type", FND_GGUF_INTEGERS, &types, l->err));
    if (types->count != count) {
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.token_type has %llu entries for %zu tokens; the file is damaged",
                        fnd_gguf_path(l->g), (unsigned long long)types->count, count);
    }
    for (size_t i = 0; i < count; i++) {
        int64_t type = fnd_gguf_integer_at(types, i);
        if (type < FND_TOKEN_NORMAL || type > FND_TOKEN_BYTE) {
            return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.token_type[%zu] is %lld, expected 1 to 6; the file is damaged", fnd_gguf_path(l->g), i, (long long)type);
        }
        l->t->types[i] = (uint8_t)type;
    }
    return FND_OK;
}

static fnd_status decode_texts(loader *l, size_t total) {
    fnd_tokenizer *t = l->t;
    t->pool = fnd_alloc_zeroed(total, 1);
    t->starts = fnd_alloc_zeroed((size_t)t->info.token_count + 1, sizeof *t->starts);
    if (!t->pool || !t->starts) return no_memory(l->err);
    size_t used = 0;
    for (size_t i = 0; i < t->info.token_count; i++) {
        size_t bytes = 0;
        if (is_special(t->types[i]) || !decode_letters(l, l->raw[i], t->pool + used, &bytes)) {
            bytes = l->raw[i].bytes;
            if (bytes) memcpy(t->pool + used, l->raw[i].data, bytes);
        }
        used += bytes;
        t->starts[i + 1] = used;
        t->longest = fnd_max_size(t->longest, bytes);
    }
    for (unsigned b = 0; b < 256; b++) {
        char letter[4];
        fnd_span text = { letter, fnd_utf8_put(l->letters[b], letter) };
        size_t id = fnd_index_find(&l->index, l->raw, raw_key, text);
        t->bpe.byte_ids[b] = id == FND_INDEX_NONE ? FND_TOKEN_NONE : (uint32_t)id;
    }
    return FND_OK;
}

static fnd_status find_part(const loader *l, fnd_span part, uint64_t number, uint32_t *id) {
    size_t i = fnd_index_find(&l->index, l->raw, raw_key, part);
    if (i == FND_INDEX_NONE) {
        char shown[96];
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.merges[%llu] names \"%s\", which is no token; the file is damaged",
                        fnd_gguf_path(l->g), (unsigned long long)number, fnd_span_quote(part, shown, sizeof shown));
    }
    *id = (uint32_t)i;
    return FND_OK;
}

static fnd_status add_merge(loader *l, fnd_span text, uint64_t rank) {
    const char *space = text.bytes > 2 ? memchr(text.data + 1, ' ', text.bytes - 2) : NULL;
    if (!space) {
        char shown[96];
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.merges[%llu] is \"%s\", expected two tokens with a space between; the file is damaged",
                        fnd_gguf_path(l->g), (unsigned long long)rank, fnd_span_quote(text, shown, sizeof shown));
    }
    size_t left_bytes = (size_t)(space - text.data);
    fnd_span left = { text.data, left_bytes }, right = { space + 1, text.bytes - left_bytes - 1 };
    memcpy(l->joined, left.data, left.bytes);
    memcpy(l->joined + left.bytes, right.data, right.bytes);
    uint32_t left_id, right_id, merged;
    FND_TRY(find_part(l, left, rank, &left_id));
    FND_TRY(find_part(l, right, rank, &right_id));
    FND_TRY(find_part(l, (fnd_span){ l->joined, left.bytes + right.bytes }, rank, &merged));
    fnd_bpe *bpe = &l->t->bpe;
    uint64_t pair = (uint64_t)left_id << 32 | right_id;
    size_t slot = fnd_bpe_slot(bpe, pair);
    /* A pair that is listed again never gets its turn: its lower rank went first. */
    if (bpe->merges[slot].pair != pair) bpe->merges[slot] = (fnd_merge){ .pair = pair, .rank = (uint32_t)rank, .merged = merged };
    return FND_OK;
}

static fnd_status read_merges(loader *l) {
    const fnd_gguf_value *merges = NULL;
    FND_TRY(fnd_gguf_get_array(l->g, "tokenizer.ggml.merges", FND_GGUF_STRINGS, &merges, l->err));
    if (merges->count > 4 * (uint64_t)TOKENS_LIMIT) {
        return fnd_fail(l->err, FND_ERR_FORMAT, "%s: tokenizer.ggml.merges has %llu entries, expected at most %u", fnd_gguf_path(l->g), (unsigned long long)merges->count, 4u * TOKENS_LIMIT);
    }
    size_t capacity = 16, longest = 1;
    while (capacity / 8 * 5 < merges->count) capacity *= 2;
    fnd_span text;
    for (fnd_gguf_cursor c = { .value = merges }; fnd_gguf_next_string(&c, &text);) longest = fnd_max_size(longest, text.bytes);
    fnd_bpe *bpe = &l->t->bpe;
    bpe->merges = fnd_alloc_resized(NULL, capacity, sizeof *bpe->merges);
    l->joined = fnd_alloc_resized(NULL, longest, 1);
    if (!bpe->merges || !l->joined) return no_memory(l->err);
    bpe->mask = capacity - 1;
    memset(bpe->merges, 0xff, capacity * sizeof *bpe->merges);
    fnd_gguf_cursor cursor = { .value = merges };
    for (uint64_t rank = 0; fnd_gguf_next_string(&cursor, &text); rank++) FND_TRY(add_merge(l, text, rank));
    return FND_OK;
}

static fnd_status load_all(loader *l) {
    size_t total = 0;
    FND_TRY(read_raw(l, &total));
    FND_TRY(read_types(l));
    FND_TRY(decode_texts(l, total));
    return read_merges(l);
}

fnd_status fnd_bpe_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    loader l = { .t = t, .g = g, .err = err };
    make_alphabet(&l);
    fnd_status status = load_all(&l);
    fnd_free_memory(l.raw);
    fnd_free_memory(l.joined);
    fnd_index_free(&l.index);
    return status;
}
