/* run.c - foundry run: let a model answer. */
#include "base/memory.h"
#include "cli/answer_json.h"
#include "cli/run_batch.h"
#include "cli/text.h"
#include "foundry/chat.h"
#include "foundry/profile.h"
#include "foundry/run.h"

#include <stddef.h>
#include <unistd.h>

typedef struct run_options {
    const char *model, *prompt, *prompt_file, *batch, *system;
    fnd_cli_generation generation;
    uint32_t logprobs, parallel; /* 0: not given */
    bool raw, json;
} run_options;

#define FIELD(name) offsetof(run_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "prompt", FND_CLI_TEXT, "T", FIELD(prompt), "what to answer; - reads standard input", 0, 0 },
    { "prompt-file", FND_CLI_NAME, "F", FIELD(prompt_file), "the same from a file; - reads standard input", 0, 0 },
    { "batch", FND_CLI_NAME, "F", FIELD(batch), "answer many prompts together: a JSON object a line; - reads standard input", 0, 0 },
    { "parallel", FND_CLI_U32, "N", FIELD(parallel), "of --batch so many at a time (default: 8)", 1, FND_BATCH_SEQUENCES },
    { "system", FND_CLI_TEXT, "T", FIELD(system), "system message", 0, 0 },
    { "raw", FND_CLI_FLAG, NULL, FIELD(raw), "continue the prompt as it stands: no chat template, control tokens parsed", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one object at the end: text, tokens, stop reason, timings", 0, 0 },
    { "logprobs", FND_CLI_U32, "N", FIELD(logprobs), "with --json: log probabilities of each token and of the N most likely", 1, 1 << 20 },
    FND_CLI_GENERATION_OPTIONS(run_options, generation),
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef struct generation {
    fnd_cli_lm *lm;
    const run_options *o;
    const char *text; /* [bytes] as given */
    size_t bytes;
    fnd_logit_bias bias[FND_CLI_LIST_ITEMS];
    fnd_generate_desc desc;
    fnd_ids prompt;
    fnd_generated out;
    uint64_t start_ns; /* of the command */
    double first_seconds;
} generation;

/* ---- the prompt ---- */

static fnd_status chat_prompt(generation *g, const char *text, size_t bytes, fnd_error *err) {
    fnd_chat_template *c;
    fnd_chat_prompt prompt;
    fnd_chat_message messages[2];
    size_t count = 0;
    if (g->o->system) messages[count++] = (fnd_chat_message){ .role = "system", .content = g->o->system };
    messages[count++] = (fnd_chat_message){ .role = "user", .content = text, .content_bytes = bytes };
    fnd_cli_template_inputs in;
    fnd_status status = fnd_cli_template_inputs_read(&g->o->generation.template, fnd_model_gguf(g->lm->m), &in, err);
    if (status == FND_OK) status = fnd_cli_template_get(&in, in.tools, &c, err);
    if (status == FND_OK) {
        fnd_chat_desc desc = { .messages = messages, .message_count = count, .tokenizer = g->lm->t, .variables_json = in.variables, .tools_json = in.tools };
        status = fnd_cli_name_template(in.file, fnd_chat_render(c, &desc, &prompt, err), err);
        if (status == FND_OK) status = fnd_chat_tokenize(g->lm->t, &prompt, 0, &g->prompt, err);
        fnd_chat_prompt_free(&prompt);
    }
    fnd_cli_template_inputs_free(&in);
    return status;
}

static fnd_status make_prompt(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    generation *g = ctx;
    if (g->o->raw) {
        FND_TRY(fnd_tokenize(lm->t, g->text, g->bytes, FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, &g->prompt, err));
    } else {
        FND_TRY(chat_prompt(g, g->text, g->bytes, err));
    }
    if (!g->prompt.count) return fnd_fail(err, FND_ERR_FORMAT, "the prompt has no tokens: the chat template makes nothing of it");
    FND_TRY(fnd_cli_generation_desc(&g->o->generation, lm, g->bias, &g->desc, err));
    uint32_t vocab = fnd_model_get_info(lm->m)->vocab;
    g->desc.logprobs = g->o->logprobs < vocab ? g->o->logprobs : vocab;
    fnd_cli_generation_note(&g->o->generation, g->desc.sampling.seed);
    fnd_cli_lm_note_window(lm, g->o->generation.context);
    return fnd_cli_lm_fits(lm, "the prompt", g->prompt.count, g->o->generation.context, err);
}

static fnd_status read_prompt(const run_options *o, char **text, size_t *bytes, fnd_error *err) {
    bool from_input = o->prompt && strcmp(o->prompt, "-") == 0;
    FND_TRY(fnd_cli_read_text(from_input ? NULL : o->prompt, from_input ? "-" : o->prompt_file, text, bytes, err));
    if (*bytes) return FND_OK;
    fnd_free_memory(*text);
    return fnd_fail(err, FND_ERR_USAGE, "the prompt is empty: there is nothing to answer");
}

/* ---- generating ---- */

static fnd_status show(void *ctx, fnd_span text, fnd_error *err) {
    (void)ctx;
    FND_TRY(fnd_cli_put(text.data, text.bytes, err));
    return fnd_cli_flush(err);
}

static fnd_status generate(generation *g, fnd_error *err) {
    uint64_t start = fnd_now_ns();
    FND_TRY(fnd_session_eval(g->lm->s, g->prompt.data, g->prompt.count, err));
    FND_TRY(fnd_wait(g->lm->f, err)); /* the time is the prompt's */
    fnd_cli_progress_clear();
    double seconds = fnd_cli_seconds_since(start);
    if (!g->o->json) g->desc.text = show;
    double before = fnd_cli_seconds_since(g->start_ns);
    FND_TRY(fnd_generate(g->lm->s, &g->desc, &g->out, err));
    g->first_seconds = before + g->out.first_seconds;
    g->out.prompt_seconds = seconds;
    bool in_line = !g->o->json && isatty(STDOUT_FILENO) && fnd_cli_in_line();
    return in_line ? show(NULL, (fnd_span){ "\n", 1 }, err) : FND_OK; /* elsewhere the text stays exact */
}

static void tell(const generation *g) {
    const foundry *f = g->lm->f;
    size_t count = g->out.ids.count;
    double prefill = fnd_cli_per_second((double)g->prompt.count, g->out.prompt_seconds), decode = fnd_cli_per_second((double)count, g->out.seconds);
    if (g->out.ending == FND_ENDING_TOKENS) fnd_cli_note("stopped after %zu token%s, as --max-tokens says", count, fnd_plural(count));
    if (g->out.ending == FND_ENDING_CONTEXT) fnd_cli_note("stopped because the context of %u token%s is full", fnd_session_context(g->lm->s), fnd_plural(fnd_session_context(g->lm->s)));
    if (g->out.dropped) fnd_cli_note("the context was full, which dropped %u token%s behind the first %u", g->out.dropped, fnd_plural(g->out.dropped), g->desc.keep);
    fnd_cli_note("prompt: %zu token%s in %.3f s, %.1f tok/s; answer: %zu token%s in %.3f s, %.1f tok/s", g->prompt.count, fnd_plural(g->prompt.count), g->out.prompt_seconds, prefill, count, fnd_plural(count), g->out.seconds, decode);
    fnd_cli_lookup_note(&g->o->generation, &g->out);
    fnd_cli_note("first token after %.3f s: weights in %.3f s, kernels in %.3f s (%llu compiled, %llu from the cache, %llu built in)", g->first_seconds, g->lm->load_seconds, g->lm->open_seconds,
                 (unsigned long long)fnd_counter_get(f, FND_COUNTER_COMPILATIONS), (unsigned long long)fnd_counter_get(f, FND_COUNTER_DISK_HITS),
                 (unsigned long long)fnd_counter_get(f, FND_COUNTER_BAKED_HITS));
}

/* ---- JSON ---- */

static fnd_status put_json(const generation *g, fnd_error *err) {
    fnd_text out = { 0 };
    const fnd_generated *r = &g->out;
    fnd_text_str(&out, "{");
    fnd_cli_json_answer(&out, &g->desc, r, g->prompt.count);
    fnd_text_printf(&out, ", \"timings\": {\"first_token_s\": %.6f, \"weights_s\": %.6f, \"kernels_s\": %.6f, \"prompt_s\": %.6f, \"answer_s\": %.6f, \"prompt_tok_s\": %.3f, \"answer_tok_s\": %.3f}",
                    g->first_seconds, g->lm->load_seconds, g->lm->open_seconds, r->prompt_seconds, r->seconds, fnd_cli_per_second((double)g->prompt.count, r->prompt_seconds), fnd_cli_per_second((double)r->ids.count, r->seconds));
    fnd_cli_json_logprobs(&out, g->lm->t, &g->desc, r);
    fnd_text_str(&out, "}\n");
    return fnd_cli_put_text(&out, err);
}

static fnd_status answer(generation *g, fnd_error *err) {
    FND_TRY(fnd_cli_lm_begin(g->lm, g->o->generation.context, err));
    FND_TRY(generate(g, err));
    if (g->o->json) FND_TRY(put_json(g, err));
    tell(g);
    return g->out.ending == FND_ENDING_CANCELLED ? fnd_cli_check_interrupt(err) : FND_OK;
}

/* ---- options ---- */

static fnd_status check(const run_options *o, fnd_error *err) {
    FND_TRY(fnd_cli_need(&fnd_cli_run, "--model", o->model, err));
    const char *one = o->prompt ? "--prompt" : "--prompt-file";
    if (o->batch && (o->prompt || o->prompt_file)) return fnd_fail(err, FND_ERR_USAGE, "run takes %s or --batch, not both", one);
    if (o->batch && o->generation.lookup) return fnd_fail(err, FND_ERR_USAGE, "--lookup checks several tokens of one answer in a step, --batch takes one of several answers: not both");
    if (!o->batch && o->parallel) return fnd_fail(err, FND_ERR_USAGE, "--parallel says how many prompts of --batch are answered at a time; without that there is one");
    if (!o->batch) FND_TRY(fnd_cli_one_of("run", "--prompt", o->prompt, "--prompt-file", o->prompt_file, err));
    bool from_input = o->batch ? strcmp(o->batch, "-") == 0 : strcmp(o->prompt ? o->prompt : o->prompt_file, "-") == 0;
    FND_TRY(fnd_cli_template_check(&o->generation.template, o->raw, !from_input ? NULL : o->batch ? "--batch"
                                                                                                  : one,
                                   err));
    if (o->raw && o->system) return fnd_fail(err, FND_ERR_USAGE, "--system belongs to the chat template, which --raw leaves out");
    if (o->logprobs && !o->json && !o->batch) return fnd_fail(err, FND_ERR_USAGE, "--logprobs are printed with --json only");
    return FND_OK;
}

static fnd_status run_batch(const fnd_cli_globals *globals, const run_options *o, fnd_error *err) {
    const fnd_cli_batch b = { .model = o->model, .file = o->batch, .system = o->system, .raw = o->raw, .logprobs = o->logprobs, .parallel = o->parallel ? o->parallel : 8, .generation = &o->generation };
    return fnd_cli_run_batch(globals, &b, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const run_options *o = options;
    fnd_cli_lm lm = { .check = make_prompt, .wait_for_kernels = o->generation.compile };
    generation g = { .lm = &lm, .o = o, .start_ns = fnd_now_ns() };
    char *text;
    FND_TRY(check(o, err));
    if (o->system) fnd_cli_note_utf8("the system message", o->system, strlen(o->system), "its bytes are taken as they are");
    if (o->batch) return run_batch(globals, o, err);
    FND_TRY(read_prompt(o, &text, &g.bytes, err));
    g.text = text;
    lm.check_ctx = &g;
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = answer(&g, err);
    fnd_free_memory(text);
    fnd_ids_free(&g.prompt);
    fnd_generated_free(&g.out);
    return fnd_cli_lm_close(&lm, status, err);
}

static const run_options defaults = { .generation = FND_CLI_GENERATION_DEFAULTS };

const fnd_cli_command fnd_cli_run = {
    .name = "run",
    .doc = "let a model answer a prompt",
    .usage = "--model F (--prompt T | --prompt-file F | --batch F) [options]",
    .more = "The prompt is put into the model's chat template. The answer goes to standard output as it is\n"
            "generated, speed and notes to standard error. Bytes of a prompt that are not UTF-8 are taken as they\n"
            "are, with a note; one that the model has no token for is an error.\n"
            "\n"
            "--batch: a line is an object with a \"prompt\" or \"messages\", and what it wants to have otherwise than\n"
            "the options say: system, raw, tools, template_vars, max_tokens, stop, temperature, top_k, top_p, min_p,\n"
            "typical_p, repeat_penalty, presence_penalty, frequency_penalty, repeat_last_n, seed, id (any value, which\n"
            "the answer has too). The answers, objects as --json prints them, come in the order of the lines.",
    .example = "  foundry run --model model.gguf --prompt 'Name the capital of France.'\n"
               "  foundry run --model model.gguf --template chat.jinja --prompt 'Name the capital of France.'\n"
               "  foundry run --model model.gguf --raw --prompt 'Once upon a time' --temperature 0.8 --max-tokens 100\n"
               "  foundry run --model model.gguf --batch prompts.jsonl --parallel 16 --max-tokens 200 > answers.jsonl",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(run_options),
    .run = run,
};
