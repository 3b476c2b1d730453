/* tokenizer.c - opening a tokenizer, special tokens, and the whole of a text. */
#define _GNU_SOURCE /* strcasestr */
#include "lm/tokenizer.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/unicode.h"

#include <stdatomic.h>
#include <stdio.h>

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

/* The ids of SentencePiece's own tokens, for files that do not name them. */
static void default_ids(fnd_tokenizer *t) {
    int32_t *ids[] = { &t->info.unknown, &t->info.bos, &t->info.eos };
    for (uint32_t id = 0; id < FND_COUNT(ids) && id < t->info.token_count; id++) {
        bool own = t->types[id] == FND_TOKEN_CONTROL || t->types[id] == FND_TOKEN_UNKNOWN;
        if (*ids[id] < 0 && own) *ids[id] = (int32_t)id;
    }
}

/* add_bos and add_eos: as the file says, else as its kind of vocabulary has it, where the token exists. */
static fnd_status read_addition(const fnd_gguf *g, const char *flag, const char *id_key, int32_t id, bool *add, fnd_error *err) {
    if (!fnd_gguf_find(g, flag)) {
        *add = *add && id >= 0;
        return FND_OK;
    }
    FND_TRY(fnd_gguf_get_bool(g, flag, add, err));
    if (*add && id < 0) return fnd_fail(err, FND_ERR_FORMAT, "%s: %s is true, but %s is missing", fnd_gguf_path(g), flag, id_key);
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
    if (t->bpe.spm) default_ids(t);
    info->add_bos_assumed = !fnd_gguf_find(g, "tokenizer.ggml.add_bos_token");
    FND_TRY(read_addition(g, "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id", info->bos, &info->add_bos, err));
    FND_TRY(read_addition(g, "tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id", info->eos, &info->add_eos, err));
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
    for (uint32_t id = 0; id < t->info.token_count; id++) count += fnd_token_is_special(t->types[id]) && fnd_token_text(t, id).bytes;
    special_text *sorted = fnd_alloc_zeroed(count, sizeof *sorted);
    t->specials = fnd_alloc_zeroed(count, sizeof *t->specials);
    if (!sorted || !t->specials) {
        fnd_free_memory(sorted);
        return no_memory(err);
    }
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        fnd_span text = fnd_token_text(t, id);
        if (!fnd_token_is_special(t->types[id]) || !text.bytes) continue;
        sorted[t->special_count++] = (special_text){ text, id };
        t->first[(unsigned char)text.data[0]] |= t->types[id] == FND_TOKEN_USER ? FND_FIRST_USER : FND_FIRST_CONTROL;
    }
    qsort(sorted, count, sizeof *sorted, by_text);
    for (size_t i = 0; i < count; i++) t->specials[i] = sorted[i].id;
    fnd_free_memory(sorted);
    return FND_OK;
}

/* ---- the two kinds ---- */

static fnd_status load_bpe(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    fnd_span pre = { 0 };
    FND_TRY(fnd_gguf_maybe_str(g, "tokenizer.ggml.pre", &pre, err));
    t->info.pre_assumed = pre.bytes == 0;
    if (t->info.pre_assumed) pre = (fnd_span){ "default", 7 };
    FND_TRY(fnd_pretokenizer_find(pre, &t->pre, err));
    copy_text(t->info.pre, sizeof t->info.pre, pre);
    t->info.add_bos = t->pre->adds_bos;
    FND_TRY(fnd_splitter_open(t->pre, &t->splitter, err));
    return fnd_bpe_load(t, g, err);
}

static fnd_status load_spm(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    t->info.add_bos = true;
    t->space_prefix = true;
    FND_TRY(fnd_gguf_maybe_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err));
    return fnd_spm_load(t, g, err);
}

static const struct {
    const char *name, *doc;
    fnd_status (*load)(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err);
} vocabularies[] = {
    { "gpt2", "byte-level BPE", load_bpe },
    { "llama", "SentencePiece", load_spm },
};

