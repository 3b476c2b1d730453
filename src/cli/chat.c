/* chat.c - foundry chat: a conversation, line by line. */
#include "cli/chat.h"
#include "base/memory.h"
#include "cli/generation.h"
#include "cli/text.h"
#include "foundry/conversation.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

typedef struct chat_options {
    const char *model, *system, *session, *history;
    fnd_cli_generation generation;
    bool quiet;
} chat_options;

#define FIELD(name) offsetof(chat_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "system", FND_CLI_TEXT, "T", FIELD(system), "system message", 0, 0 },
    { "session", FND_CLI_NAME, "F", FIELD(session), "go on with the conversation in this file, if there is one, and save it there at the end", 0, 0 },
    { "history", FND_CLI_NAME, "F", FIELD(history), "keep the lines that were typed in this file, for the next time", 0, 0 },
    { "quiet", FND_CLI_FLAG, NULL, FIELD(quiet), "no speed and context use after each answer", 0, 0 },
    FND_CLI_GENERATION_OPTIONS(chat_options, generation),
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

static const char invalid_bytes[] = "each byte that is none is read as U+FFFD";

typedef struct chat {
    fnd_cli_lm *lm;
    const chat_options *o;
    fnd_logit_bias bias[FND_CLI_LIST_ITEMS];
    fnd_generate_desc desc;
    fnd_cli_template_inputs inputs;
    fnd_chat_template *chat_template; /* of the inputs */
    fnd_conversation *c;
    fnd_cli_lines *lines;
    uint64_t seed;          /* of the present answer */
    uint32_t answers;       /* /regen without a seed */
    unsigned failed, empty; /* lines */
    bool ends;
} chat;

/* ---- answers ---- */

static fnd_status show(void *ctx, fnd_span text, fnd_error *err) {
    (void)ctx;
    fnd_cli_progress_clear();
    FND_TRY(fnd_cli_put(text.data, text.bytes, err));
    return fnd_cli_flush(err);
}

static void tell(const chat *a, const fnd_generated *g) {
    const fnd_session *s = a->lm->s;
    if (g->ending == FND_ENDING_CANCELLED) fnd_cli_note("stopped; the answer so far is kept");
    if (g->ending == FND_ENDING_TOKENS) fnd_cli_note("stopped after %zu token%s, as --max-tokens says", g->ids.count, fnd_plural(g->ids.count));
    if (g->ending == FND_ENDING_CONTEXT) fnd_cli_note("stopped because the context of %u token%s is full; /undo, /clear or --context-shift make room", fnd_session_context(s), fnd_plural(fnd_session_context(s)));
    if (g->dropped) fnd_cli_note("the context was full, which dropped %u token%s behind the first %u", g->dropped, fnd_plural(g->dropped), fnd_conversation_kept(a->c));
    if (a->o->quiet) return;
    uint32_t computed = g->prompt_tokens - g->prompt_reused;
    char speed[32] = "";
    if (computed) snprintf(speed, sizeof speed, ", %.1f tok/s", fnd_cli_per_second((double)computed, g->prompt_seconds));
    fnd_cli_note("%zu token%s, %.1f tok/s; prompt: %u token%s, %u of them new%s; context: %u of %u", g->ids.count, fnd_plural(g->ids.count), fnd_cli_per_second((double)g->ids.count, g->seconds), g->prompt_tokens, fnd_plural(g->prompt_tokens), computed, speed,
                 fnd_session_position(s), fnd_session_context(s));
    fnd_cli_lookup_note(&a->o->generation, g);
}

/* text: a message to answer; without data: the last one again. */
static fnd_status answer(chat *a, fnd_span text, uint64_t seed, fnd_error *err) {
    fnd_generated g;
    a->desc.sampling.seed = seed;
    fnd_status status = text.data ? fnd_conversation_ask(a->c, text.data, text.bytes, &a->desc, &g, err) : fnd_conversation_answer_again(a->c, &a->desc, &g, err);
    status = fnd_cli_name_template(a->inputs.file, status, err);
    fnd_cli_progress_clear();
    if (fnd_cli_in_line()) FND_TRY(show(NULL, (fnd_span){ "\n", 1 }, err));
    bool interrupted = fnd_cli_lines_typed(a->lines) ? fnd_cli_answer_interrupt() : fnd_cli_interrupted;
    if (status != FND_OK && interrupted) {
        fnd_cli_note("stopped before there was an answer; the message is taken back");
        *err = (fnd_error){ .status = FND_OK };
        return FND_OK;
    }
    FND_TRY(status);
    if (g.bytes == 0) status = show(NULL, (fnd_span){ "\n", 1 }, err); /* answers can be counted */
    tell(a, &g);
    fnd_generated_free(&g);
    return status;
}

