/* tokenizer_split.c - cutting text by the steps of a pre-tokenizer, with PCRE2.
 *
 * Classes of characters follow the Unicode version of the PCRE2 library (10.42: Unicode 14). */
#include "base/base.h"
#include "base/memory.h"
#include "lm/tokenizer_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct fnd_splitter {
    const fnd_pretokenizer *kind;
    pcre2_general_context *memory;
    pcre2_match_context *match;
    pcre2_code *codes[FND_SPLIT_STEPS];
    bool jit[FND_SPLIT_STEPS];
    int step_count;
};

struct fnd_split_state {
    pcre2_match_data *data[FND_SPLIT_STEPS];
    int step_count;
};

static void *pcre_alloc(size_t bytes, void *unused) {
    (void)unused;
    return fnd_alloc_resized(NULL, bytes, 1);
}

static void pcre_free(void *block, void *unused) {
    (void)unused;
    fnd_free_memory(block);
}

static fnd_status compile_step(fnd_splitter *s, int i, fnd_error *err) {
    int number;
    size_t offset;
    const fnd_split_step *step = &s->kind->steps[i];
    s->codes[i] = pcre2_compile((PCRE2_SPTR)step->pattern, PCRE2_ZERO_TERMINATED, step->bytes ? 0 : PCRE2_UTF | PCRE2_UCP, &number, &offset, NULL);
    if (!s->codes[i]) {
        char text[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)text, sizeof text);
        return fnd_fail(err, number == PCRE2_ERROR_NOMEMORY ? FND_ERR_MEMORY : FND_ERR_COMPILE,
                        "step %d of the pre-tokenizer \"%s\" did not compile at offset %zu: %s", i, s->kind->names[0], offset, text);
    }
    /* Where pages may not be made executable PCRE2 interprets: slower, the same result. */
    s->jit[i] = pcre2_jit_compile(s->codes[i], PCRE2_JIT_COMPLETE) == 0;
    return FND_OK;
}

fnd_status fnd_splitter_open(const fnd_pretokenizer *kind, fnd_splitter **out, fnd_error *err) {
    *out = NULL;
    fnd_splitter *s = fnd_alloc_zeroed(1, sizeof *s);
    if (!s) return fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the tokenizer");
    s->kind = kind;
    s->memory = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    s->match = s->memory ? pcre2_match_context_create(s->memory) : NULL;
    fnd_status status = s->match ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory while opening the tokenizer");
    if (s->match) pcre2_set_match_limit(s->match, UINT32_MAX);
    for (; status == FND_OK && kind->steps[s->step_count].pattern; s->step_count++) status = compile_step(s, s->step_count, err);
    if (status != FND_OK) {
        fnd_splitter_close(s);
        return status;
    }
    *out = s;
    return FND_OK;
}

void fnd_splitter_close(fnd_splitter *s) {
    if (!s) return;
    for (int i = 0; i < FND_SPLIT_STEPS; i++) pcre2_code_free(s->codes[i]);
    pcre2_match_context_free(s->match);
    pcre2_general_context_free(s->memory);
    fnd_free_memory(s);
}

fnd_split_state *fnd_split_state_open(const fnd_splitter *s) {
    fnd_split_state *state = fnd_alloc_zeroed(1, sizeof *state);
    if (!state) return NULL;
    for (; state->step_count < s->step_count; state->step_count++) {
        state->data[state->step_count] = pcre2_match_data_create(1, s->memory);
        if (!state->data[state->step_count]) {
            fnd_split_state_close(state);
            return NULL;
        }
    }
    return state;
}

void fnd_split_state_close(fnd_split_state *state) {
    if (!state) return;
    for (int i = 0; i < state->step_count; i++) pcre2_match_data_free(state->data[i]);
    fnd_free_memory(state);
}

typedef struct split_run {
    const fnd_splitter *s;
    fnd_split_state *state;
    fnd_piece_fn *piece;
    void *user;
    fnd_error *err;
} split_run;

/* The next match of a step at or after `from`; found = false at the end. */
static fnd_status next_match(const split_run *r, int step, const char *text, size_t bytes, size_t from, size_t match[2], bool *found) {
    const fnd_splitter *s = r->s;
    pcre2_match_data *data = r->state->data[step];
    int n = s->jit[step] ? pcre2_jit_match(s->codes[step], (PCRE2_SPTR)text, bytes, from, 0, data, s->match)
                         : pcre2_match(s->codes[step], (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK, data, s->match);
    *found = n >= 0;
    if (n == PCRE2_ERROR_NOMATCH) return FND_OK;
    if (n < 0) {
        char why[128];
        pcre2_get_error_message(n, (PCRE2_UCHAR *)why, sizeof why);
        return fnd_fail(r->err, n == PCRE2_ERROR_NOMEMORY ? FND_ERR_MEMORY : FND_ERR_LIMIT, "the pre-tokenizer \"%s\" failed on the text: %s", s->kind->names[0], why);
    }
    const size_t *range = pcre2_get_ovector_pointer(data);
    match[0] = range[0];
    match[1] = range[1];
    return FND_OK;
}

/* As deep as there are steps. */
static fnd_status run_step(const split_run *r, int step, const char *text, size_t bytes) {
    if (bytes == 0) return FND_OK;
    if (step == r->s->step_count) return r->piece(r->user, text, bytes, r->err);
    size_t at = 0, from = 0;
    while (from < bytes) {
        size_t match[2];
        bool found;
        FND_TRY(next_match(r, step, text, bytes, from, match, &found));
        if (!found) break;
        if (match[1] > match[0]) {
            FND_TRY(run_step(r, step + 1, text + at, match[0] - at));
            FND_TRY(run_step(r, step + 1, text + match[0], match[1] - match[0]));
            at = from = match[1];
        } else { /* an empty match cuts nothing: look behind the next character */
            from = match[1] + 1;
            while (from < bytes && ((unsigned char)text[from] & 0xC0) == 0x80) from++;
        }
    }
    return run_step(r, step + 1, text + at, bytes - at);
}

fnd_status fnd_splitter_run(const fnd_splitter *s, fnd_split_state *state, const char *text, size_t bytes, fnd_piece_fn *piece, void *user, fnd_error *err) {
    split_run r = { .s = s, .state = state, .piece = piece, .user = user, .err = err };
    return run_step(&r, 0, text, bytes);
}
