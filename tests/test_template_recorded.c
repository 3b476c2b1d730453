/* test_template_recorded.c - templates beside what Jinja2 printed for them (tests/template/record.py), and
 * whose text is whose in all of them. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/process.h"
#include "foundry/chat.h"
#include "program.h"
#include "test.h"

#include <jansson.h>

static json_t *load(const char *name) {
    char path[128];
    json_error_t where;
    snprintf(path, sizeof path, "tests/template/%s", name);
    json_t *data = json_load_file(path, JSON_ALLOW_NUL, &where);
    CHECK_MSG(data != NULL, "%s: %s", path, where.text);
    return data;
}

typedef struct inputs {
    char *messages, *tools, *variables; /* NULL: none */
    bool generate;
} inputs;

static char *dump(const json_t *value) { return value ? json_dumps(value, JSON_ENCODE_ANY) : NULL; }

static void free_inputs(inputs *in) {
    free(in->messages);
    free(in->tools);
    free(in->variables);
    *in = (inputs){ 0 };
}

static fnd_status render(const char *template, size_t bytes, const inputs *in, fnd_chat_prompt *out, fnd_error *err) {
    fnd_chat_template *c;
    *out = (fnd_chat_prompt){ 0 };
    *err = (fnd_error){ 0 };
    FND_TRY(fnd_chat_template_open(template, bytes, &c, err));
    fnd_status status = fnd_chat_render(c, &(fnd_chat_desc){ .messages_json = in->messages, .tools_json = in->tools, .variables_json = in->variables, .no_generation_prompt = !in->generate }, out, err);
    fnd_chat_template_close(c);
    return status;
}

/* A JSON null stands for a template that is refused. */
static void check(const char *name, const char *template, size_t bytes, const inputs *in, const json_t *want) {
    fnd_chat_prompt prompt;
    fnd_error err;
    fnd_status status = render(template, bytes, in, &prompt, &err);
    if (json_is_null(want)) {
        CHECK_MSG(status != FND_OK, "%s\nprints \"%s\", should fail", name, prompt.text);
        if (status != FND_OK) CHECK_HAS(err.text, "line ");
    } else {
        bool same = status == FND_OK && prompt.bytes == json_string_length(want) && memcmp(prompt.text, json_string_value(want), prompt.bytes) == 0;
        CHECK_MSG(same, "%s\nprints \"%s\" (%s), expected \"%s\"", name, prompt.text, err.text, json_string_value(want));
    }
    fnd_chat_prompt_free(&prompt);
}

static void check_cases(const char *file, size_t at_least) {
    json_t *data = load(file), *one;
    size_t i;
    REQUIRE(data);
    inputs in = { .messages = dump(json_object_get(data, "messages")), .variables = dump(json_object_get(data, "variables")), .generate = true };
    CHECK(json_array_size(json_object_get(data, "cases")) >= at_least);
    json_array_foreach(json_object_get(data, "cases"), i, one) {
        json_t *template = json_object_get(one, "template");
        check(json_string_value(template), json_string_value(template), json_string_length(template), &in, json_object_get(one, "output"));
    }
    free_inputs(&in);
    json_decref(data);
}

TEST(template_prints_what_jinja2_prints) { check_cases("cases.json", 140); }
TEST(template_edges_print_what_jinja2_prints) { check_cases("edges.json", 150); }
TEST(template_random_ones_print_what_jinja2_prints) { check_cases("random.json", 500); }

/* Where Python has the Jinja2 that was recorded: it still prints that, and the program the same for templates that are new. */
TEST(template_prints_what_jinja2_prints_now) {
    static const char version[] = "import jinja2, sys; sys.exit(jinja2.__version__ != '3.1.6')";
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code = -1;
    NEED(program_there(), "the program is not built beside the tests");
    fnd_status status = fnd_process_run((const char *[]){ "python3", "-c", version, NULL }, NULL, 60, NULL, &code, &err);
    NEED(status == FND_OK && code == 0, "Python has no Jinja2 3.1.6");
    CHECK_OK(fnd_process_run((const char *[]){ "python3", "tests/template/record.py", "--check", NULL }, NULL, 300, &output, &code, &err), &err);
    CHECK_MSG(code == 0, "%s", fnd_text_get(&output));
    CHECK_OK(fnd_process_run((const char *[]){ "python3", "tests/template/random_templates.py", program_path(), "--count", "60", "--seed", "20261122", NULL }, NULL, 300, &output, &code, &err), &err);
    CHECK_MSG(code == 0, "%s", fnd_text_get(&output));
    fnd_text_free(&output);
}

/* ---- templates of models, over conversations ---- */

static inputs conversation_inputs(const json_t *c) {
    return (inputs){ .messages = dump(json_object_get(c, "messages")), .tools = dump(json_object_get(c, "tools")), .variables = dump(json_object_get(c, "variables")), .generate = !json_is_false(json_object_get(c, "generate")) };
}

typedef void each_template(const char *name, const char *text, size_t bytes, const json_t *conversation, const json_t *want);