/* ---- commands ---- */

static const char *without_spaces(const char *text) {
    while (isspace((unsigned char)*text)) text++;
    return text;
}

static fnd_status need_file(const char *command, const char *file, fnd_error *err) {
    return file[0] ? FND_OK : fnd_fail(err, FND_ERR_USAGE, "/%s needs the name of a file", command);
}

static fnd_status do_help(chat *a, const char *rest, fnd_error *err);

static fnd_status do_system(chat *a, const char *rest, fnd_error *err) {
    bool has = fnd_conversation_count(a->c) && strcmp(fnd_conversation_message(a->c, 0).role, "system") == 0;
    if (rest[0]) return fnd_conversation_set_system(a->c, strcmp(rest, "-") == 0 ? "" : rest, err);
    fnd_cli_note("%s", has ? fnd_conversation_message(a->c, 0).content : "there is no system message");
    return FND_OK;
}

static fnd_status do_clear(chat *a, const char *rest, fnd_error *err) {
    (void)rest;
    (void)err;
    fnd_conversation_clear(a->c);
    return FND_OK;
}

static fnd_status do_undo(chat *a, const char *rest, fnd_error *err) {
    (void)rest;
    return fnd_conversation_undo(a->c, err);
}

static fnd_status do_regen(chat *a, const char *rest, fnd_error *err) {
    uint64_t seed = a->seed + ++a->answers;
    if (rest[0]) {
        char *end;
        errno = 0;
        seed = strtoull(rest, &end, 10);
        if (!isdigit((unsigned char)rest[0]) || *end || errno) return fnd_fail(err, FND_ERR_USAGE, "/regen needs a seed, a whole number from 0 to 18446744073709551615, or nothing");
    }
    if (a->desc.sampling.temperature <= 0) fnd_cli_note("without a --temperature above 0 nothing is drawn: only another context gives another answer");
    return answer(a, (fnd_span){ 0 }, seed, err);
}

static fnd_status do_save(chat *a, const char *rest, fnd_error *err) {
    FND_TRY(need_file("save", rest, err));
    FND_TRY(fnd_cli_check_named("a conversation", rest, err));
    FND_TRY(fnd_conversation_save(a->c, rest, err));
    fnd_cli_note("saved %zu message%s, %u token%s in %s", fnd_conversation_count(a->c), fnd_plural(fnd_conversation_count(a->c)), fnd_session_position(a->lm->s), fnd_plural(fnd_session_position(a->lm->s)), rest);
    return FND_OK;
}

static fnd_status do_load(chat *a, const char *rest, fnd_error *err) {
    FND_TRY(need_file("load", rest, err));
    FND_TRY(fnd_conversation_load(a->c, rest, err));
    fnd_cli_note("loaded %zu message%s, %u token%s from %s", fnd_conversation_count(a->c), fnd_plural(fnd_conversation_count(a->c)), fnd_session_position(a->lm->s), fnd_plural(fnd_session_position(a->lm->s)), rest);
    return FND_OK;
}

static fnd_status do_stats(chat *a, const char *rest, fnd_error *err) {
    fnd_session_stats s;
    (void)rest;
    (void)err;
    fnd_session_get_stats(a->lm->s, &s);
    fnd_cli_note("messages: %zu; context: %u of %u tokens, %zu dropped", fnd_conversation_count(a->c), fnd_session_position(a->lm->s), fnd_session_context(a->lm->s), fnd_conversation_dropped(a->c));
    fnd_cli_note("tokens computed: %llu; reused: %llu", (unsigned long long)s.computed, (unsigned long long)s.reused);
    fnd_cli_note("keys and values: %.1f MB; seed: %llu", 1e-6 * (double)s.cache_bytes, (unsigned long long)a->seed);
    return FND_OK;
}

static fnd_status do_quit(chat *a, const char *rest, fnd_error *err) {
    (void)rest;
    (void)err;
    a->ends = true;
    return FND_OK;
}

static const struct {
    const char *name, *words, *doc;
    fnd_status (*run)(chat *a, const char *rest, fnd_error *err);
} commands[] = {
    { "help", "", "this list", do_help },
    { "system", "[TEXT]", "another system message from here on; - for none; without a text, show it", do_system },
    { "clear", "", "forget all messages but the system's", do_clear },
    { "undo", "", "take back the last message and its answer", do_undo },
    { "regen", "[SEED]", "another answer to the last message", do_regen },
    { "save", "FILE", "keep the conversation in a file", do_save },
    { "load", "FILE", "go on with the conversation in a file", do_load },
    { "stats", "", "tokens computed and reused, memory", do_stats },
    { "quit", "", "end, as the end of the input does", do_quit },
};

