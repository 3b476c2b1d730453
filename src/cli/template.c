/* template.c - foundry template: the prompt that a chat template makes of messages. */
#include "base/memory.h"
#include "cli/template_inputs.h"
#include "cli/text.h"
#include "foundry/chat.h"

#include <stddef.h>

typedef struct template_options {
    const char *model, *file, *messages, *tools;
    fnd_cli_list variables;
    bool no_generation_prompt;
} template_options;

#define FIELD(name) offsetof(template_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file with a chat template; its tensors may be missing", 0, 0 },
    { "template", FND_CLI_NAME, "FILE", FIELD(file), "a file with the template; - is standard input", 0, 0 },
    { "messages", FND_CLI_NAME, "FILE", FIELD(messages), "JSON array of messages; - is standard input", 0, 0 },
    { "tools", FND_CLI_NAME, "FILE", FIELD(tools), "JSON array of tools", 0, 0 },
    { "template-var", FND_CLI_LIST, "K=JSON", FIELD(variables), FND_CLI_TEMPLATE_VAR_DOC, 0, 0 },
    { "no-generation-prompt", FND_CLI_FLAG, NULL, FIELD(no_generation_prompt), "do not begin the answer", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* What is open while a template is rendered. */
typedef struct rendering {
    const template_options *o;
    fnd_tokenizer *tokenizer;
    fnd_cli_template_inputs own; /* only its templates */
    fnd_chat_template *template;
    char *messages, *tools, *variables;
    fnd_chat_prompt prompt;
} rendering;

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* The file that a failed rendering speaks of. */
static fnd_status name_input(const template_options *o, fnd_status status, fnd_error *err) {
    if (begins(err->text, "the JSON of the messages")) return fnd_cli_name_file(o->messages, status, err);
    if (begins(err->text, "the JSON of the tools")) return fnd_cli_name_file(o->tools, status, err);
    return fnd_cli_name_template(o->file ? o->file : o->model, status, err);
}

static fnd_status open_model(rendering *r, fnd_error *err) {
    fnd_gguf *g;
    FND_TRY(fnd_gguf_open(r->o->model, FND_GGUF_METADATA_ONLY, &g, err));
    fnd_status status = fnd_tokenizer_open(g, &r->tokenizer, err);
    if (status == FND_OK) fnd_cli_tokenizer_note(r->o->model, r->tokenizer);
    if (status == FND_OK && !r->o->file) {
        r->own.model = g;
        status = fnd_cli_name_template(r->o->model, fnd_cli_template_get(&r->own, r->o->tools, &r->template, err), err);
    }
    fnd_gguf_close(g);
    return status;
}

static fnd_status open_template(rendering *r, fnd_error *err) {
    char *text;
    size_t bytes;
    if (r->o->model) FND_TRY(open_model(r, err));
    if (!r->o->file) return FND_OK;
    FND_TRY(fnd_cli_template_open(r->o->file, &r->own.templates[0], &text, &bytes, err));
    r->template = r->own.templates[0];
    fnd_free_memory(text);
    return FND_OK;
}

static fnd_status render(rendering *r, fnd_error *err) {
    const template_options *o = r->o;
    FND_TRY(fnd_cli_template_vars(&o->variables, &r->variables, err));
    FND_TRY(open_template(r, err));
    FND_TRY(fnd_cli_read_json(o->messages, &r->messages, err));
    if (o->tools) FND_TRY(fnd_cli_read_json(o->tools, &r->tools, err));
    const fnd_chat_desc desc = { .messages_json = r->messages, .tools_json = r->tools, .variables_json = r->variables, .tokenizer = r->tokenizer, .no_generation_prompt = o->no_generation_prompt };
    FND_TRY(name_input(o, fnd_chat_render(r->template, &desc, &r->prompt, err), err));
    return fnd_cli_put(r->prompt.text, r->prompt.bytes, err);
}

static fnd_status check(const template_options *o, fnd_error *err) {
    int inputs = (o->file && strcmp(o->file, "-") == 0) + (o->messages && strcmp(o->messages, "-") == 0) + (o->tools && strcmp(o->tools, "-") == 0);
    if (!o->model && !o->file) return fnd_fail(err, FND_ERR_USAGE, "template needs --model or --template; `foundry template --help` shows an example");
    FND_TRY(fnd_cli_need(&fnd_cli_template, "--messages", o->messages, err));
    return inputs > 1 ? fnd_fail(err, FND_ERR_USAGE, "only one of --template, --messages and --tools can be standard input") : FND_OK;
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    rendering r = { .o = options };
    (void)globals;
    FND_TRY(check(r.o, err));
    fnd_status status = render(&r, err);
    fnd_chat_prompt_free(&r.prompt);
    fnd_cli_template_inputs_free(&r.own);
    fnd_tokenizer_close(r.tokenizer);
    fnd_free_memory(r.messages);
    fnd_free_memory(r.tools);
    fnd_free_memory(r.variables);
    return status;
}

const fnd_cli_command fnd_cli_template = {
    .name = "template",
    .doc = "messages to the prompt that a chat template makes of them",
    .usage = "(--model F | --template FILE) --messages M.json [--tools T.json] [--template-var K=JSON]... [--no-generation-prompt]",
    .more = "The prompt is printed exactly, without a line break at its end. bos_token and eos_token are the\n"
            "model's; without a model, --template-var gives them. With --model and --template, the template\n"
            "is that of the file.",
    .example = "  foundry template --model model.gguf --messages messages.json --template-var enable_thinking=false\n"
               "  echo '[{\"role\": \"user\", \"content\": \"Hello\"}]' | foundry template --template chat.jinja --messages - --template-var 'bos_token=\"<s>\"'",
    .options = options_list,
    .options_bytes = sizeof(template_options),
    .run = run,
};
