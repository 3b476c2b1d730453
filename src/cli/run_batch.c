/* run_batch.c - run with --batch: lines of JSON in, lines of JSON out, in the same order. */
#include "cli/run_batch.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/answer_json.h"
#include "cli/text.h"
#include "foundry/chat.h"
#include "lm/batch_line.h"

#include <jansson.h>

/* A line of the file. */
typedef struct item {
    size_t line; /* from 1 */
    fnd_batch_line in;
    fnd_ids prompt;
    fnd_text out; /* its answer, or why there is none: a line of JSON; empty until it is known */
    bool failed;
} item;

typedef struct batch {
    const fnd_cli_batch *o;
    fnd_cli_lm *lm;
    char *text;
    size_t bytes;
    item *items;
    size_t count, shown, failed;
    fnd_batch_request *requests; /* [count - failed before] */
    size_t *item_of, request_count;
    fnd_cli_template_inputs inputs;
    fnd_logit_bias bias[FND_CLI_LIST_ITEMS];
    fnd_generate_desc defaults;
    fnd_batch_stats stats;
    uint64_t start_ns, command_ns; /* of answering; of the command */
} batch;

static const char *file_name(const batch *b) { return strcmp(b->o->file, "-") == 0 ? "standard input" : b->o->file; }

/* ---- lines out ---- */

static void begin_line(const item *i, fnd_text *out) {
    fnd_text_printf(out, "{\"line\": %zu, ", i->line);
    if (i->in.id) fnd_text_printf(out, "\"id\": %s, ", i->in.id);
}

/* The line is answered by a sentence; the others go on. */
static fnd_status fail(batch *b, item *i, const fnd_error *why, fnd_error *err) {
    i->failed = true;
    b->failed++;
    begin_line(i, &i->out);
    fnd_text_str(&i->out, "\"error\": ");
    fnd_cli_json_string(&i->out, why->text);
    fnd_text_str(&i->out, "}\n");
    fnd_cli_note("%s, line %zu: %s", file_name(b), i->line, why->text);
    return fnd_text_check(&i->out, err);
}

static fnd_status put(item *i, fnd_error *err) {
    fnd_cli_progress_clear();
    return fnd_cli_put_text(&i->out, err);
}

/* All whose predecessors have been shown; or, at the end, all that there are. */
static fnd_status show(batch *b, bool all, fnd_error *err) {
    for (; b->shown < b->count && (all || b->items[b->shown].out.bytes); b->shown++) {
        if (b->items[b->shown].out.bytes) FND_TRY(put(&b->items[b->shown], err));
    }
    return FND_OK;
}

/* ---- lines in ---- */

