/* chat.c - messages in, prompt out: what a chat template sees, and what becomes of its text. */
#include "foundry/chat.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/template_tree.h"

#include <jansson.h>

struct fnd_chat_template {
    tpl_tree tree;
};

enum { JSON_DEPTH = 200 };

/* ---- templates ---- */

fnd_status fnd_chat_template_open(const char *text, size_t bytes, fnd_chat_template **out, fnd_error *err) {
    *out = NULL;
    fnd_chat_template *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a chat template");
    fnd_status status = fnd_tpl_parse(text, bytes, &c->tree, err);
    if (status != FND_OK) {
        fnd_free_memory(c);
        return status;
    }
    *out = c;
    return FND_OK;
}

static fnd_status open_value(const fnd_gguf *g, const char *key, fnd_chat_template **out, fnd_error *err) {
    fnd_span text = { 0 };
    *out = NULL;
    FND_TRY(fnd_gguf_get_str(g, key, &text, err));
    return fnd_chat_template_open(text.data, text.bytes, out, err);
}

static const char main_key[] = "tokenizer.chat_template", tools_key[] = "tokenizer.chat_template.tool_use";

/* True also of what is no string: that has its own sentence. */
static bool holds_text(const fnd_gguf *g, const char *key) {
    const fnd_gguf_value *value = fnd_gguf_find(g, key);
    if (!value || value->type != FND_GGUF_STRING) return value != NULL;
    fnd_span text = fnd_gguf_string(value);
    size_t blank = 0;
    while (blank < text.bytes && memchr(" \t\r\n", text.data[blank], 4)) blank++;
    return blank < text.bytes;
}

bool fnd_chat_template_in_gguf(const fnd_gguf *g, bool for_tools) { return holds_text(g, main_key) || (for_tools && holds_text(g, tools_key)); }

fnd_status fnd_chat_template_from_gguf(const fnd_gguf *g, fnd_chat_template **out, fnd_error *err) {
    *out = NULL;
    if (!holds_text(g, main_key)) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s has no chat template (%s is %s); open one of your own, or give the model a raw prompt instead", fnd_gguf_path(g), main_key, fnd_gguf_find(g, main_key) ? "empty" : "missing");
    }
    return open_value(g, main_key, out, err);
}

fnd_status fnd_chat_template_for_tools(const fnd_gguf *g, fnd_chat_template **out, fnd_error *err) {
    return holds_text(g, tools_key) ? open_value(g, tools_key, out, err) : fnd_chat_template_from_gguf(g, out, err);
}

void fnd_chat_template_close(fnd_chat_template *c) {
    if (!c) return;
    fnd_tpl_tree_free(&c->tree);
    fnd_free_memory(c);
}

/* ---- variables ---- */

typedef struct inputs {
    tpl_run run; /* for making values; nothing runs in it */
    tpl_dict variables;
    json_t *parsed[4]; /* strings of values point into these */
    size_t parsed_count;
} inputs;

static fnd_status new_text(inputs *in, const char *data, size_t bytes, uint8_t mark, tpl_value *out) {
    return fnd_tpl_new_str(&in->run, (tpl_str){ .data = data ? data : "", .bytes = bytes, .mark = mark }, out);
}

static fnd_status set_variable(inputs *in, tpl_dict *dict, const char *name, const tpl_value *value) {
    tpl_value key;
    FND_TRY(new_text(in, name, strlen(name), TPL_FROM_TEMPLATE, &key));
    return fnd_tpl_dict_set(&in->run, dict, &key, value);
}

static fnd_status convert(inputs *in, const char *what, json_t *json, unsigned depth, tpl_value *out);

static fnd_status convert_object(inputs *in, const char *what, json_t *json, unsigned depth, tpl_value *out) {
    const char *name;
    json_t *member;
    size_t i = 0;
    FND_TRY(fnd_tpl_new_dict(&in->run, json_object_size(json), out));
    /* Names in an object are different: they need no search. */
    json_object_foreach(json, name, member) {
        FND_TRY(new_text(in, name, strlen(name), TPL_FROM_VARIABLE, &out->dict->keys[i]));
        FND_TRY(convert(in, what, member, depth + 1, &out->dict->values[i]));
        out->dict->count = ++i;
    }
    return FND_OK;
}