static fnd_status do_help(chat *a, const char *rest, fnd_error *err) {
    (void)a;
    (void)rest;
    (void)err;
    fnd_cli_begin_note();
    for (size_t i = 0; i < FND_COUNT(commands); i++) fprintf(stderr, "  /%s %-*s %s\n", commands[i].name, 14 - (int)strlen(commands[i].name), commands[i].words, commands[i].doc);
    fputs("A line that ends with \\ goes on in the next one; //text says /text. Ctrl-C stops an answer.\n", stderr);
    return FND_OK;
}

static fnd_status run_command(chat *a, const char *line, fnd_error *err) {
    size_t bytes = strcspn(line, " \t\n");
    char shown[80];
    fnd_nearest near = { .word = line, .bytes = bytes };
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        if (strlen(commands[i].name) == bytes && memcmp(commands[i].name, line, bytes) == 0) {
            const char *rest = without_spaces(line + bytes);
            if (!commands[i].words[0] && rest[0]) return fnd_fail(err, FND_ERR_USAGE, "/%s takes nothing behind it, not '%s'", commands[i].name, fnd_span_quote((fnd_span){ rest, strlen(rest) }, shown, sizeof shown));
            return commands[i].run(a, rest, err);
        }
        fnd_nearest_try(&near, commands[i].name);
    }
    return fnd_fail(err, FND_ERR_USAGE, "there is no command '/%s'%s; /help lists them", fnd_span_quote((fnd_span){ line, bytes }, shown, sizeof shown), fnd_nearest_text(&near, "/"));
}

/* ---- the loop ---- */

static fnd_status run_line(chat *a, fnd_span line, fnd_error *err) {
    size_t spaces = (size_t)(without_spaces(line.data) - line.data), escaped = line.data[0] == '/';
    a->empty += spaces == line.bytes;
    if (spaces == line.bytes) return FND_OK;
    fnd_cli_note_utf8("the line", line.data, line.bytes, invalid_bytes);
    if (line.data[0] != '/' || line.data[1] == '/') return answer(a, (fnd_span){ line.data + escaped, line.bytes - escaped }, a->seed, err);
    if (memchr(line.data, '\0', line.bytes)) return fnd_fail(err, FND_ERR_USAGE, "there is a NUL byte in a line with a command");
    return run_command(a, line.data + 1, err);
}

/* What fails is told and does not end the conversation, unless nobody can read the answers. */
static fnd_status converse(chat *a, fnd_error *err) {
    while (!a->ends) {
        fnd_span line;
        fnd_cli_line what;
        fnd_error failure = { .status = FND_OK };
        FND_TRY(fnd_cli_lines_next(a->lines, &line, &what, err));
        if (what == FND_CLI_LINE_END) {
            if (fnd_cli_lines_typed(a->lines)) fputc('\n', stderr); /* behind the "> " */
            break;
        }
        if (what == FND_CLI_LINE_INTERRUPTED) {
            if (!fnd_cli_lines_typed(a->lines)) return fnd_cli_check_interrupt(err);
            fnd_cli_answer_interrupt();
            fnd_cli_note("/quit or Ctrl-D ends the conversation");
            continue;
        }
        fnd_status status = run_line(a, line, &failure);
        if (!fnd_cli_lines_typed(a->lines)) FND_TRY(fnd_cli_check_interrupt(err)); /* nobody types the next line */
        if (status == FND_OK) continue;
        FND_TRY(fnd_cli_flush(err));
        fnd_cli_note("%s", failure.text);
        a->failed++;
    }
    return FND_OK;
}

static fnd_status prepare(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    chat *a = ctx;
    const fnd_cli_generation *o = &a->o->generation;
    FND_TRY(fnd_cli_template_inputs_read(&o->template, fnd_model_gguf(lm->m), &a->inputs, err));
    FND_TRY(fnd_cli_template_get(&a->inputs, a->inputs.tools, &a->chat_template, err));
    FND_TRY(fnd_cli_generation_desc(o, lm, a->bias, &a->desc, err));
    FND_TRY(fnd_cli_lm_fits(lm, "nothing", 0, o->context, err));
    fnd_cli_lm_note_window(lm, o->context);
    a->desc.text = show;
    a->seed = a->desc.sampling.seed;
    if (!a->o->quiet) fnd_cli_generation_note(o, a->seed);
    if (a->o->system) fnd_cli_note_utf8("the system message", a->o->system, strlen(a->o->system), invalid_bytes);
    return FND_OK;
}

