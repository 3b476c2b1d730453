/* template_inputs.c - the template of --template or of the model, with --template-var and --tools. */
#include "cli/template_inputs.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/text.h"

#include <jansson.h>

/* ---- names of files ---- */

fnd_status fnd_cli_name_file(const char *path, fnd_status status, fnd_error *err) {
    char text[FND_ERROR_TEXT_BYTES], shown[200];
    if (status == FND_OK || !path) return status;
    memcpy(text, err->text, sizeof text);
    *err = (fnd_error){ 0 };
    return fnd_fail(err, status, "%s: %s", fnd_cli_file_name(path, shown, sizeof shown), text);
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

fnd_status fnd_cli_name_template(const char *path, fnd_status status, fnd_error *err) {
    return begins(err->text, "chat template") || begins(err->text, "the chat template") ? fnd_cli_name_file(path, status, err) : status;
}

/* ---- options ---- */

static bool is_input(const char *file) { return file && strcmp(file, "-") == 0; }

fnd_status fnd_cli_template_check(const fnd_cli_template_options *o, bool raw, const char *taken, fnd_error *err) {
    const struct {
        const char *name;
        bool given, input;
    } options[] = { { "--template", o->file, is_input(o->file) }, { "--tools", o->tools, is_input(o->tools) }, { "--template-var", o->variables.count, false } };
    for (size_t i = 0; i < FND_COUNT(options); i++) {
        if (raw && options[i].given) return fnd_fail(err, FND_ERR_USAGE, "--raw uses no template, so %s says nothing", options[i].name);
        if (!options[i].input) continue;
        if (taken && taken[0] != '-') return fnd_fail(err, FND_ERR_USAGE, "%s needs a file: standard input has %s", options[i].name, taken);
        if (taken) return fnd_fail(err, FND_ERR_USAGE, "only one of %s and %s can be standard input", taken, options[i].name);
        taken = options[i].name;
    }
    return FND_OK;
}

/* ---- tools ---- */

static fnd_status check_tools(const char *path, const char *text, fnd_error *err) {
    json_error_t where;
    char shown[200];
    const char *name = fnd_cli_file_name(path, shown, sizeof shown);
    json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (!json) return fnd_fail(err, FND_ERR_FORMAT, "%s: the JSON of the tools is malformed at line %d, column %d: %s", name, where.line, where.column, where.text);
    bool array = json_is_array(json);
    json_decref(json);
    return array ? FND_OK : fnd_fail(err, FND_ERR_TYPE, "%s: the JSON of the tools must be an array", name);
}

static bool has_word(fnd_span text, const char *word) {
    size_t bytes = strlen(word);
    for (size_t i = 0; i + bytes <= text.bytes; i++) {
        if (memcmp(text.data + i, word, bytes) == 0) return true;
    }
    return false;
}

/* True also where that cannot be known. */
static bool model_speaks_of_tools(const fnd_gguf *g) {
    const fnd_gguf_value *value = fnd_gguf_find(g, "tokenizer.chat_template");
    if (!value || value->type != FND_GGUF_STRING || fnd_gguf_find(g, "tokenizer.chat_template.tool_use")) return true;
    return has_word(fnd_gguf_string(value), "tools");
}

/* ---- templates ---- */

enum { TEMPLATE_BYTES = 1 << 20 };

fnd_status fnd_cli_template_open(const char *path, fnd_chat_template **out, char **text, size_t *bytes, fnd_error *err) {
    *out = NULL;
    FND_TRY(fnd_file_read_text(path, TEMPLATE_BYTES, text, bytes, err));
    fnd_status status = fnd_cli_name_template(path, fnd_chat_template_open(*text, *bytes, out, err), err);
    if (status == FND_OK) return FND_OK;
    fnd_free_memory(*text);
    *text = NULL;
    return status;
}

/* One that says nothing would leave nothing to answer. */
static fnd_status open_file(fnd_cli_template_inputs *in, bool *speaks_of_tools, fnd_error *err) {
    char *text, shown[200];
    size_t bytes, blank = 0;
    FND_TRY(fnd_cli_template_open(in->file, &in->templates[0], &text, &bytes, err));
    while (blank < bytes && memchr(" \t\r\n", text[blank], 4)) blank++;
    *speaks_of_tools = has_word((fnd_span){ text, bytes }, "tools");
    fnd_free_memory(text);
    return blank < bytes ? FND_OK : fnd_fail(err, FND_ERR_FORMAT, "%s: the chat template is empty", fnd_cli_file_name(in->file, shown, sizeof shown));
}

fnd_status fnd_cli_template_get(fnd_cli_template_inputs *in, bool tools, fnd_chat_template **out, fnd_error *err) {
    fnd_chat_template **place = &in->templates[tools && !in->file];
    char shown[200];
    const char *path = fnd_gguf_path(in->model);
    if (!*place && !fnd_chat_template_in_gguf(in->model, tools)) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s has no chat template (tokenizer.chat_template is %s): --template FILE gives it one, `foundry run --raw` does without", fnd_span_quote((fnd_span){ path, strlen(path) }, shown, sizeof shown),
                        fnd_gguf_find(in->model, "tokenizer.chat_template") ? "empty" : "missing");
    }
    if (!*place) FND_TRY(tools ? fnd_chat_template_for_tools(in->model, place, err) : fnd_chat_template_from_gguf(in->model, place, err));
    *out = *place;
    return FND_OK;
}

/* ---- all of it ---- */

fnd_status fnd_cli_template_inputs_read(const fnd_cli_template_options *o, const fnd_gguf *model, fnd_cli_template_inputs *out, fnd_error *err) {
    bool speaks_of_tools = !o->file && model_speaks_of_tools(model);
    *out = (fnd_cli_template_inputs){ .file = o->file, .model = model };
    FND_TRY(fnd_cli_template_vars(&o->variables, &out->variables, err));
    if (o->file) FND_TRY(open_file(out, &speaks_of_tools, err));
    if (!o->tools) return FND_OK;
    FND_TRY(fnd_cli_read_json(o->tools, &out->tools, err));
    FND_TRY(check_tools(o->tools, out->tools, err));
    if (!speaks_of_tools) fnd_cli_note("%s chat template makes nothing of tools: --tools changes nothing", o->file ? "this" : "the model's");
    return FND_OK;
}

void fnd_cli_template_inputs_free(fnd_cli_template_inputs *in) {
    for (size_t i = 0; i < FND_COUNT(in->templates); i++) fnd_chat_template_close(in->templates[i]);
    fnd_free_memory(in->variables);
    fnd_free_memory(in->tools);
    *in = (fnd_cli_template_inputs){ .file = NULL };
}
