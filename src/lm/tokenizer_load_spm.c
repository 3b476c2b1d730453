/* tokenizer_load_spm.c - a SentencePiece BPE from the file's metadata (tokenizer.ggml.model "llama").
 *
 * Such a vocabulary has no list of merges: any two neighbours merge whose joined text is a token, the
 * one of the best score first. The pairs that can meet are known beforehand: every token cut in two
 * where both parts are tokens or single characters. With them listed here, with their scores' order as
 * rank, merging is the same for both kinds of vocabulary (tokenizer_bpe.c).
 *
 * Spaces are written as U+2581 in the file; texts have spaces. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/tokenizer_load.h"
#include "lm/tokenizer_spm.h"
#include "lm/unicode.h"

#include <math.h>

/* Tokens of real vocabularies have at most some hundred bytes. */
enum { TOKEN_BYTES_LIMIT = 1024 };

typedef struct loader {
    fnd_vocab v;
    uint32_t *ranks; /* [token_count] of their scores */
    fnd_merge *list; /* their ranks are those of what they make */
    size_t count, capacity;
} loader;

typedef struct scored {
    float score;
    uint32_t id;
} scored;

/* ---- texts ---- */

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                                   : c >= 'a' && c <= 'f'   ? c - 'a' + 10
                                                                                            : -1; }

/* The byte that "<0x41>" stands for; -1: another text. */
static int byte_of(fnd_span raw) {
    if (raw.bytes != 6 || memcmp(raw.data, "<0x", 3) != 0 || raw.data[5] != '>') return -1;
    int high = hex_digit(raw.data[3]), low = hex_digit(raw.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static size_t with_spaces(fnd_span raw, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < raw.bytes;) {
        bool mark = raw.bytes - i >= 3 && memcmp(raw.data + i, FND_SPACE_MARK, 3) == 0;
        out[n++] = mark ? ' ' : raw.data[i];
        i += mark ? 3 : 1;
    }
    return n;
}

static fnd_status put_text(loader *l, uint32_t id) {
    fnd_tokenizer *t = l->v.t;
    fnd_span raw = l->v.raw[id];
    char *out = t->pool + t->starts[id];
    size_t bytes = raw.bytes;
    int byte = byte_of(raw);
    if (!l->v.has_types && byte >= 0) t->types[id] = FND_TOKEN_BYTE;
    if (t->types[id] == FND_TOKEN_BYTE) {
        char shown[64];
        if (byte < 0) {
            return fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens[%u] is \"%s\", but its type is byte; expected <0x00> to <0xFF>; the file is damaged", fnd_gguf_path(l->v.g), id,
                            fnd_span_quote(raw, shown, sizeof shown));
        }
        if (t->bpe.byte_ids[byte] == FND_TOKEN_NONE) t->bpe.byte_ids[byte] = id;
        out[0] = (char)byte;
        bytes = 1;
    } else if (fnd_token_is_special(t->types[id])) {
        if (bytes) memcpy(out, raw.data, bytes);
    } else {
        if (bytes > TOKEN_BYTES_LIMIT) {
            return fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.tokens[%u] has %zu bytes, expected at most %d", fnd_gguf_path(l->v.g), id, bytes, TOKEN_BYTES_LIMIT);
        }
        bytes = with_spaces(raw, out);
    }
    fnd_vocab_put(&l->v, id, bytes);
    return FND_OK;
}

/* ---- scores ---- */

