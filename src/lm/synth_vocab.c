/* synth_vocab.c - a vocabulary made up, not trained: pairs of letters in the order of their frequency in
 * English, then what pairs make up, as far as the vocabulary goes. A byte-level BPE lists what merges;
 * in a SentencePiece one the order is that of scores, and single characters are tokens too. */
#include "base/base.h"
#include "base/memory.h"
#include "base/text.h"
#include "lm/gguf_text.h"
#include "lm/synth.h"
#include "lm/tokenizer.h"
#include "lm/unicode.h"

#include <stdio.h>

enum { LETTERS = 26,
       PAIRS = LETTERS * LETTERS,
       SPACE_MARK = 0x2581 };

static const char *const base_pieces[] = { "<unk>", "<s>", "</s>" };

typedef struct family {
    const char *pre; /* NULL: SentencePiece */
    const char *chat_template, *bos, *eos;
    const char *control[12];
    uint32_t normal; /* control tokens begin here at the latest, and fillers follow; 0: they are the last */
} family;

#define CHATML_TEMPLATE \
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" \
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define CHATML_CONTROL \
    { "<|endoftext|>", "<|im_start|>", "<|im_end|>" }

static const family families[] = {
    [FND_SYNTH_QWEN] = { "qwen2", CHATML_TEMPLATE, NULL, "<|im_end|>", CHATML_CONTROL, .normal = 0 },
    [FND_SYNTH_SMOLLM] = { "smollm", CHATML_TEMPLATE, NULL, "<|im_end|>", CHATML_CONTROL, .normal = 0 },
    [FND_SYNTH_LLAMA3] = {
        "llama-bpe",
        "{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "
        "message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
        "<|begin_of_text|>",
        "<|eot_id|>",
        { "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" },
        .normal = 0,
    },
    /* "placeholder" is what Phi-3 itself calls these tokens. */
    [FND_SYNTH_PHI3] = {
        NULL,
        "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\\n' + message['content'] + '<|end|>\\n' }}"
        "{% elif message['role'] == 'user' %}{{ '<|user|>\\n' + message['content'] + '<|end|>\\n' }}"
        "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\\n' + message['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
        "<s>",
        "<|endoftext|>",
        { "<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>" },
        .normal = 32000,
    },
};

typedef struct vocab {
    uint16_t letters[256];
    fnd_text tokens, merges;         /* texts, one behind the other */
    fnd_text token_ends, merge_ends; /* size_t each */
    uint32_t count, most;
    bool pieces; /* of SentencePiece: spelt as they are, but for spaces */
} vocab;

/* As byte-level vocabularies spell it, or SentencePiece. */
static size_t spell(const vocab *v, const char *bytes, char *out) {
    size_t n = 0;
    for (; *bytes; bytes++) {
        if (!v->pieces || *bytes == ' ')
            n += fnd_utf8_put(v->pieces ? SPACE_MARK : v->letters[(uint8_t)*bytes], out + n);
        else
            out[n++] = *bytes;
    }
    return n;
}

static void end(fnd_text *ends, const fnd_text *texts) { fnd_text_add(ends, (const char *)&texts->bytes, sizeof texts->bytes); }

static void add_token(vocab *v, const char *text, size_t bytes) {
    fnd_text_add(&v->tokens, text, bytes);
    end(&v->token_ends, &v->tokens);
    v->count++;
}

/* The token left + right, and the merge that makes it; both are tokens already. Nothing when the vocabulary is full. */
static void merge(vocab *v, const char *left, const char *right) {
    char text[64];
    if (v->count >= v->most || (v->pieces && left[0] > 0 && left[0] < ' ')) return; /* line ends are bytes there */
    size_t n = spell(v, left, text), all = n + spell(v, right, text + n);
    add_token(v, text, all);
    fnd_text_add(&v->merges, text, n);
    fnd_text_str(&v->merges, " ");
    fnd_text_add(&v->merges, text + n, all - n);
    end(&v->merge_ends, &v->merges);
}

static const char by_frequency[] = "etaoinshrdlucmfwypvbgkjqxz";

/* Number k of the pairs, the most frequent first: those of letters whose ranks add up to less. */
static void make_pairs(char pairs[PAIRS][3]) {
    int k = 0;
    for (int sum = 0; sum <= 2 * (LETTERS - 1); sum++) {
        for (int i = 0; i <= sum; i++) {
            if (i >= LETTERS || sum - i >= LETTERS) continue;
            pairs[k][0] = by_frequency[i];
            pairs[k][1] = by_frequency[sum - i];
            pairs[k++][2] = '\0';
        }
    }
}