static bool is_blank(const char *text, size_t bytes) {
    size_t i = 0;
    while (i < bytes && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r')) i++;
    return i == bytes;
}

/* Where the lines that are not blank begin, and how long they are. */
static size_t split(const batch *b, item *items, fnd_span *spans) {
    size_t count = 0, line = 0;
    for (size_t at = 0; at < b->bytes;) {
        const char *start = b->text + at, *end = memchr(start, '\n', b->bytes - at);
        size_t bytes = end ? (size_t)(end - start) : b->bytes - at;
        line++;
        at += bytes + 1;
        if (is_blank(start, bytes)) continue;
        if (items) items[count].line = line;
        if (spans) spans[count] = (fnd_span){ start, bytes };
        count++;
    }
    return count;
}

/* The command's variables, with those of the line. */
static fnd_status join_variables(const batch *b, const item *i, char **out, fnd_error *err) {
    const char *own = i->in.variables, *given = b->inputs.variables, *text = own ? own : given;
    json_t *all = given && own ? json_loads(given, JSON_ALLOW_NUL, NULL) : NULL, *more = all ? json_loads(own, JSON_ALLOW_NUL, NULL) : NULL;
    char *joined = all && json_object_update(all, more) == 0 ? json_dumps(all, 0) : NULL;
    json_decref(all);
    json_decref(more);
    if (joined) text = joined;
    *out = text ? fnd_alloc_string(text, strlen(text)) : NULL;
    free(joined);
    return *out || !text ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for template variables");
}

static const char *tools_of(const batch *b, const item *i) { return i->in.tools ? i->in.tools : b->inputs.tools; }

static fnd_status render(batch *b, item *i, const fnd_chat_template *c, const char *variables, fnd_error *err) {
    fnd_chat_message messages[2];
    size_t count = 0;
    fnd_chat_prompt prompt;
    const char *system = i->in.system.data ? i->in.system.data : b->o->system;
    if (system) messages[count++] = (fnd_chat_message){ .role = "system", .content = system, .content_bytes = i->in.system.data ? i->in.system.bytes : 0 };
    messages[count++] = (fnd_chat_message){ .role = "user", .content = i->in.prompt.data, .content_bytes = i->in.prompt.bytes };
    fnd_chat_desc desc = { .tokenizer = b->lm->t, .variables_json = variables, .tools_json = tools_of(b, i), .messages_json = i->in.messages };
    if (!i->in.messages) {
        desc.messages = messages;
        desc.message_count = count;
    }
    fnd_status status = fnd_cli_name_template(b->inputs.file, fnd_chat_render(c, &desc, &prompt, err), err);
    if (status == FND_OK) status = fnd_chat_tokenize(b->lm->t, &prompt, 0, &i->prompt, err);
    fnd_chat_prompt_free(&prompt);
    return status;
}

static fnd_status make_prompt(batch *b, item *i, fnd_error *err) {
    char *variables;
    fnd_chat_template *c;
    bool raw = i->in.has_raw ? i->in.raw : b->o->raw && !i->in.messages;
    if (raw) return fnd_tokenize(b->lm->t, i->in.prompt.data, i->in.prompt.bytes, FND_TOKENIZE_SPECIAL | FND_TOKENIZE_ADD_BOS, &i->prompt, err);
    FND_TRY(fnd_cli_template_get(&b->inputs, tools_of(b, i), &c, err));
    FND_TRY(join_variables(b, i, &variables, err));
    fnd_status status = render(b, i, c, variables, err);
    fnd_free_memory(variables);
    return status;
}

static fnd_status read_item(batch *b, item *i, fnd_span text, size_t index, fnd_error *err) {
    FND_TRY(fnd_batch_line_parse(text.data, text.bytes, &b->defaults, &i->in, err));
    if (!i->in.has_seed) i->in.desc.sampling.seed += index; /* the same prompt again is answered anew */
    FND_TRY(make_prompt(b, i, err));
    if (!i->prompt.count) return fnd_fail(err, FND_ERR_FORMAT, "the prompt has no tokens");
    return fnd_cli_lm_fits(b->lm, "the prompt", i->prompt.count, b->o->generation->context, err);
}

static fnd_status take_memory(batch *b, fnd_span **spans, fnd_error *err) {
    b->count = split(b, NULL, NULL);
    if (!b->count) return fnd_fail(err, FND_ERR_USAGE, "%s has no prompts: a line holds an object, as {\"prompt\": \"...\"}", file_name(b));
    b->items = fnd_alloc_zeroed(b->count, sizeof *b->items);
    b->requests = fnd_alloc_zeroed(b->count, sizeof *b->requests);
    b->item_of = fnd_alloc_zeroed(b->count, sizeof *b->item_of);
    *spans = fnd_alloc_zeroed(b->count, sizeof **spans);
    if (b->items && b->requests && b->item_of && *spans) {
        split(b, b->items, *spans);
        return FND_OK;
    }
    fnd_free_memory(*spans);
    return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %zu prompts", b->count);
}

static fnd_status read_items(batch *b, const fnd_span *spans, fnd_error *err) {
    for (size_t n = 0; n < b->count; n++) {
        fnd_error why = { 0 };
        item *i = &b->items[n];
        if (read_item(b, i, spans[n], n, &why) != FND_OK) {
            FND_TRY(fail(b, i, &why, err));
            continue;
        }
        b->item_of[b->request_count] = n;
        b->requests[b->request_count++] = (fnd_batch_request){ .ids = i->prompt.data, .count = i->prompt.count, .desc = &i->in.desc };
    }
    if (b->request_count) return FND_OK;
    FND_TRY(show(b, true, err));
    return fnd_fail(err, FND_ERR_FORMAT, "%s: none of its %zu line%s can be answered", file_name(b), b->count, fnd_plural(b->count));
}

/* Before the weights are read: what cannot be answered need not wait for them. */
static fnd_status prepare(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    batch *b = ctx;
    fnd_span *spans = NULL;
    const fnd_cli_generation *g = b->o->generation;
    uint32_t vocab = fnd_model_get_info(lm->m)->vocab;
    FND_TRY(fnd_cli_lm_fits(lm, "nothing", 0, g->context, err));
    fnd_cli_lm_note_window(lm, g->context);
    FND_TRY(fnd_cli_template_inputs_read(&g->template, fnd_model_gguf(lm->m), &b->inputs, err));
    FND_TRY(fnd_cli_generation_desc(g, lm, b->bias, &b->defaults, err));
    b->defaults.logprobs = b->o->logprobs < vocab ? b->o->logprobs : vocab;
    fnd_cli_generation_note(g, b->defaults.sampling.seed);
    FND_TRY(take_memory(b, &spans, err));
    fnd_status status = read_items(b, spans, err);
    fnd_free_memory(spans);
    return status;
}

/* ---- answers ---- */

static fnd_status keep(void *ctx, size_t index, fnd_generated *result, const fnd_error *why, fnd_error *err) {
    batch *b = ctx;
    item *i = &b->items[b->item_of[index]];
    if (why) {
        FND_TRY(fail(b, i, why, err));
        return show(b, false, err);
    }
    if (result->ending == FND_ENDING_CANCELLED) return FND_OK; /* only whole answers are shown */
    begin_line(i, &i->out);
    fnd_cli_json_answer(&i->out, &i->in.desc, result, i->prompt.count);
    double first = fnd_cli_seconds_since(b->command_ns) - result->seconds + result->first_seconds;
    fnd_text_printf(&i->out, ", \"reused_tokens\": %u, \"timings\": {\"first_token_s\": %.6f, \"weights_s\": %.6f, \"kernels_s\": %.6f, \"prompt_s\": %.6f, \"answer_s\": %.6f, \"prompt_tok_s\": %.3f, \"answer_tok_s\": %.3f}", result->prompt_reused, first, b->lm->load_seconds, b->lm->open_seconds, result->prompt_seconds, result->seconds,
                    fnd_cli_per_second((double)(i->prompt.count - result->prompt_reused), result->prompt_seconds), fnd_cli_per_second((double)result->ids.count, result->seconds));
    fnd_cli_json_logprobs(&i->out, b->lm->t, &i->in.desc, result);
    fnd_text_str(&i->out, "}\n");
    FND_TRY(fnd_text_check(&i->out, err));
    return show(b, false, err);
}

static void progress(void *ctx, const fnd_batch_stats *stats) {
    batch *b = ctx;
    char detail[96];
    b->stats = *stats;
    snprintf(detail, sizeof detail, "%zu of %zu prompts, %.0f tok/s", stats->done, stats->requests, fnd_cli_per_second((double)stats->tokens, fnd_cli_seconds_since(b->start_ns)));
    fnd_cli_progress_detail(detail);
    fnd_cli_progress(b, "answering", stats->done, stats->requests);
}

/* Of opening the sessions only: reading one prompt is a small part of the work. */
static void opening(void *ctx, const char *what, uint64_t done, uint64_t total) {
    if (strcmp(what, "reading the prompt") != 0) fnd_cli_progress(ctx, what, done, total);
}

/* Positions that are enough for every line, and for what --context-shift keeps, where that is known; else the model's
 * limit. Where the frequencies of RoPE depend on it, it is what one prompt alone would have. */
static uint32_t context_of(const batch *b) {
    const fnd_model_info *m = fnd_model_get_info(b->lm->m);
    uint64_t most = b->defaults.context_shift ? (uint64_t)b->defaults.keep + FND_SHIFT_STEP + 1 : 0;
    if (b->o->generation->context || strcmp(m->rope_scaling, "longrope") == 0) return b->o->generation->context;
    for (size_t i = 0; i < b->request_count; i++) {
        uint32_t tokens = b->requests[i].desc->max_tokens;
        uint64_t need = b->requests[i].count + tokens;
        if (!tokens || need > m->context_length) return 0;
        most = need > most ? need : most;
    }
    return (uint32_t)most;
}

static void tell(const batch *b, uint32_t sequences) {
    double seconds = fnd_cli_seconds_since(b->start_ns);
    fnd_cli_note("%zu prompt%s answered, %u at a time: %llu token%s in %.3f s, %.1f tok/s; prompts: %llu token%s, %llu of them reused", b->stats.done - b->stats.failed, fnd_plural(b->stats.done - b->stats.failed), sequences, (unsigned long long)b->stats.tokens, fnd_plural(b->stats.tokens),
                 seconds, fnd_cli_per_second((double)b->stats.tokens, seconds), (unsigned long long)b->stats.prompt_tokens, fnd_plural(b->stats.prompt_tokens), (unsigned long long)b->stats.reused);
}

static fnd_status answer(batch *b, fnd_error *err) {
    fnd_batch *decoding;
    uint32_t sequences = b->request_count < b->o->parallel ? (uint32_t)b->request_count : b->o->parallel;
    fnd_batch_desc desc = { .sequences = sequences, .session = { .context = context_of(b), .kv_type = b->lm->kv_type, .progress = opening, .progress_ctx = b, .cancel = &fnd_cli_interrupted } };
    fnd_batch_job job = { .requests = b->requests, .count = b->request_count, .done = keep, .progress = progress, .ctx = b, .cancel = &fnd_cli_interrupted };
    uint64_t open_ns = fnd_now_ns();
    FND_TRY(fnd_batch_open(b->lm->m, &desc, &decoding, err));
    fnd_cli_progress_clear();
    b->lm->open_seconds = fnd_cli_seconds_since(open_ns);
    FND_TRY(show(b, false, err)); /* lines at the beginning may have failed already */
    b->start_ns = fnd_now_ns();
    fnd_status status = fnd_batch_generate(decoding, &job, err);
    fnd_cli_progress_clear();
    fnd_batch_close(decoding);
    if (status == FND_OK || status == FND_ERR_CANCELLED) {
        fnd_error why = { 0 };
        fnd_status shown = show(b, true, &why);
        if (shown != FND_OK) return fnd_fail(err, shown, "%s", why.text);
    }
    if (status == FND_OK) tell(b, sequences);
    const char *reached = status == FND_ERR_CANCELLED ? strstr(err->text, ": ") : NULL; /* main says "interrupted" */
    if (reached) fnd_cli_note("%s", reached + 2);
    return status;
}

static fnd_status sum_up(const batch *b, fnd_error *err) {
    if (!b->failed) return FND_OK;
    return fnd_fail(err, FND_ERR_FORMAT, "%s: %zu of %zu line%s could not be answered", file_name(b), b->failed, b->count, fnd_plural(b->count));
}

static void free_batch(batch *b) {
    for (size_t i = 0; b->items && i < b->count; i++) {
        fnd_batch_line_free(&b->items[i].in);
        fnd_ids_free(&b->items[i].prompt);
        fnd_text_free(&b->items[i].out);
    }
    fnd_free_memory(b->items);
    fnd_free_memory(b->requests);
    fnd_free_memory(b->item_of);
    fnd_cli_template_inputs_free(&b->inputs);
    fnd_free_memory(b->text);
}

fnd_status fnd_cli_run_batch(const fnd_cli_globals *globals, const fnd_cli_batch *o, fnd_error *err) {
    fnd_cli_lm lm = { .check = prepare, .wait_for_kernels = o->generation->compile };
    batch b = { .o = o, .lm = &lm, .command_ns = fnd_now_ns() };
    lm.check_ctx = &b;
    FND_TRY(fnd_file_read_text(o->file, FND_CLI_TEXT_BYTES, &b.text, &b.bytes, err)); /* a line that is no UTF-8 is told with its number */
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = answer(&b, err);
    if (status == FND_OK) status = sum_up(&b, err);
    free_batch(&b);
    return fnd_cli_lm_close(&lm, status, err);
}