static fnd_status convert(inputs *in, const char *what, json_t *json, unsigned depth, tpl_value *out) {
    if (depth > JSON_DEPTH) return fnd_fail(in->run.err, FND_ERR_LIMIT, "the JSON of the %s is nested more than %d deep", what, JSON_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return convert_object(in, what, json, depth, out);
    case JSON_ARRAY:
        FND_TRY(fnd_tpl_new_list(&in->run, json_array_size(json), TPL_LIST, out));
        for (size_t i = 0; i < out->list->count; i++) FND_TRY(convert(in, what, json_array_get(json, i), depth + 1, &out->list->items[i]));
        return FND_OK;
    case JSON_STRING:
        return new_text(in, json_string_value(json), json_string_length(json), TPL_FROM_VARIABLE, out);
    case JSON_INTEGER:
        *out = fnd_tpl_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = fnd_tpl_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = fnd_tpl_bool(json_is_true(json));
        break;
    default:
        *out = fnd_tpl_none();
    }
    out->mark = TPL_FROM_VARIABLE;
    return FND_OK;
}

/* A JSON text as a value; none without one. */
static fnd_status parse_json(inputs *in, const char *what, const char *text, bool object, tpl_value *out) {
    *out = fnd_tpl_none();
    if (!text) return FND_OK;
    json_error_t where;
    json_t *json = json_loads(text, JSON_ALLOW_NUL | JSON_DECODE_ANY, &where);
    if (!json) return fnd_fail(in->run.err, FND_ERR_FORMAT, "the JSON of the %s is malformed at line %d, column %d: %s", what, where.line, where.column, where.text);
    in->parsed[in->parsed_count++] = json;
    if (object ? !json_is_object(json) : !json_is_array(json)) return fnd_fail(in->run.err, FND_ERR_TYPE, "the JSON of the %s must be an %s", what, object ? "object" : "array");
    return convert(in, what, json, 0, out);
}

static fnd_status convert_messages(inputs *in, const fnd_chat_desc *desc, tpl_value *out) {
    if (desc->messages_json) return parse_json(in, "messages", desc->messages_json, false, out);
    FND_TRY(fnd_tpl_new_list(&in->run, desc->message_count, TPL_LIST, out));
    for (size_t i = 0; i < desc->message_count; i++) {
        const fnd_chat_message *m = &desc->messages[i];
        tpl_value role, content;
        size_t bytes = m->content_bytes || !m->content ? m->content_bytes : strlen(m->content);
        if (!m->role) return fnd_fail(in->run.err, FND_ERR_USAGE, "message %zu has no role", i);
        FND_TRY(fnd_tpl_new_dict(&in->run, 2, &out->list->items[i]));
        FND_TRY(new_text(in, m->role, strlen(m->role), TPL_FROM_VARIABLE, &role));
        FND_TRY(new_text(in, m->content, bytes, TPL_FROM_VARIABLE, &content));
        FND_TRY(set_variable(in, out->list->items[i].dict, "role", &role));
        FND_TRY(set_variable(in, out->list->items[i].dict, "content", &content));
    }
    return FND_OK;
}

static fnd_status set_token(inputs *in, const fnd_tokenizer *t, const char *name, int32_t id) {
    tpl_value value;
    if (id < 0) return FND_OK;
    fnd_span text = fnd_token_text(t, (uint32_t)id);
    FND_TRY(new_text(in, text.data, text.bytes, TPL_FROM_TEMPLATE, &value));
    return set_variable(in, &in->variables, name, &value);
}

/* Names of the model's own tokens are as good as template text, also where the caller gives them. */
static bool is_token_name(const tpl_str *name) {
    static const char *const names[] = { "bos_token", "eos_token", "pad_token", "unk_token" };
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        if (name->bytes == strlen(names[i]) && memcmp(name->data, names[i], name->bytes) == 0) return true;
    }
    return false;
}