static void for_each_template(each_template *each) {
    json_t *rendered = load("rendered.json"), *conversations = load("conversations.json"), *outputs, *want;
    const char *name, *which;
    REQUIRE(rendered && conversations);
    CHECK(json_object_size(rendered) >= 40);
    json_object_foreach(rendered, name, outputs) {
        char path[128], *text, title[300];
        size_t bytes;
        fnd_error err = { 0 };
        snprintf(path, sizeof path, "tests/template/templates/%s.jinja", name);
        fnd_status status = fnd_file_read(path, 1 << 20, &text, &bytes, &err);
        CHECK_OK(status, &err);
        if (status != FND_OK) continue;
        json_object_foreach(outputs, which, want) {
            snprintf(title, sizeof title, "%s over \"%s\"", path, which);
            each(title, text, bytes, json_object_get(conversations, which), want);
        }
        fnd_free_memory(text);
    }
    json_decref(rendered);
    json_decref(conversations);
}

static void check_conversation(const char *name, const char *text, size_t bytes, const json_t *conversation, const json_t *want) {
    inputs in = conversation_inputs(conversation);
    check(name, text, bytes, &in, want);
    free_inputs(&in);
}

TEST(template_of_models_print_what_jinja2_prints) { for_each_template(check_conversation); }

/* ---- whose text is it? ---- */

/* Letters of a user: for every ASCII letter one of Unicode's private ones, which no template writes. */
static json_t *privately(const json_t *value) {
    const char *key;
    json_t *member, *copy;
    size_t i;
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach(value, i, member) json_array_append_new(copy, privately(member));
        return copy;
    }
    if (json_is_object(value)) {
        copy = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            bool structure = strcmp(key, "role") == 0 || strcmp(key, "type") == 0 || strcmp(key, "id") == 0;
            json_object_set_new(copy, key, structure ? json_incref(member) : privately(member));
        }
        return copy;
    }
    if (!json_is_string(value)) return json_incref((json_t *)(uintptr_t)value);
    fnd_text text = { 0 };
    for (size_t k = 0; k < json_string_length(value); k++) {
        char c = json_string_value(value)[k];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        char private[3] = { (char)0xEE, (char)(0x80 | (c >> 6)), (char)(0x80 | (c & 0x3F)) };
        fnd_text_add(&text, letter ? private : &c, letter ? 3 : 1);
    }
    copy = json_stringn(fnd_text_get(&text), text.bytes);
    fnd_text_free(&text);
    return copy;
}

static bool is_private(const char *text, size_t bytes, size_t at) { return at + 1 < bytes && (unsigned char)text[at] == 0xEE && ((unsigned char)text[at + 1] & 0xFC) == 0x80; }

/* No private letter is in what is trusted; letters that are neither private nor an escape of one are in it.
 * Returns whether it rendered. */
static bool check_marks(const char *name, const char *template, size_t bytes, const inputs *in, bool complete) {
    fnd_chat_prompt prompt;
    fnd_error err;
    size_t next = 0;
    if (render(template, bytes, in, &prompt, &err) != FND_OK) return false;
    for (size_t i = 0; i < prompt.trusted_count; i++) {
        fnd_text_range range = prompt.trusted[i];
        for (size_t k = range.start; k < range.start + range.bytes; k++) CHECK_MSG(!is_private(prompt.text, prompt.bytes, k), "%s: what a user wrote is trusted at byte %zu of \"%s\"", name, k, prompt.text);
        for (size_t k = next; complete && k < range.start; k++) CHECK_MSG(prompt.text[k] != '<' || prompt.text[k + 1] != '|', "%s: a token of the template is not trusted at byte %zu of \"%s\"", name, k, prompt.text);
        next = range.start + range.bytes;
    }
    fnd_chat_prompt_free(&prompt);
    return true;
}

static size_t marks_checked;

static void check_conversation_marks(const char *name, const char *text, size_t bytes, const json_t *conversation, const json_t *want) {
    json_t *messages = privately(json_object_get(conversation, "messages")), *tools = json_object_get(conversation, "tools") ? privately(json_object_get(conversation, "tools")) : NULL;
    inputs in = conversation_inputs(conversation);
    (void)want;
    free(in.messages);
    free(in.tools);
    in.messages = dump(messages);
    in.tools = dump(tools);
    bool smuggles = strstr(name, "smuggler") != NULL;
    marks_checked += check_marks(name, text, bytes, &in, !smuggles);
    free_inputs(&in);
    json_decref(messages);
    json_decref(tools);
}

TEST(template_marks_what_users_wrote) {
    static const char *const files[] = { "cases.json", "edges.json", "random.json" };
    marks_checked = 0;
    for (size_t f = 0; f < FND_COUNT(files); f++) {
        json_t *data = load(files[f]), *one;
        size_t i;
        REQUIRE(data);
        json_t *variables = privately(json_object_get(data, "variables")), *messages = json_object_get(data, "messages") ? privately(json_object_get(data, "messages")) : NULL;
        inputs in = { .messages = dump(messages), .variables = dump(variables), .generate = true };
        json_array_foreach(json_object_get(data, "cases"), i, one) {
            json_t *template = json_object_get(one, "template");
            marks_checked += check_marks(json_string_value(template), json_string_value(template), json_string_length(template), &in, false);
        }
        free_inputs(&in);
        json_decref(variables);
        json_decref(messages);
        json_decref(data);
    }
    CHECK_MSG(marks_checked > 500, "only %zu templates rendered", marks_checked);
    for_each_template(check_conversation_marks);
    CHECK_MSG(marks_checked > 800, "only %zu templates rendered", marks_checked);
}
