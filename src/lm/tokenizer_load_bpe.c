/* tokenizer_load_bpe.c - a byte-level BPE from the file's metadata (tokenizer.ggml.model "gpt2").
 *
 * Byte-level vocabularies spell bytes as letters (fnd_byte_letters). Texts are decoded to bytes once,
 * here. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/tokenizer_load.h"
#include "lm/unicode.h"

typedef struct loader {
    fnd_vocab v;
    int16_t bytes[FND_BYTE_LETTERS]; /* letter -> byte; -1: no letter of the alphabet */
    uint16_t letters[256];           /* byte -> letter */
    char *joined;                    /* room for the longest merged text */
} loader;

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

static void decode_texts(loader *l) {
    fnd_tokenizer *t = l->v.t;
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        char *out = t->pool + t->starts[id];
        size_t bytes = 0;
        if (fnd_token_is_special(t->types[id]) || !decode_letters(l, l->v.raw[id], out, &bytes)) {
            bytes = l->v.raw[id].bytes;
            if (bytes) memcpy(out, l->v.raw[id].data, bytes);
        }
        fnd_vocab_put(&l->v, id, bytes);
    }
    for (unsigned b = 0; b < 256; b++) {
        char letter[4];
        uint32_t id = fnd_vocab_find(&l->v, (fnd_span){ letter, fnd_utf8_put(l->letters[b], letter) });
        /* Special tokens are their own text: one that is a letter of the alphabet is not its byte. */
        t->bpe.byte_ids[b] = id == FND_TOKEN_NONE || fnd_token_is_special(t->types[id]) ? FND_TOKEN_NONE : id;
    }
}

static fnd_status find_part(const loader *l, fnd_span part, uint64_t number, uint32_t *id) {
    *id = fnd_vocab_find(&l->v, part);
    if (*id != FND_TOKEN_NONE) return FND_OK;
    char shown[96];
    return fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.merges[%llu] names \"%s\", which is no token; the file is damaged",
                    fnd_gguf_path(l->v.g), (unsigned long long)number, fnd_span_quote(part, shown, sizeof shown));
}

static fnd_status add_merge(loader *l, fnd_span text, uint64_t rank) {
    const char *space = text.bytes > 2 ? memchr(text.data + 1, ' ', text.bytes - 2) : NULL;
    if (!space) {
        char shown[96];
        return fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.merges[%llu] is \"%s\", expected two tokens with a space between; the file is damaged",
                        fnd_gguf_path(l->v.g), (unsigned long long)rank, fnd_span_quote(text, shown, sizeof shown));
    }
    size_t left_bytes = (size_t)(space - text.data);
    fnd_span left = { text.data, left_bytes }, right = { space + 1, text.bytes - left_bytes - 1 };
    memcpy(l->joined, left.data, left.bytes);
    memcpy(l->joined + left.bytes, right.data, right.bytes);
    uint32_t left_id, right_id, merged;
    FND_TRY(find_part(l, left, rank, &left_id));
    FND_TRY(find_part(l, right, rank, &right_id));
    FND_TRY(find_part(l, (fnd_span){ l->joined, left.bytes + right.bytes }, rank, &merged));
    fnd_merges_add(&l->v.t->bpe, &(fnd_merge){ left_id, right_id, merged }, (uint32_t)rank);
    return FND_OK;
}

static fnd_status read_merges(loader *l) {
    const fnd_gguf_value *merges = NULL;
    FND_TRY(fnd_gguf_get_array(l->v.g, "tokenizer.ggml.merges", FND_GGUF_STRINGS, &merges, l->v.err));
    size_t longest = 1;
    fnd_span text;
    for (fnd_gguf_cursor c = { .value = merges }; fnd_gguf_next_string(&c, &text);) longest = fnd_max_size(longest, text.bytes);
    FND_TRY(fnd_merges_open(&l->v, merges->count, false));
    l->joined = fnd_alloc_resized(NULL, longest, 1);
    if (!l->joined) return fnd_vocab_no_memory(&l->v);
    fnd_gguf_cursor cursor = { .value = merges };
    for (uint64_t rank = 0; fnd_gguf_next_string(&cursor, &text); rank++) FND_TRY(add_merge(l, text, rank));
    return FND_OK;
}

static fnd_span text_key(const void *items, size_t i) { return fnd_token_text(items, (uint32_t)i); }

uint32_t fnd_bpe_whole_word(const fnd_tokenizer *t, const char *piece, size_t bytes) {
    size_t i = fnd_index_find(&t->bpe.words, t, text_key, (fnd_span){ piece, bytes });
    return i == FND_INDEX_NONE ? FND_TOKEN_NONE : (uint32_t)i;
}

static fnd_status index_words(loader *l) {
    fnd_tokenizer *t = l->v.t;
    if (!fnd_index_init(&t->bpe.words, t->info.token_count)) return fnd_vocab_no_memory(&l->v);
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        if (t->types[id] == FND_TOKEN_NORMAL && fnd_token_text(t, id).bytes) (void)fnd_index_add(&t->bpe.words, t, text_key, id);
    }
    return FND_OK;
}

static fnd_status load_all(loader *l) {
    FND_TRY(fnd_vocab_open(&l->v));
    decode_texts(l);
    if (l->v.t->pre->whole_words) FND_TRY(index_words(l));
    return read_merges(l);
}

fnd_status fnd_bpe_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    loader l = { .v = { .t = t, .g = g, .err = err } };
    make_alphabet(&l);
    fnd_status status = load_all(&l);
    fnd_free_memory(l.joined);
    fnd_vocab_close(&l.v);
    return status;
}
