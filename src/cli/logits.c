/* logits.c - foundry logits: what the model expects next. */
#include "base/memory.h"
#include "cli/lm.h"
#include "cli/text.h"
#include "lm/logprobs.h"

#include <stddef.h>

typedef struct logits_options {
    const char *model, *prompt, *ids;
    uint32_t top;
    bool json, every;
} logits_options;

#define FIELD(name) offsetof(logits_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "prompt", FND_CLI_TEXT, "T", FIELD(prompt), "text whose control tokens are parsed, or", 0, 0 },
    { "ids", FND_CLI_TEXT, "N,..", FIELD(ids), "the ids themselves, separated by commas", 0, 0 },
    { "top", FND_CLI_U32, "N", FIELD(top), "how many of the most likely tokens (default: 10)", 1, 1 << 24 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print arrays of {\"id\", \"text\", \"logit\", \"logprob\"}", 0, 0 },
    { "every", FND_CLI_FLAG, NULL, FIELD(every), "what is expected behind every token, one array for each", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* ---- printing ---- */

typedef struct printer {
    const fnd_cli_lm *lm;
    const logits_options *o;
    uint32_t *top; /* ids */
    uint32_t count, vocab;
    fnd_text out;
} printer;

static void print_json(printer *p, const float *logits, double sum) {
    fnd_text_str(&p->out, "[");
    for (uint32_t i = 0; i < p->count; i++) {
        fnd_span text = fnd_token_text(p->lm->t, p->top[i]);
        fnd_text_printf(&p->out, "%s{\"id\": %u, \"text\": ", i ? ", " : "", p->top[i]);
        fnd_cli_json_text(&p->out, text.data, text.bytes);
        fnd_text_str(&p->out, ", \"logit\": ");
        fnd_cli_json_float(&p->out, logits[p->top[i]]);
        fnd_text_str(&p->out, ", \"logprob\": ");
        fnd_cli_json_number(&p->out, (double)logits[p->top[i]] - sum);
        fnd_text_str(&p->out, "}");
    }
    fnd_text_str(&p->out, "]");
}

static void print_table(printer *p, const float *logits, size_t index, double sum) {
    if (p->o->every) fnd_text_printf(&p->out, "behind token %zu\n", index);
    for (uint32_t i = 0; i < p->count; i++) {
        fnd_span text = fnd_token_text(p->lm->t, p->top[i]);
        fnd_text_printf(&p->out, "%8u  %10.4f  %10.4f  ", p->top[i], (double)logits[p->top[i]], (double)logits[p->top[i]] - sum);
        fnd_cli_json_text(&p->out, text.data, text.bytes);
        fnd_text_str(&p->out, "\n");
    }
}

static fnd_status print_position(void *ctx, size_t index, const float *logits, fnd_error *err) {
    printer *p = ctx;
    double sum;
    FND_TRY(fnd_cli_check_interrupt(err));
    FND_TRY(fnd_log_sum(logits, p->vocab, &sum, err));
    fnd_top_ids(logits, p->vocab, p->top, p->count);
    if (p->o->json) {
        if (p->o->every && index) fnd_text_str(&p->out, ",\n");
        print_json(p, logits, sum);
    } else {
        print_table(p, logits, index, sum);
    }
    return fnd_text_check(&p->out, err);
}

/* ---- evaluating ---- */

static fnd_status print_last(printer *p, fnd_error *err) {
    float *logits = fnd_alloc_zeroed(p->vocab, sizeof *logits);
    if (!logits) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u logits", p->vocab);
    fnd_status status = fnd_session_logits(p->lm->s, logits, err);
    if (status == FND_OK) status = print_position(p, 0, logits, err);
    fnd_free_memory(logits);
    return status;
}

static fnd_status evaluate(printer *p, const fnd_ids *ids, fnd_error *err) {
    p->top = fnd_alloc_zeroed(p->count, sizeof *p->top);
    if (!p->top) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u tokens", p->count);
    bool array = p->o->json && p->o->every;
    if (array) fnd_text_str(&p->out, "[");
    fnd_status status;
    if (p->o->every) {
        status = fnd_session_eval_each(p->lm->s, ids->data, ids->count, print_position, p, err);
    } else {
        status = fnd_session_eval(p->lm->s, ids->data, ids->count, err);
        if (status == FND_OK) status = print_last(p, err);
    }
    fnd_cli_progress_clear();
    if (array) fnd_text_str(&p->out, "]");
    if (p->o->json) fnd_text_str(&p->out, "\n");
    fnd_free_memory(p->top);
    if (status == FND_OK) return fnd_cli_put_text(&p->out, err);
    fnd_text_free(&p->out);
    return status;
}

typedef struct context {
    const logits_options *o;
    fnd_ids ids;
} context;

static fnd_status make_ids(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    const fnd_model_info *info = fnd_model_get_info(lm->m);
    const logits_options *o = ((context *)ctx)->o;
    fnd_ids *ids = &((context *)ctx)->ids;
    if (o->prompt) FND_TRY(fnd_tokenize(lm->t, o->prompt, strlen(o->prompt), FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, ids, err));
    if (!ids->count) return fnd_fail(err, FND_ERR_USAGE, "the prompt is empty: there is nothing to continue");
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->data[i] >= info->vocab) return fnd_fail(err, FND_ERR_USAGE, "--ids has token %u, but the vocabulary ends before %u", ids->data[i], info->vocab);
    }
    return fnd_cli_lm_fits(lm, "the prompt", ids->count, 0, err);
}

static fnd_status evaluate_prompt(fnd_cli_lm *lm, const logits_options *o, const fnd_ids *ids, fnd_error *err) {
    const fnd_model_info *info = fnd_model_get_info(lm->m);
    FND_TRY(fnd_cli_lm_begin(lm, 0, err));
    printer p = { .lm = lm, .o = o, .vocab = info->vocab, .count = o->top < info->vocab ? o->top : info->vocab };
    return evaluate(&p, ids, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const logits_options *o = options;
    context c = { .o = o };
    fnd_cli_lm lm = { .wait_for_kernels = true, .check = make_ids, .check_ctx = &c };
    fnd_status status = FND_OK;
    FND_TRY(fnd_cli_need(&fnd_cli_logits, "--model", o->model, err));
    FND_TRY(fnd_cli_one_of("logits", "--prompt", o->prompt, "--ids", o->ids, err));
    if (o->prompt) fnd_cli_note_utf8("the prompt", o->prompt, strlen(o->prompt), "its bytes are taken as they are");
    if (o->ids) status = fnd_cli_parse_ids(o->ids, &c.ids, err);
    if (status == FND_OK) status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = evaluate_prompt(&lm, o, &c.ids, err);
    fnd_ids_free(&c.ids);
    return fnd_cli_lm_close(&lm, status, err);
}

static const logits_options defaults = { .top = 10 };

const fnd_cli_command fnd_cli_logits = {
    .name = "logits",
    .doc = "the most likely next tokens",
    .usage = "--model F (--prompt T | --ids 1,2,3) [--top N] [--json] [--every]",
    .more = "Control tokens in the prompt are parsed, and BOS is put before it if the model's file says so; ids\n"
            "are taken as they are. What is no UTF-8 in the text of a token is shown as U+FFFD.",
    .example = "  foundry logits --model model.gguf --prompt 'The capital of France is' --top 5 --json",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(logits_options),
    .run = run,
};
