/* perplexity.c - foundry perplexity: how well the model foretells a text. */
#include "base/memory.h"
#include "cli/lm.h"
#include "lm/logprobs.h"
#include "cli/text.h"

#include <math.h>
#include <stddef.h>

typedef struct perplexity_options {
    const char *model, *file;
    bool json, per_token;
} perplexity_options;

#define FIELD(name) offsetof(perplexity_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "file", FND_CLI_NAME, "T", FIELD(file), "file with the text; - is standard input", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { "per-token", FND_CLI_FLAG, NULL, FIELD(per_token), "and the log-probability of each token", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef struct scores {
    const fnd_ids *ids;
    double *logprobs; /* [ids - 1]: of ids 1 .. */
    size_t vocab;
} scores;

static fnd_status score(void *ctx, size_t index, const float *logits, fnd_error *err) {
    scores *s = ctx;
    double sum;
    FND_TRY(fnd_cli_check_interrupt(err));
    if (index + 1 >= s->ids->count) return FND_OK; /* nothing comes behind the last */
    FND_TRY(fnd_log_sum(logits, s->vocab, &sum, err));
    s->logprobs[index] = (double)logits[s->ids->data[index + 1]] - sum;
    return FND_OK;
}

static fnd_status print(const scores *s, const perplexity_options *o, fnd_error *err) {
    size_t scored = s->ids->count - 1;
    double nll = 0;
    fnd_text out = { 0 };
    for (size_t i = 0; i < scored; i++) nll -= s->logprobs[i];
    nll /= (double)scored;
    if (o->json) {
        fnd_text_printf(&out, "{\"tokens\": %zu, \"scored\": %zu, \"nll_per_token\": ", s->ids->count, scored);
        fnd_cli_json_number(&out, nll);
        fnd_text_str(&out, ", \"ppl\": ");
        fnd_cli_json_number(&out, exp(nll));
        if (o->per_token) fnd_text_str(&out, ", \"logprobs\": [");
        for (size_t i = 0; o->per_token && i < scored; i++) {
            if (i) fnd_text_str(&out, ", ");
            fnd_cli_json_number(&out, s->logprobs[i]);
        }
        fnd_text_str(&out, o->per_token ? "]}\n" : "}\n");
    } else {
        for (size_t i = 0; o->per_token && i < scored; i++) fnd_text_printf(&out, "%zu\t%u\t%.6f\n", i + 1, s->ids->data[i + 1], s->logprobs[i]);
        fnd_text_printf(&out, "perplexity %.4f, %.5f nats per token, %zu token%s scored\n", exp(nll), nll, scored, fnd_plural(scored));
    }
    return fnd_cli_put_text(&out, err);
}

typedef struct text_to_score {
    const perplexity_options *o;
    char *text;
    size_t bytes;
    fnd_ids ids;
} text_to_score;

static fnd_status tokenize(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    text_to_score *t = ctx;
    char shown[200];
    const char *name = fnd_cli_file_name(t->o->file, shown, sizeof shown);
    FND_TRY(fnd_tokenize(lm->t, t->text, t->bytes, FND_TOKENIZE_ADD_BOS, &t->ids, err));
    if (t->ids.count < 2) return fnd_fail(err, FND_ERR_FORMAT, "%s has too few tokens (%zu): at least 2 are needed, for each is foretold by those before", name, t->ids.count);
    return fnd_cli_lm_fits(lm, name, t->ids.count, 0, err);
}

static fnd_status evaluate(fnd_cli_lm *lm, const fnd_ids *ids, const perplexity_options *o, fnd_error *err) {
    FND_TRY(fnd_cli_lm_begin(lm, 0, err));
    scores s = { .ids = ids, .vocab = fnd_model_get_info(lm->m)->vocab };
    s.logprobs = fnd_alloc_zeroed(ids->count, sizeof *s.logprobs);
    if (!s.logprobs) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %zu log-probabilities", ids->count);
    fnd_status status = fnd_session_eval_each(lm->s, ids->data, ids->count, score, &s, err);
    fnd_cli_progress_clear();
    if (status == FND_OK) status = print(&s, o, err);
    fnd_free_memory(s.logprobs);
    return status;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const perplexity_options *o = options;
    text_to_score t = { .o = o };
    fnd_cli_lm lm = { .wait_for_kernels = true, .check = tokenize, .check_ctx = &t };
    FND_TRY(fnd_cli_need(&fnd_cli_perplexity, "--model", o->model, err));
    FND_TRY(fnd_cli_need(&fnd_cli_perplexity, "--file", o->file, err));
    FND_TRY(fnd_cli_read_text(NULL, o->file, &t.text, &t.bytes, err));
    fnd_status status = FND_OK;
    char shown[200];
    if (!t.bytes) status = fnd_fail(err, FND_ERR_FORMAT, "%s is empty: there is nothing to foretell", fnd_cli_file_name(o->file, shown, sizeof shown));
    if (status == FND_OK) status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = evaluate(&lm, &t.ids, o, err);
    fnd_ids_free(&t.ids);
    fnd_free_memory(t.text);
    return fnd_cli_lm_close(&lm, status, err);
}

const fnd_cli_command fnd_cli_perplexity = {
    .name = "perplexity",
    .doc = "how well a model foretells a text",
    .usage = "--model F --file T [--json] [--per-token]",
    .more = "The whole text is one context. Every token but the first is scored by the natural logarithm of the\n"
            "probability the model gives it. JSON: tokens, scored, nll_per_token, ppl, logprobs.",
    .example = "  foundry perplexity --model model.gguf --file text.txt --json",
    .options = options_list,
    .options_bytes = sizeof(perplexity_options),
    .run = run,
};
