/* tokenizer.c - opening a tokenizer, special tokens, and the whole of a text. */
#include "lm/tokenizer.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdatomic.h>

/* Positions are 32 bits wide. */
static const size_t TEXT_BYTES_LIMIT = (size_t)1 << 31;

/* Texts after which a model has finished, whatever else its file says. Files exist that list only
 * one of several ends, or that mark one of these as an ordinary token. */
static const char *const end_texts[] = {
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "<EOT>",
};

static fnd_status no_memory(fnd_error *err) { return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the tokenizer"); }

/* ---- opening ---- */

static void copy_text(char *to, size_t to_bytes, fnd_span from) {
    size_t n = fnd_min_size(from.bytes, to_bytes - 1);
    memcpy(to, from.data, n);
    to[n] = '\0';
}

static fnd_status read_id(const fnd_tokenizer *t, const fnd_gguf *g, const char *key, int32_t *id, fnd_error *err) {
    uint32_t value = FND_TOKEN_NONE;
    *id = -1;
    if (!fnd_gguf_find(g, key)) return FND_OK;
    FND_TRY(fnd_gguf_get_u32(g, key, &value, err));
    if (value >= t->info.token_count) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is %u, but the vocabulary has %u tokens; the file is damaged", fnd_gguf_path(g), key, value, t->info.token_count);
    }
    *id = (int32_t)value;
    return FND_OK;
}

static fnd_status read_ids(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    fnd_tokenizer_info *info = &t->info;
    int32_t message_end;
    FND_TRY(read_id(t, g, "tokenizer.ggml.bos_token_id", &info->bos, err));
    FND_TRY(read_id(t, g, "tokenizer.ggml.eos_token_id", &info->eos, err));
    FND_TRY(read_id(t, g, "tokenizer.ggml.eot_token_id", &info->eot, err));
    FND_TRY(read_id(t, g, "tokenizer.ggml.eom_token_id", &message_end, err));
    FND_TRY(read_id(t, g, "tokenizer.ggml.unknown_token_id", &info->unknown, err));
    FND_TRY(read_id(t, g, "tokenizer.ggml.padding_token_id", &info->padding, err));
    FND_TRY(fnd_gguf_maybe_bool(g, "tokenizer.ggml.add_bos_token", &info->add_bos, err));
    FND_TRY(fnd_gguf_maybe_bool(g, "tokenizer.ggml.add_eos_token", &info->add_eos, err));
    if (info->add_bos && info->bos < 0) {
        return fnd_fail(err, FND_ERR_FORMAT, "%s: tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing", fnd_gguf_path(g));
    }
    t->ends = fnd_alloc_zeroed(info->token_count, 1);
    if (!t->ends) return no_memory(err);
    const int32_t ends[] = { info->eos, info->eot, message_end };
    for (size_t i = 0; i < FND_COUNT(ends); i++) {
        if (ends[i] >= 0) t->ends[ends[i]] = 1;
    }
    return FND_OK;
}

static void mark_ends(fnd_tokenizer *t) {
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        fnd_span text = fnd_token_text(t, id);
        if (text.bytes == 0 || text.data[0] != '<') continue;
        for (size_t i = 0; i < FND_COUNT(end_texts); i++) {
            if (!fnd_span_equal(text, end_texts[i])) continue;
            t->ends[id] = 1;
            if (t->types[id] == FND_TOKEN_NORMAL) t->types[id] = FND_TOKEN_CONTROL;
        }
    }
}

static bool is_special(uint8_t type) { return type == FND_TOKEN_CONTROL || type == FND_TOKEN_USER || type == FND_TOKEN_UNKNOWN; }

static int compare_spans(fnd_span a, fnd_span b) {
    int order = memcmp(a.data, b.data, fnd_min_size(a.bytes, b.bytes));
    return order ? order : a.bytes < b.bytes ? -1
                                             : a.bytes > b.bytes;
}

typedef struct special_text {
    fnd_span text;
    uint32_t id;
} special_text;

static int by_text(const void *a, const void *b) { return compare_spans(((const special_text *)a)->text, ((const special_text *)b)->text); }

