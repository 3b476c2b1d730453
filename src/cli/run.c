/* run.c - foundry run: let a model answer. */
#include "base/memory.h"
#include "cli/lm.h"
#include "cli/text.h"
#include "foundry/chat.h"
#include "foundry/profile.h"

#include <float.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

typedef struct run_options {
    const char *model, *prompt, *prompt_file, *system;
    uint32_t max_tokens, top_k, context;
    double temperature, top_p, min_p;
    fnd_cli_u64 seed;
    bool raw, compile;
} run_options;

#define FIELD(name) offsetof(run_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "prompt", FND_CLI_TEXT, "T", FIELD(prompt), "what to answer; - reads standard input", 0, 0 },
    { "prompt-file", FND_CLI_NAME, "F", FIELD(prompt_file), "the same from a file", 0, 0 },
    { "system", FND_CLI_TEXT, "T", FIELD(system), "system message", 0, 0 },
    { "raw", FND_CLI_FLAG, NULL, FIELD(raw), "continue the prompt as it stands: no chat template, control tokens parsed", 0, 0 },
    { "compile", FND_CLI_FLAG, NULL, FIELD(compile), "compile all kernels before the answer, and keep them (else they are compiled during answers that last)", 0, 0 },
    { "max-tokens", FND_CLI_U32, "N", FIELD(max_tokens), "stop after so many (default: when the model ends or the context is full)", 1, UINT32_MAX },
    { "context", FND_CLI_U32, "N", FIELD(context), "positions at most (default: the model's limit)", 1, UINT32_MAX },
    { "temperature", FND_CLI_REAL, "X", FIELD(temperature), "0: always the most likely token (default)", 0, 100 },
    { "top-k", FND_CLI_U32, "N", FIELD(top_k), "choose among the N most likely; 0: all", 0, UINT32_MAX },
    { "top-p", FND_CLI_REAL, "X", FIELD(top_p), "choose among the most likely that make up X together; 1: all", 0, 1 },
    { "min-p", FND_CLI_REAL, "X", FIELD(min_p), "choose among those at least X times as likely as the first; 0: all", 0, 1 },
    { "seed", FND_CLI_U64, "S", FIELD(seed), "the same seed chooses the same tokens (default: a new one, which is told)", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef enum ending { RUNNING,
                      MODEL_ENDED,
                      ENOUGH,
                      CONTEXT_FULL,
                      INTERRUPTED } ending;

typedef struct generation {
    fnd_cli_lm *lm;
    const run_options *o;
    const char *text; /* [bytes] as given */
    size_t bytes;
    fnd_sampling sampling;
    fnd_decoder *decoder;
    fnd_ids prompt;
    uint32_t count; /* tokens shown */
    ending ending;
    uint64_t start_ns; /* of the command */
    double first_seconds, prefill_seconds, decode_seconds;
} generation;

/* ---- the prompt ---- */

static fnd_status chat_prompt(generation *g, const char *text, size_t bytes, fnd_error *err) {
    fnd_chat_template *c;
    fnd_chat_prompt prompt;
    fnd_chat_message messages[2];
    size_t count = 0;
    const fnd_gguf *file = fnd_model_gguf(g->lm->m);
    if (!fnd_gguf_find(file, "tokenizer.chat_template")) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s has no chat template; --raw continues the prompt as it stands", g->o->model);
    if (g->o->system) messages[count++] = (fnd_chat_message){ .role = "system", .content = g->o->system };
    messages[count++] = (fnd_chat_message){ .role = "user", .content = text, .content_bytes = bytes };
    FND_TRY(fnd_chat_template_from_gguf(file, &c, err));
    fnd_chat_desc desc = { .messages = messages, .message_count = count, .tokenizer = g->lm->t };
    fnd_status status = fnd_chat_render(c, &desc, &prompt, err);
    if (status == FND_OK) status = fnd_chat_tokenize(g->lm->t, &prompt, 0, &g->prompt, err);
    fnd_chat_prompt_free(&prompt);
    fnd_chat_template_close(c);
    return status;
}

static fnd_status make_prompt(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    generation *g = ctx;
    if (g->o->raw) {
        FND_TRY(fnd_tokenize(lm->t, g->text, g->bytes, FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, &g->prompt, err));
    } else {
        FND_TRY(chat_prompt(g, g->text, g->bytes, err));
    }
    return fnd_cli_lm_fits(lm, "the prompt", g->prompt.count, g->o->context, err);
}

static fnd_status read_prompt(const run_options *o, char **text, size_t *bytes, fnd_error *err) {
    bool from_input = o->prompt && strcmp(o->prompt, "-") == 0;
    FND_TRY(fnd_cli_read_text(from_input ? NULL : o->prompt, from_input ? "-" : o->prompt_file, text, bytes, err));
    if (*bytes) return FND_OK;
    fnd_free_memory(*text);
    return fnd_fail(err, FND_ERR_USAGE, "the prompt is empty: there is nothing to answer");
}

/* ---- generating ---- */

static fnd_status show(fnd_span text, fnd_error *err) {
    if (!text.bytes) return FND_OK;
    FND_TRY(fnd_cli_put(text.data, text.bytes, err));
    return fnd_cli_flush(err);
}

static fnd_status next_token(generation *g, fnd_error *err) {
    fnd_session *s = g->lm->s;
    uint32_t id;
    FND_TRY(fnd_session_sample(s, &g->sampling, &id, err));
    if (g->first_seconds == 0) g->first_seconds = fnd_cli_seconds_since(g->start_ns);
    if (fnd_token_is_end(g->lm->t, id)) {
        g->ending = MODEL_ENDED;
        return FND_OK;
    }
    FND_TRY(show(fnd_decoder_push(g->decoder, id), err));
    g->count++;
    if (g->o->max_tokens && g->count >= g->o->max_tokens)
        g->ending = ENOUGH;
    else if (fnd_session_position(s) >= fnd_session_context(s))
        g->ending = CONTEXT_FULL;
    else
        FND_TRY(fnd_session_eval(s, &id, 1, err));
    return FND_OK;
}

static fnd_status generate(generation *g, fnd_error *err) {
    uint64_t start = fnd_now_ns();
    FND_TRY(fnd_session_eval(g->lm->s, g->prompt.data, g->prompt.count, err));
    fnd_cli_progress_clear();
    g->prefill_seconds = fnd_cli_seconds_since(start);
    start = fnd_now_ns();
    while (g->ending == RUNNING) {
        FND_TRY(next_token(g, err));
        if (g->ending == RUNNING && fnd_cli_interrupted) g->ending = INTERRUPTED;
    }
    g->decode_seconds = fnd_cli_seconds_since(start);
    FND_TRY(show(fnd_decoder_flush(g->decoder), err));
    if (isatty(STDOUT_FILENO) && fnd_cli_in_line()) FND_TRY(show((fnd_span){ "\n", 1 }, err)); /* elsewhere the text stays exact */
    return FND_OK;
}

static void tell(const generation *g) {
    const foundry *f = g->lm->f;
    double prefill = (double)g->prompt.count / (g->prefill_seconds > 0 ? g->prefill_seconds : 1);
    double decode = (double)g->count / (g->decode_seconds > 0 ? g->decode_seconds : 1);
    if (g->ending == ENOUGH) fnd_cli_note("stopped after %u token%s, as --max-tokens says", g->count, g->count == 1 ? "" : "s");
    if (g->ending == CONTEXT_FULL) fnd_cli_note("stopped because the context of %u tokens is full", fnd_session_context(g->lm->s));
    fnd_cli_note("prompt: %zu tokens in %.3f s, %.1f tok/s; answer: %u tokens in %.3f s, %.1f tok/s", g->prompt.count, g->prefill_seconds, prefill, g->count, g->decode_seconds, decode);
    fnd_cli_note("first token after %.3f s: weights in %.3f s, kernels in %.3f s (%llu compiled, %llu from the cache, %llu built in)", g->first_seconds, g->lm->load_seconds, g->lm->open_seconds,
                 (unsigned long long)fnd_counter_get(f, FND_COUNTER_COMPILATIONS), (unsigned long long)fnd_counter_get(f, FND_COUNTER_DISK_HITS),
                 (unsigned long long)fnd_counter_get(f, FND_COUNTER_BAKED_HITS));
}

static fnd_status answer(generation *g, fnd_error *err) {
    FND_TRY(fnd_cli_lm_begin(g->lm, g->o->context, err));
    FND_TRY(fnd_decoder_open(g->lm->t, 0, &g->decoder, err));
    if (g->prompt.count) (void)fnd_decoder_push(g->decoder, g->prompt.data[g->prompt.count - 1]); /* the answer follows it */
    fnd_status status = generate(g, err);
    fnd_decoder_close(g->decoder);
    FND_TRY(status);
    tell(g);
    return g->ending == INTERRUPTED ? fnd_cli_check_interrupt(err) : FND_OK;
}

/* ---- options ---- */

static void set_sampling(const run_options *o, fnd_sampling *out) {
    *out = (fnd_sampling){
        .temperature = (float)o->temperature,
        .top_k = o->top_k,
        .top_p = o->top_p > 0 ? (float)o->top_p : FLT_MIN, /* of nothing there is still the first; 0 would mean all */
        .min_p = (float)o->min_p,
        .seed = o->seed.given ? o->seed.value : fnd_now_ns() ^ (uint64_t)time(NULL) << 32,
    };
    if (o->temperature > 0) {
        if (!o->seed.given) fnd_cli_note("--seed %llu would choose the same tokens again", (unsigned long long)out->seed);
    } else if (o->top_k || o->top_p < 1 || o->min_p > 0 || o->seed.given) {
        fnd_cli_note("--top-k, --top-p, --min-p and --seed change nothing without a --temperature above 0");
    }
}

static fnd_status check(const run_options *o, fnd_error *err) {
    FND_TRY(fnd_cli_need(&fnd_cli_run, "--model", o->model, err));
    FND_TRY(fnd_cli_one_of("run", "--prompt", o->prompt, "--prompt-file", o->prompt_file, err));
    if (o->raw && o->system) return fnd_fail(err, FND_ERR_USAGE, "--system belongs to the chat template, which --raw leaves out");
    return FND_OK;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const run_options *o = options;
    fnd_cli_lm lm = { .check = make_prompt, .wait_for_kernels = o->compile };
    generation g = { .lm = &lm, .o = o, .start_ns = fnd_now_ns() };
    char *text;
    FND_TRY(check(o, err));
    FND_TRY(read_prompt(o, &text, &g.bytes, err));
    set_sampling(o, &g.sampling);
    g.text = text;
    lm.check_ctx = &g;
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = answer(&g, err);
    fnd_free_memory(text);
    fnd_ids_free(&g.prompt);
    return fnd_cli_lm_close(&lm, status, err);
}

static const run_options defaults = { .top_p = 1 };

const fnd_cli_command fnd_cli_run = {
    .name = "run",
    .doc = "let a model answer a prompt",
    .usage = "--model F --prompt T [options]",
    .more = "The prompt is put into the model's chat template. The answer goes to standard output as it is\n"
            "generated, speed and notes to standard error.",
    .example = "  foundry run --model model.gguf --prompt 'Name the capital of France.'\n"
               "  foundry run --model model.gguf --raw --prompt 'Once upon a time' --temperature 0.8 --max-tokens 100",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(run_options),
    .run = run,
};