static void prefixed(char out[8], const char *text) {
    out[0] = ' ';
    memcpy(out + 1, text, strlen(text) + 1);
}

/* Words' beginnings, capitals, indentation, and the letters of two bytes in UTF-8. */
static void merge_short(vocab *v, char pairs[PAIRS][3]) {
    static const char *const runs[][2] = { { " ", " " }, { "  ", "  " }, { "    ", "    " }, { "\n", "\n" }, { "\t", "\t" }, { "\r", "\n" } };
    for (int k = 0; k < PAIRS; k++) merge(v, (char[]){ pairs[k][0], 0 }, (char[]){ pairs[k][1], 0 });
    for (int i = 0; i < LETTERS; i++) merge(v, " ", (char[]){ by_frequency[i], 0 });
    for (int k = 0; k < PAIRS; k++) merge(v, " ", pairs[k]);
    for (size_t i = 0; i < FND_COUNT(runs); i++) merge(v, runs[i][0], runs[i][1]);
    for (int k = 0; k < PAIRS; k++) merge(v, (char[]){ (char)(pairs[k][0] - 'a' + 'A'), 0 }, (char[]){ pairs[k][1], 0 });
    for (int i = 0; i < LETTERS; i++) merge(v, " ", (char[]){ (char)(by_frequency[i] - 'a' + 'A'), 0 });
    for (int first = 0xC2; first <= 0xDF; first++) {
        for (int second = 0x80; second <= 0xBF; second++) merge(v, (char[]){ (char)first, 0 }, (char[]){ (char)second, 0 });
    }
}

/* Three letters and four, each also behind a space: almost a million. */
static void merge_long(vocab *v, char pairs[PAIRS][3]) {
    char spaced[8];
    for (int sum = 0; sum < PAIRS + LETTERS && v->count < v->most; sum++) {
        for (int i = 0; i < LETTERS && i <= sum; i++) {
            if (sum - i >= PAIRS) continue;
            prefixed(spaced, pairs[sum - i]);
            merge(v, pairs[sum - i], (char[]){ by_frequency[i], 0 });
            merge(v, spaced, (char[]){ by_frequency[i], 0 });
        }
    }
    for (int sum = 0; sum <= 2 * (PAIRS - 1) && v->count < v->most; sum++) {
        for (int i = 0; i <= sum; i++) {
            if (i >= PAIRS || sum - i >= PAIRS) continue;
            prefixed(spaced, pairs[i]);
            merge(v, pairs[i], pairs[sum - i]);
            merge(v, spaced, pairs[sum - i]);
        }
    }
}

/* The texts as spans; free with fnd_free_memory. NULL: out of memory. */
static fnd_span *spans_of(const fnd_text *texts, const fnd_text *ends, size_t *count) {
    *count = ends->bytes / sizeof(size_t);
    fnd_span *spans = texts->failed || ends->failed ? NULL : fnd_alloc_zeroed(*count + 1, sizeof *spans);
    size_t from = 0;
    for (size_t i = 0; spans && i < *count; i++) {
        size_t to;
        memcpy(&to, ends->data + i * sizeof to, sizeof to);
        spans[i] = (fnd_span){ texts->data + from, to - from };
        from = to;
    }
    return spans;
}

static void put_special(fnd_gguf_writer *w, const family *f, uint32_t first) {
    if (!f->pre) fnd_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    if (!f->pre) fnd_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    for (uint32_t i = 0; i < FND_COUNT(f->control) && f->control[i]; i++) {
        if (f->bos && strcmp(f->bos, f->control[i]) == 0) fnd_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", first + i);
        if (strcmp(f->eos, f->control[i]) == 0) fnd_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", first + i);
    }
    fnd_gguf_put_u32(w, "tokenizer.ggml.padding_token_id", first);
    fnd_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", f->pre && f->bos); /* Phi-3's files say no */
    fnd_gguf_put_str(w, "tokenizer.chat_template", f->chat_template);
}

/* ---- the parts of a vocabulary ---- */