static fnd_status load(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    fnd_span model = { 0 };
    char shown[64], known[128] = "";
    size_t used = 0;
    FND_TRY(fnd_gguf_get_str(g, "tokenizer.ggml.model", &model, err));
    for (size_t i = 0; i < FND_COUNT(vocabularies); i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s (%s)", used ? ", " : "", vocabularies[i].name, vocabularies[i].doc);
        if (!fnd_span_equal(model, vocabularies[i].name)) continue;
        copy_text(t->info.model, sizeof t->info.model, model);
        return vocabularies[i].load(t, g, err);
    }
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: the tokenizer model \"%s\" (tokenizer.ggml.model) is not supported; supported are: %s", fnd_gguf_path(g), fnd_span_quote(model, shown, sizeof shown), known);
}

/* ---- Phi-3 ---- */

static bool names_phi3(const fnd_gguf *g) {
    const fnd_gguf_value *architecture = fnd_gguf_find(g, "general.architecture"), *name = fnd_gguf_find(g, "general.name");
    if (architecture && architecture->type == FND_GGUF_STRING && fnd_span_equal(fnd_gguf_string(architecture), "phi3")) return true;
    char text[128];
    if (!name || name->type != FND_GGUF_STRING) return false;
    copy_text(text, sizeof text, fnd_gguf_string(name));
    return strcasestr(text, "phi3") || strcasestr(text, "phi-3");
}

/* The special tokens of Phi-3's SentencePiece vocabulary take the white space behind them along, in
 * its tokenizer.json ("rstrip"); model files do not say so. */
static fnd_status mark_strips(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    static const char *const exceptions[] = { "<unk>", "<s>", "<|endoftext|>" };
    if (!t->bpe.spm || !names_phi3(g)) return FND_OK;
    t->strips = fnd_alloc_zeroed(t->info.token_count, 1);
    if (!t->strips) return no_memory(err);
    for (uint32_t id = 0; id < t->info.token_count; id++) {
        t->strips[id] = fnd_token_is_special(t->types[id]);
        for (size_t i = 0; i < FND_COUNT(exceptions); i++) {
            if (fnd_span_equal(fnd_token_text(t, id), exceptions[i])) t->strips[id] = 0;
        }
    }
    return FND_OK;
}

static fnd_status open_parts(fnd_tokenizer *t, const fnd_gguf *g, fnd_error *err) {
    t->spare = fnd_alloc_zeroed(1, sizeof *t->spare);
    if (!t->spare) return no_memory(err);
    FND_TRY(load(t, g, err));
    FND_TRY(read_ids(t, g, err));
    mark_ends(t);
    FND_TRY(mark_strips(t, g, err));
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
    fnd_spm_close(t->bpe.spm);
    fnd_index_free(&t->bpe.words);
    fnd_free_memory(t->bpe.merges);
    fnd_free_memory(t->bpe.ranks);
    fnd_free_memory(t->bpe.slots);
    fnd_free_memory(t->strips);
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
        at += fnd_token_text(w->t, id).bytes;
        if (w->t->strips && w->t->strips[id]) at += fnd_unicode_spaces(w->text + at, w->bytes - at);
        start = at;
    }
    return fnd_bpe_encode(call, w->text + start, at - start, err);
}

static fnd_status tokenize(walk *w, unsigned flags, fnd_ids *ids, fnd_error *err) {
    if (w->bytes > TEXT_BYTES_LIMIT) return fnd_fail(err, FND_ERR_LIMIT, "the text has %zu bytes; at most %zu can be tokenized at once", w->bytes, TEXT_BYTES_LIMIT);
    fnd_bpe_scratch *scratch = fnd_bpe_scratch_take(w->t, w->bytes);
    if (!scratch) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while tokenizing");
    if (!w->bytes) w->text = ""; /* no text may be NULL, of which there is no part */
    fnd_bpe_call call = { .t = w->t, .scratch = scratch, .base = w->text, .ids = ids, .lossy = flags & FND_TOKENIZE_LOSSY };
    size_t before = ids->count;
    fnd_status status = FND_OK;
    if (flags & FND_TOKENIZE_ADD_BOS && w->t->info.add_bos) status = fnd_ids_add(ids, (uint32_t)w->t->info.bos, err);
    if (status == FND_OK) status = run(w, &call, err);
    if (status == FND_OK && flags & FND_TOKENIZE_ADD_EOS && w->t->info.add_eos) status = fnd_ids_add(ids, (uint32_t)w->t->info.eos, err);
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