static fnd_status sort_specials(fnd_tokenizer *t, fnd_error *err) {
    size_t count = 0;
    for (uint32_t id = 0; id < t->info.token_count; id++) count += is_special(t->types[id]) && fnd_token_text(t, id).bytes;
    special_text *sorted = fnd_alloc_zeroed(count, sizeof *sorted);
    t->specials = fnd_alloc_zeroed(count, sizeof *t->specials);
    if (!sorted || !t->specials) {
        fnd_free_memory(sorted);
        return no_memory(err);
    }
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        fnd_span text = fnd_token_text(t, id);
        if (!is_special(t->types[id]) || !text.bytes) continue;
        sorted[t->special_count++] = (special_text){ text, id };
        t->first[(unsigned char)text.data[0]] |= t->types[id] == FND_TOKEN_USER ? FND_FIRST_USER : FND_FIRST_CONTROL;
    }
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 0; i < count; i++) t->specials[i] = sorted[i].id;
    fnd_free_memory(sorted);
    return FND_OK;
}

static fnd_status open_parts(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    fnd_span model = { 0 }, pre = { "default", 7 };
    t->spare = fnd_alloc_zeroed(1, sizeof *t->spare);
    if (!t->spare) return no_memory(err);
    FND_TRY(fnd_gguf_get_str(g, "tokenizer.ggml.model", &model, err));
    if (!fnd_span_equal(model, "gpt2")) {
        char shown[64];
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: the tokenizer model \"%s\" (tokenizer.ggml.model) is not supported; supported is: gpt2 (byte-level BPE)",
                        fnd_gguf_path(g), fnd_span_quote(model, shown, sizeof shown));
    }
    FND_TRY(fnd_gguf_maybe_str(g, "tokenizer.ggml.pre", &pre, err));
    FND_TRY(fnd_splitter_open(pre, &t->splitter, &t->info.add_bos, err));
    copy_text(t->info.model, sizeof t->info.model, model);
    copy_text(t->info.pre, sizeof t->info.pre, pre);
    FND_TRY(fnd_bpe_load(t, g, err));
    FND_TRY(read_ids(t, g, err));
    mark_ends(t);
    return sort_specials(t, err);
}

fnd_status fnd_tokenizer_open(const fnd_gguf *g, fnd_tokenizer **out, fnd_error *err) {
    *out = NULL;
    fnd_tokenizer *t = fnd_alloc_zeroed(1, sizeof *t);
    if (!t) return no_memory(err);
    fnd_status status = open_parts(t, g, err);
    if (status != FND_OK) {
        fnd_tokenizer_close(t);
        return status;
    }
    *out = t;
    return FND_OK;
}

void fnd_tokenizer_close(fnd_tokenizer *t) {
    if (!t) return;
    if (t->spare) fnd_bpe_scratch_close(atomic_load(&t->spare->scratch));
    fnd_free_memory(t->spare);
    fnd_splitter_close(t->splitter);
    fnd_free_memory(t->bpe.merges);
    fnd_free_memory(t->specials);
    fnd_free_memory(t->ends);
    fnd_free_memory(t->types);
    fnd_free_memory(t->starts);
    fnd_free_memory(t->pool);
    fnd_free_memory(t);
}

/* ---- single tokens ---- */

const fnd_tokenizer_info *fnd_tokenizer_get_info(const fnd_tokenizer *t) { return &t->info; }

fnd_span fnd_token_text(const fnd_tokenizer *t, uint32_t id) {
    if (id >= t->info.token_count) return (fnd_span){ "", 0 };
    return (fnd_span){ t->pool + t->starts[id], t->starts[id + 1] - t->starts[id] };
}

bool fnd_token_is_control(const fnd_tokenizer *t, uint32_t id) {
    return id < t->info.token_count && (t->types[id] == FND_TOKEN_CONTROL || t->types[id] == FND_TOKEN_UNKNOWN);
}

bool fnd_token_is_end(const fnd_tokenizer *t, uint32_t id) { return id < t->info.token_count && t->ends[id]; }