static int by_score(const void *a, const void *b) {
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The best score gets rank 0, equal ones the same. */
static fnd_status rank_scores(loader *l) {
    const fnd_gguf_value *scores = NULL;
    size_t count = l->v.t->info.token_count;
    FND_TRY(fnd_gguf_get_array(l->v.g, "tokenizer.ggml.scores", FND_GGUF_FLOATS, &scores, l->v.err));
    if (scores->count != count) {
        return fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.scores has %llu entries for %zu tokens; the file is damaged", fnd_gguf_path(l->v.g), (unsigned long long)scores->count, count);
    }
    l->ranks = fnd_alloc_zeroed(count, sizeof *l->ranks);
    scored *sorted = fnd_alloc_zeroed(count, sizeof *sorted);
    if (!l->ranks || !sorted) {
        fnd_free_memory(sorted);
        return fnd_vocab_no_memory(&l->v);
    }
    fnd_status status = FND_OK;
    for (size_t i = 0; i < count && status == FND_OK; i++) {
        sorted[i] = (scored){ (float)fnd_gguf_float_at(scores, i), (uint32_t)i };
        if (isnan(sorted[i].score)) status = fnd_fail(l->v.err, FND_ERR_FORMAT, "%s: tokenizer.ggml.scores[%zu] is not a number; the file is damaged", fnd_gguf_path(l->v.g), i);
    }
    if (status == FND_OK) qsort(sorted, count, sizeof *sorted, by_score);
    uint32_t rank = 0;
    for (size_t i = 0; i < count && status == FND_OK; i++) {
        if (i && sorted[i].score != sorted[i - 1].score) rank++;
        l->ranks[sorted[i].id] = rank;
    }
    fnd_free_memory(sorted);
    return status;
}

/* ---- characters and pairs ---- */

/* Spaces never come out of a text as such: they are marks by then. */
static bool merges(const fnd_vocab *v, uint32_t id) {
    fnd_span raw = v->raw[id];
    uint8_t type = v->t->types[id];
    return raw.bytes && (type == FND_TOKEN_NORMAL || type == FND_TOKEN_UNUSED) && !memchr(raw.data, ' ', raw.bytes);
}

static fnd_status add_characters(loader *l, uint32_t id) {
    fnd_spm *spm = l->v.t->bpe.spm;
    fnd_span raw = l->v.raw[id];
    uint32_t before = 0;
    for (size_t i = 0; i < raw.bytes;) {
        size_t n = fnd_utf8_char(raw.data + i, raw.bytes - i);
        uint32_t code = fnd_spm_code(raw.data + i);
        uint32_t *symbol = fnd_spm_place(spm, code);
        if (!symbol) return fnd_vocab_no_memory(&l->v);
        if (n == raw.bytes) {
            *symbol = id;
        } else if (*symbol == FND_TOKEN_NONE) {
            *symbol = l->v.t->info.token_count + spm->extra_count++;
        }
        if (i) fnd_spm_join(spm, before, code);
        before = code;
        i += n;
    }
    return FND_OK;
}

/* The symbol of a part: a token that merging may make, or a single character. */
static uint32_t symbol_of(const fnd_vocab *v, fnd_span part) {
    if (fnd_utf8_char(part.data, part.bytes) == part.bytes) return fnd_spm_symbol(v->t->bpe.spm, fnd_spm_code(part.data));
    uint32_t id = fnd_vocab_find(v, part);
    return id == FND_TOKEN_NONE || !merges(v, id) ? FND_TOKEN_NONE : id;
}

static fnd_status list_cuts(loader *l, uint32_t id) {
    fnd_span raw = l->v.raw[id];
    for (size_t i = fnd_utf8_char(raw.data, raw.bytes); i < raw.bytes; i += fnd_utf8_char(raw.data + i, raw.bytes - i)) {
        uint32_t left = symbol_of(&l->v, (fnd_span){ raw.data, i });
        uint32_t right = left == FND_TOKEN_NONE ? left : symbol_of(&l->v, (fnd_span){ raw.data + i, raw.bytes - i });
        if (right == FND_TOKEN_NONE) continue;
        if (l->count == l->capacity) {
            size_t capacity = l->capacity ? 2 * l->capacity : 4096;
            fnd_merge *list = fnd_alloc_resized(l->list, capacity, sizeof *list);
            if (!list) return fnd_vocab_no_memory(&l->v);
            l->list = list;
            l->capacity = capacity;
        }
        l->list[l->count++] = (fnd_merge){ left, right, id };
    }
    return FND_OK;
}

static fnd_status load_all(loader *l) {
    fnd_tokenizer *t = l->v.t;
    FND_TRY(fnd_vocab_open(&l->v));
    uint32_t count = t->info.token_count;
    for (uint32_t id = 0; id < count; id++) FND_TRY(put_text(l, id));
    FND_TRY(rank_scores(l));
    for (uint32_t id = 0; id < count; id++) {
        if (merges(&l->v, id)) FND_TRY(add_characters(l, id));
    }
    for (uint32_t id = 0; id < count; id++) {
        if (merges(&l->v, id)) FND_TRY(list_cuts(l, id));
    }
    FND_TRY(fnd_merges_open(&l->v, l->count, true));
    for (size_t i = 0; i < l->count; i++) fnd_merges_add(&t->bpe, &l->list[i], l->ranks[l->list[i].merged]);
    return FND_OK;
}

fnd_status fnd_spm_load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    loader l = { .v = { .t = t, .g = g, .err = err } };
    memset(t->bpe.byte_ids, 0xff, sizeof t->bpe.byte_ids);
    t->bpe.spm = fnd_alloc_zeroed(1, sizeof *t->bpe.spm);
    fnd_status status = t->bpe.spm ? load_all(&l) : fnd_vocab_no_memory(&l.v);
    fnd_free_memory(l.ranks);
    fnd_free_memory(l.list);
    fnd_vocab_close(&l.v);
    return status;
}