/* The conversation that --session names, if it is there. */
static fnd_status resume(chat *a, fnd_error *err) {
    if (!a->o->session || access(a->o->session, F_OK) != 0) return FND_OK;
    FND_TRY(do_load(a, a->o->session, err));
    return a->o->system ? fnd_conversation_set_system(a->c, a->o->system, err) : FND_OK;
}

/* Whatever ended it, the conversation is kept; the first failure is the one that is told. */
static fnd_status keep(chat *a, fnd_status status, fnd_error *err) {
    fnd_error late = { .status = FND_OK };
    fnd_error *to = status == FND_OK ? err : &late;
    fnd_status saved = a->o->session ? do_save(a, a->o->session, to) : FND_OK;
    return status != FND_OK ? status : saved;
}

static fnd_status with_lines(chat *a, fnd_error *err) {
    FND_TRY(fnd_cli_lines_open(a->o->history, &a->lines, err));
    bool typed = fnd_cli_lines_typed(a->lines);
    if (typed && !a->o->quiet) fnd_cli_note("/help lists the commands");
    fnd_cli_survive_interrupts();
    fnd_status status = keep(a, converse(a, err), err);
    if (a->empty && !typed) fnd_cli_note("%u empty line%s not answered", a->empty, a->empty == 1 ? " was" : "s were");
    fnd_error late = { .status = FND_OK };
    fnd_status closed = fnd_cli_lines_close(a->lines, status == FND_OK ? err : &late);
    if (status == FND_OK) status = closed;
    if (status == FND_OK && a->failed && !typed) status = fnd_fail(err, FND_ERR_FILE, "%u line%s could not be carried out, as told above", a->failed, fnd_plural(a->failed));
    return status;
}

static fnd_status begin(chat *a, fnd_error *err) {
    const fnd_cli_generation *o = &a->o->generation;
    FND_TRY(fnd_cli_lm_begin(a->lm, o->context, err));
    const fnd_conversation_desc d = { .chat_template = a->chat_template, .system = a->o->system, .variables_json = a->inputs.variables, .tools_json = a->inputs.tools, .context_shift = o->context_shift, .keep = a->desc.keep };
    fnd_status status = fnd_conversation_open(a->lm->s, &d, &a->c, err);
    if (status == FND_OK) status = resume(a, err);
    if (status == FND_OK) status = with_lines(a, err);
    fnd_conversation_close(a->c);
    return status;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const chat_options *o = options;
    fnd_cli_lm lm = { .check = prepare, .wait_for_kernels = o->generation.compile };
    chat a = { .lm = &lm, .o = o };
    FND_TRY(fnd_cli_need(&fnd_cli_chat, "--model", o->model, err));
    FND_TRY(fnd_cli_template_check(&o->generation.template, false, "the messages", err));
    FND_TRY(fnd_cli_check_named("a conversation", o->session, err));
    FND_TRY(fnd_cli_check_named("the history", o->history, err));
    FND_TRY(fnd_cli_check_writable(o->session, err)); /* not when all is said */
    FND_TRY(fnd_cli_check_writable(o->history, err));
    lm.check_ctx = &a;
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = begin(&a, err);
    fnd_cli_template_inputs_free(&a.inputs);
    return fnd_cli_lm_close(&lm, status, err);
}

static const chat_options defaults = { .generation = FND_CLI_GENERATION_DEFAULTS };

const fnd_cli_command fnd_cli_chat = {
    .name = "chat",
    .doc = "a conversation with a model",
    .usage = "--model F [options]",
    .more = "Each line is a message. Lines can be edited, and earlier ones come back with the arrow keys; a line\n"
            "that ends with a backslash goes on in the next one. /help lists the commands; Ctrl-C stops an\n"
            "answer, Ctrl-D ends. Where standard input is no terminal, its lines are answered one after the other.\n"
            "Answers go to standard output, everything else to standard error.",
    .example = "  foundry chat --model model.gguf --system 'Be brief.' --temperature 0.7 --session talk.session\n"
               "  foundry chat --model model.gguf --template chat.jinja\n"
               "  printf 'My name is Ada.\\nWhat is my name?\\n' | foundry chat --model model.gguf --quiet",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(chat_options),
    .run = run,
};