int32_t fnd_token_find(const fnd_tokenizer *t, fnd_span text) {
    size_t low = 0, high = t->special_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_spans(fnd_token_text(t, t->specials[middle]), text);
        if (order == 0) return (int32_t)t->specials[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

/* ---- whole texts ---- */

typedef struct walk {
    const fnd_tokenizer *t;
    const char *text;
    size_t bytes;
    const fnd_text_range *trusted; /* NULL: all of the text */
    size_t trusted_count, current;
    bool special;
} walk;

/* May a control token stand at [at, at + bytes)? Asked with ascending `at`. */
static bool is_trusted(walk *w, size_t at, size_t bytes) {
    if (!w->special) return false;
    if (!w->trusted) return true;
    while (w->current < w->trusted_count && w->trusted[w->current].start + w->trusted[w->current].bytes <= at) w->current++;
    if (w->current == w->trusted_count) return false;
    const fnd_text_range *range = &w->trusted[w->current];
    return at >= range->start && bytes <= range->start + range->bytes - at;
}

/* Among the specials [*low, *high), which agree in their first `depth` bytes, those whose next byte
 * is `byte`. */
static void narrow(const fnd_tokenizer *t, size_t depth, unsigned char byte, size_t *low, size_t *high) {
    for (int side = 0; side < 2; side++) {
        size_t from = *low, to = *high;
        while (from < to) {
            size_t middle = from + (to - from) / 2;
            fnd_span text = fnd_token_text(t, t->specials[middle]);
            int next = text.bytes > depth ? (unsigned char)text.data[depth] : -1;
            if (next < byte + side) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        *(side ? high : low) = from;
    }
}

/* The longest permitted special token at `at`; FND_TOKEN_NONE: none. */
static uint32_t match_special(walk *w, size_t at) {
    const fnd_tokenizer *t = w->t;
    uint32_t found = FND_TOKEN_NONE;
    size_t low = 0, high = t->special_count;
    for (size_t depth = 0; at + depth < w->bytes; depth++) {
        narrow(t, depth, (unsigned char)w->text[at + depth], &low, &high);
        if (low == high) break;
        uint32_t id = t->specials[low]; /* a text that ends here sorts before those that go on */
        if (fnd_token_text(t, id).bytes == depth + 1 && (t->types[id] == FND_TOKEN_USER || is_trusted(w, at, depth + 1))) found = id;
    }
    return found;
}

static fnd_status run(walk *w, fnd_bpe_call *call, fnd_error *err) {
    unsigned kinds = FND_FIRST_USER | (w->special ? FND_FIRST_CONTROL : 0u);
    size_t start = 0, at = 0;
    while (at < w->bytes) {
        uint32_t id = w->t->first[(unsigned char)w->text[at]] & kinds ? match_special(w, at) : FND_TOKEN_NONE;
        if (id == FND_TOKEN_NONE) {
            at++;
            continue;
        }
        FND_TRY(fnd_bpe_encode(call, w->text + start, at - start, err));
        FND_TRY(fnd_ids_add(call->ids, id, err));
        at = start = at + fnd_token_text(w->t, id).bytes;
    }
    return fnd_bpe_encode(call, w->text + start, at - start, err);
}

static fnd_status tokenize(walk *w, unsigned flags, fnd_ids *ids, fnd_error *err) {
    if (w->bytes > TEXT_BYTES_LIMIT) return fnd_fail(err, FND_ERR_LIMIT, "the text has %zu bytes; at most %zu can be tokenized at once", w->bytes, TEXT_BYTES_LIMIT);
    fnd_bpe_scratch *scratch = fnd_bpe_scratch_take(w->t);
    if (!scratch) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while tokenizing");
    fnd_bpe_call call = { .t = w->t, .scratch = scratch, .text = w->text, .ids = ids, .lossy = flags & FND_TOKENIZE_LOSSY };
    size_t before = ids->count;
    fnd_status status = FND_OK;
    if (flags & FND_TOKENIZE_ADD_BOS && w->t->info.add_bos) status = fnd_ids_add(ids, (uint32_t)w->t->info.bos, err);
    if (status == FND_OK) status = run(w, &call, err);
    if (status != FND_OK) ids->count = before;
    fnd_bpe_scratch_give(w->t, scratch);
    return status;
}

fnd_status fnd_tokenize(const fnd_tokenizer *t, const char *text, size_t bytes, unsigned flags, fnd_ids *ids, fnd_error *err) {
    walk w = { .t = t, .text = text, .bytes = bytes, .special = flags & FND_TOKENIZE_SPECIAL };
    return tokenize(&w, flags, ids, err);
}

fnd_status fnd_tokenize_trusted(const fnd_tokenizer *t, const char *text, size_t bytes, const fnd_text_range *trusted, size_t trusted_count, unsigned flags, fnd_ids *ids, fnd_error *err) {
    static const fnd_text_range nothing = { 0 };
    size_t end = 0;
    for (size_t i = 0; i < trusted_count; i++) {
        size_t range_end;
        if (trusted[i].start < end || !fnd_add_size(trusted[i].start, trusted[i].bytes, &range_end) || range_end > bytes) {
            return fnd_fail(err, FND_ERR_USAGE, "trusted range %zu is not after the one before it, or ends outside of the text of %zu bytes", i, bytes);
        }
        end = range_end;
    }
    walk w = { .t = t, .text = text, .bytes = bytes, .trusted = trusted_count ? trusted : &nothing, .trusted_count = trusted_count, .special = true };
    return tokenize(&w, flags, ids, err);
}