static void add_bytes(vocab *v) {
    char text[8];
    for (size_t i = 0; v->pieces && i < FND_COUNT(base_pieces); i++) add_token(v, base_pieces[i], strlen(base_pieces[i]));
    for (unsigned b = 0; b < 256; b++) add_token(v, text, v->pieces ? (size_t)snprintf(text, sizeof text, "<0x%02X>", b) : fnd_utf8_put(v->letters[b], text));
    for (char c = ' '; v->pieces && c <= '~'; c++) add_token(v, text, spell(v, (char[]){ c, 0 }, text));
}

/* The control tokens, from *first on, and what is wanted behind them. */
static void add_control(vocab *v, const family *f, uint32_t count, uint32_t *first) {
    char text[24];
    *first = v->count;
    for (uint32_t i = 0; i < FND_COUNT(f->control) && f->control[i]; i++) add_token(v, f->control[i], strlen(f->control[i]));
    while (f->normal && v->count < count) add_token(v, text, (size_t)snprintf(text, sizeof text, "[PAD%u]", v->count));
}

static int32_t type_of(const family *f, uint32_t id, uint32_t control, uint32_t controls) {
    if (id >= control + controls) return FND_TOKEN_UNUSED;
    if (id >= control) return FND_TOKEN_CONTROL;
    if (f->pre || id >= FND_COUNT(base_pieces) + 256) return FND_TOKEN_NORMAL;
    return id == 0 ? FND_TOKEN_UNKNOWN : id < FND_COUNT(base_pieces) ? FND_TOKEN_CONTROL
                                                                     : FND_TOKEN_BYTE;
}

static void put_vocab(fnd_gguf_writer *w, const vocab *v, const family *f, const fnd_span *tokens, const fnd_span *merges, size_t merge_count, const int32_t *types, const float *scores) {
    fnd_gguf_put_str(w, "tokenizer.ggml.model", f->pre ? "gpt2" : "llama");
    fnd_gguf_put_str(w, "tokenizer.ggml.pre", f->pre ? f->pre : "default");
    fnd_gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, v->count);
    fnd_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, v->count);
    if (f->pre)
        fnd_gguf_put_strs(w, "tokenizer.ggml.merges", merges, merge_count);
    else
        fnd_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, v->count);
}

fnd_status fnd_synth_put_tokenizer(fnd_gguf_writer *w, fnd_synth_family which, uint32_t count, fnd_error *err) {
    const family *f = &families[which];
    uint32_t controls = 0, control;
    char pairs[PAIRS][3];
    vocab v = { .pieces = !f->pre };
    while (controls < FND_COUNT(f->control) && f->control[controls]) controls++;
    if (count < 512 + controls) return fnd_fail(err, FND_ERR_LIMIT, "a vocabulary of %u tokens has no room for all bytes", count);
    fnd_byte_letters(v.letters);
    v.most = count - controls;
    if (f->normal && v.most > f->normal) v.most = f->normal;
    add_bytes(&v);
    make_pairs(pairs);
    merge_short(&v, pairs);
    merge_long(&v, pairs);
    add_control(&v, f, count, &control);
    size_t tokens = 0, merges = 0;
    fnd_span *token_spans = spans_of(&v.tokens, &v.token_ends, &tokens), *merge_spans = spans_of(&v.merges, &v.merge_ends, &merges);
    int32_t *types = fnd_alloc_zeroed(tokens + 1, sizeof *types);
    float *scores = fnd_alloc_zeroed(tokens + 1, sizeof *scores);
    fnd_status status = FND_OK;
    if (!token_spans || !merge_spans || !types || !scores)
        status = fnd_fail(err, FND_ERR_MEMORY, "out of memory for a vocabulary of %u tokens", count);
    else if (tokens != count)
        status = fnd_fail(err, FND_ERR_LIMIT, "a vocabulary of %u tokens cannot be made, only one of %zu", count, tokens);
    if (status == FND_OK) {
        for (uint32_t i = 0; i < count; i++) types[i] = type_of(f, i, control, controls);
        for (uint32_t i = 0; i < count; i++) scores[i] = types[i] == FND_TOKEN_NORMAL ? -(float)i : 0.0f;
        put_vocab(w, &v, f, token_spans, merge_spans, merges, types, scores);
        put_special(w, f, control);
    }
    fnd_free_memory(token_spans);
    fnd_free_memory(merge_spans);
    fnd_free_memory(types);
    fnd_free_memory(scores);
    fnd_text_free(&v.tokens);
    fnd_text_free(&v.merges);
    fnd_text_free(&v.token_ends);
    fnd_text_free(&v.merge_ends);
    return status;
}