static fnd_status set_own(inputs *in, const fnd_chat_desc *desc) {
    tpl_value own;
    FND_TRY(parse_json(in, "variables", desc->variables_json, true, &own));
    for (size_t i = 0; own.kind == TPL_DICT && i < own.dict->count; i++) {
        tpl_value *value = &own.dict->values[i];
        if (is_token_name(own.dict->keys[i].str) && value->kind == TPL_STR) FND_TRY(new_text(in, value->str->data, value->str->bytes, TPL_FROM_TEMPLATE, value));
        FND_TRY(fnd_tpl_dict_set(&in->run, &in->variables, &own.dict->keys[i], value));
    }
    return FND_OK;
}

static fnd_status set_variables(inputs *in, const fnd_chat_desc *desc) {
    tpl_value messages, tools, documents, generate = fnd_tpl_bool(!desc->no_generation_prompt);
    FND_TRY(convert_messages(in, desc, &messages));
    FND_TRY(parse_json(in, "tools", desc->tools_json, false, &tools));
    FND_TRY(parse_json(in, "documents", desc->documents_json, false, &documents));
    FND_TRY(set_variable(in, &in->variables, "messages", &messages));
    FND_TRY(set_variable(in, &in->variables, "tools", &tools));
    FND_TRY(set_variable(in, &in->variables, "documents", &documents));
    FND_TRY(set_variable(in, &in->variables, "add_generation_prompt", &generate));
    if (desc->tokenizer) {
        const fnd_tokenizer_info *info = fnd_tokenizer_get_info(desc->tokenizer);
        FND_TRY(set_token(in, desc->tokenizer, "bos_token", info->bos));
        FND_TRY(set_token(in, desc->tokenizer, "eos_token", info->eos));
    }
    return set_own(in, desc);
}

/* ---- rendering ---- */

static fnd_status find_trusted(const tpl_builder *text, fnd_chat_prompt *out, fnd_error *err) {
    size_t count = 0;
    for (size_t i = 0; i < text->bytes; i++) count += text->marks[i] == TPL_FROM_TEMPLATE && (i == 0 || text->marks[i - 1] != TPL_FROM_TEMPLATE);
    out->trusted = fnd_alloc_zeroed(count, sizeof *out->trusted);
    if (!out->trusted) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a prompt");
    for (size_t i = 0; i < text->bytes; i++) {
        if (text->marks[i] != TPL_FROM_TEMPLATE) continue;
        if (i == 0 || text->marks[i - 1] != TPL_FROM_TEMPLATE) out->trusted[out->trusted_count++].start = i;
        out->trusted[out->trusted_count - 1].bytes++;
    }
    return FND_OK;
}

static fnd_status render(const fnd_chat_template *c, const fnd_chat_desc *desc, inputs *in, fnd_chat_prompt *out) {
    tpl_builder text = { 0 };
    FND_TRY(set_variables(in, desc));
    FND_TRY(fnd_tpl_render(&c->tree, &in->variables, in->run.arena, &text, in->run.err));
    out->text = fnd_alloc_string(text.data, text.bytes);
    if (!out->text) return fnd_fail(in->run.err, FND_ERR_MEMORY, "out of memory for a prompt");
    out->bytes = text.bytes;
    return find_trusted(&text, out, in->run.err);
}

fnd_status fnd_chat_render(const fnd_chat_template *c, const fnd_chat_desc *desc, fnd_chat_prompt *out, fnd_error *err) {
    *out = (fnd_chat_prompt){ 0 };
    fnd_arena arena = { .limit_bytes = TPL_MEMORY_LIMIT };
    inputs in = { .run = { .arena = &arena, .err = err } };
    fnd_status status = render(c, desc, &in, out);
    if (status != FND_OK) fnd_chat_prompt_free(out);
    for (size_t i = 0; i < in.parsed_count; i++) json_decref(in.parsed[i]);
    fnd_arena_free(&arena);
    return status;
}

void fnd_chat_prompt_free(fnd_chat_prompt *prompt) {
    fnd_free_memory(prompt->text);
    fnd_free_memory(prompt->trusted);
    *prompt = (fnd_chat_prompt){ 0 };
}

fnd_status fnd_chat_tokenize(const fnd_tokenizer *t, const fnd_chat_prompt *prompt, unsigned flags, fnd_ids *ids, fnd_error *err) {
    return fnd_tokenize_trusted(t, prompt->text, prompt->bytes, prompt->trusted, prompt->trusted_count, flags & FND_TOKENIZE_LOSSY, ids, err);
}
