/* test_cli_template.c - foundry template: exact prompts, and sentences for what is wrong. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "gguf_writer.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <jansson.h>

static const char not_built[] = "the program is not built beside the tests";

static const char *write_file(const char *name, const char *text, size_t bytes) {
    const char *path = program_temp(name);
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_write(path, text, bytes, &err), &err);
    return path;
}
#define TEXT_FILE(name, text) write_file(name, text, sizeof(text) - 1)

#define PRINTS(want, wanted_input, ...) \
    do { \
        program_result r_; \
        const char *const words_[] = { __VA_ARGS__, NULL }; \
        program_run_desc(&r_, &(program_desc){ .words = words_, .input = wanted_input }); \
        CHECK_MSG(r_.exit_code == 0, "exit code %d, %s", r_.exit_code, r_.err); \
        CHECK_STR(r_.out, want); \
        program_free(&r_); \
    } while (0)

TEST(cli_template_prints_prompts) {
    NEED(program_there(), not_built);
    const char *template = TEXT_FILE("t.jinja", "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{{ 'A:' if add_generation_prompt }}{{ x }}\n\n");
    const char *messages = TEXT_FILE("m.json", "[{\"role\": \"user\", \"content\": \"h\\u00e9\\n\"}]");
    const char *tools = TEXT_FILE("tools.json", "[{\"name\": \"f\"}]");
    PRINTS("<|user|>h\xc3\xa9\nA:\n", NULL, "template", "--template", template, "--messages", messages);
    PRINTS("<|user|>h\xc3\xa9\n\n", NULL, "template", "--template", template, "--messages", messages, "--no-generation-prompt");
    PRINTS("<|user|>h\xc3\xa9\n[{\"name\": \"f\"}]A:\n", NULL, "template", "--template", template, "--messages", messages, "--tools", tools);
    PRINTS("<s><|user|>h\xc3\xa9\nA:[1, 2.5, None]\n", NULL, "template", "--template", template, "--messages", messages, "--template-var", "bos_token=\"<s>\"", "--template-var=x=[1, 2.5, null]");
    PRINTS("<|a|>bA:\n", "[{\"role\": \"a\", \"content\": \"b\"}]", "template", "--template", template, "--messages", "-");
    PRINTS("4", "{{ 2 + 2 }}", "template", "--template", "-", "--messages", messages);
    program_result r;
    program_run(&r, (const char *const[]){ "template", "--help", NULL });
    CHECK_HAS(r.out, "--template-var K=JSON");
    program_free(&r);
}

/* Files as Windows' editors save them. */
TEST(cli_template_files_with_a_mark) {
    NEED(program_there(), not_built);
    static const char bom[] = "\xef\xbb\xbf";
    const char *template = TEXT_FILE("bom.jinja", "\xef\xbb\xbf{{ messages[0].content }}{{ tools | length }}"), *messages = TEXT_FILE("bom.json", "\xef\xbb\xbf[{\"role\": \"user\", \"content\": \"hi\"}]");
    const char *tools = TEXT_FILE("bom-tools.json", "\xef\xbb\xbf[{}]"), *wide = TEXT_FILE("wide.json", "\xff\xfe[\0]\0"), *blank = write_file("only-bom.jinja", bom, 3);
    PRINTS("hi1", NULL, "template", "--template", template, "--messages", messages, "--tools", tools);
    PRINTS("hi1", "\xef\xbb\xbf[{\"role\": \"user\", \"content\": \"hi\"}]", "template", "--template", template, "--messages", "-", "--tools", tools);
    PROGRAM_REFUSED(1, "wide.json is a text in UTF-16; save it as UTF-8", "template", "--template", template, "--messages", wide);
    PROGRAM_REFUSED(1, "wide.json is a text in UTF-16", "run", "--model", tiny_model(), "--prompt", "x", "--tools", wide);
    PROGRAM_REFUSED(1, "wide.json is a text in UTF-16", "run", "--model", tiny_model(), "--batch", wide);
    PROGRAM_REFUSED(1, "only-bom.jinja: the chat template is empty", "run", "--model", tiny_model(), "--prompt", "x", "--template", blank);
    program_result r;
    program_run(&r, (const char *const[]){ "tokenize", "--model", tiny_model(), "--file", messages, NULL });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "the text begins with a byte order mark, which is taken as a part of it");
    program_free(&r);
}

/* Without tensors: the vocabulary and the template are enough. */
TEST(cli_template_of_a_model) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    size_t bytes;
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_add_str(&w, "tokenizer.chat_template", "{{ messages[0].content }}{{ eos_token }}{{ mood }}");
    gguf_add_str(&w, "tokenizer.chat_template.tool_use", "{{ tools | length }} tools");
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    const char *model = write_file("template.gguf", (const char *)file, bytes);
    fnd_free_memory(file);
    const char *messages = TEXT_FILE("m2.json", "[{\"role\": \"user\", \"content\": \"hi\"}]"), *template = TEXT_FILE("t2.jinja", "[{{ eos_token }}]");
    PRINTS("hi<|end|>", NULL, "template", "--model", model, "--messages", messages);
    PRINTS("2 tools", NULL, "template", "--model", model, "--messages", messages, "--tools", TEXT_FILE("two.json", "[{}, {}]"));
    PRINTS("hi<|end|>{'a': True}", NULL, "template", "--model", model, "--messages", messages, "--template-var", "mood={\"a\": true}");
    PRINTS("[<|end|>]", NULL, "template", "--model", model, "--template", template, "--messages", messages);
}

TEST(cli_template_of_a_model_without_one) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    size_t bytes;
    gguf_add_byte_tokenizer(&w, "qwen2");
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    const char *model = write_file("no-template.gguf", (const char *)file, bytes);
    fnd_free_memory(file);
    PROGRAM_REFUSED(1, "no-template.gguf has no chat template (tokenizer.chat_template is missing): --template FILE gives it one", "template", "--model", model, "--messages", TEXT_FILE("m4.json", "[]"));
}

static char *answer_of(const char *const *words, const char *input) {
    program_result r;
    program_run_desc(&r, &(program_desc){ .words = words, .input = input });
    CHECK_MSG(r.exit_code == 0, "%s: %s", words[0], r.err);
    char *out = r.out;
    r.out = NULL;
    program_free(&r);
    return out;
}
#define ANSWER(input, ...) answer_of((const char *const[]){ __VA_ARGS__, "--max-tokens", "8", NULL }, input)

/* The template of a file serves a model that has none, and goes before the model's own: what run, chat and a batch say
 * is what they say to the prompt that it makes. */
TEST(cli_template_in_place_of_the_models) {
    NEED(program_there(), not_built);
    char model[1200], template[1200];
    snprintf(model, sizeof model, "%s", program_temp("lacks-template.gguf"));
    tiny_model_save_as(model, &(tiny_model_desc){ .context = 512, .lacks_template = true });
    snprintf(template, sizeof template, "%s", TEXT_FILE("own.jinja", "<|start|>[{{ messages[0].content }}]{{ mood }}<|end|>{% if tools %}{{ tools | length }}{% endif %}"));
    const char *batch = TEXT_FILE("own.jsonl", "{\"prompt\": \"hello\"}\n{\"prompt\": \"hello\", \"tools\": [{}]}\n");
    char *want = ANSWER(NULL, "run", "--model", model, "--raw", "--prompt", "<|start|>[hello]glad<|end|>"), *with_tools = ANSWER(NULL, "run", "--model", model, "--raw", "--prompt", "<|start|>[hello]glad<|end|>1");
    char *got[] = {
        ANSWER(NULL, "run", "--model", model, "--template", template, "--template-var", "mood=\"glad\"", "--prompt", "hello"),
        ANSWER("<|start|>[{{ messages[0].content }}]glad<|end|>", "run", "--model", tiny_model(), "--template", "-", "--prompt", "hello"),
        ANSWER("hello\n", "chat", "--model", model, "--quiet", "--template", template, "--template-var", "mood=\"glad\""),
    };
    CHECK(want[0] && strcmp(want, with_tools) != 0);
    for (size_t i = 0; i < FND_COUNT(got); i++) {
        if (i == 2 && got[i][0]) got[i][strlen(got[i]) - 1] = '\0'; /* chat ends the line */
        CHECK_STR(got[i], want);
        free(got[i]);
    }
    char *lines = ANSWER(NULL, "run", "--model", model, "--template", template, "--template-var", "mood=\"glad\"", "--batch", batch), *second = strchr(lines, '\n');
    REQUIRE(second);
    json_t *line[2] = { json_loads(lines, JSON_DISABLE_EOF_CHECK, NULL), json_loads(second + 1, JSON_DISABLE_EOF_CHECK, NULL) };
    for (int i = 0; i < 2; i++) {
        CHECK_STR(json_string_value(json_object_get(line[i], "text")), i ? with_tools : want);
        json_decref(line[i]);
    }
    free(lines);
    free(with_tools);
    free(want);
}

TEST(cli_template_missing_or_wrong_in_a_model) {
    NEED(program_there(), not_built);
    char model[1200], blank[1200];
    snprintf(model, sizeof model, "%s", program_temp("lacks-template.gguf"));
    snprintf(blank, sizeof blank, "%s", program_temp("blank-template.gguf"));
    tiny_model_save_as(model, &(tiny_model_desc){ .context = 512, .lacks_template = true });
    tiny_model_save_as(blank, &(tiny_model_desc){ .context = 512, .chat_template = " \n" });
    const char *batch = TEXT_FILE("one.jsonl", "{\"prompt\": \"hello\"}\n"), *messages = TEXT_FILE("m5.json", "[]"), *empty = TEXT_FILE("empty.jinja", " \n"), *wrong = TEXT_FILE("wrong2.jinja", "{{ x | frobnicate }}"), *raises = TEXT_FILE("raises2.jinja", "{{ raise_exception('no') }}");
    for (int i = 0; i < 2; i++) {
        const char *f = i ? blank : model, *why = i ? "has no chat template (tokenizer.chat_template is empty): --template FILE gives it one" : "has no chat template (tokenizer.chat_template is missing): --template FILE gives it one";
        PROGRAM_REFUSED(1, why, "run", "--model", f, "--prompt", "x");
        PROGRAM_REFUSED(1, why, "chat", "--model", f);
        PROGRAM_REFUSED(1, why, "template", "--model", f, "--messages", messages);
        program_result r;
        program_run(&r, (const char *const[]){ "run", "--model", f, "--batch", batch, NULL });
        CHECK(r.exit_code == 1);
        CHECK_HAS(r.out, why);
        program_free(&r);
    }
    PROGRAM_REFUSED(1, "empty.jinja: the chat template is empty", "run", "--model", model, "--prompt", "x", "--template", empty);
    PROGRAM_REFUSED(1, "the prompt has no tokens: the chat template makes nothing of it", "run", "--model", model, "--prompt", "x", "--template", TEXT_FILE("nothing.jinja", "{# nothing #}"));
    PROGRAM_REFUSED(1, "wrong2.jinja: chat template, line 1, column 8: the filter", "chat", "--model", model, "--template", wrong);
    PROGRAM_REFUSED(1, "raises2.jinja: chat template, line 1, column 19: raise_exception() refuses", "run", "--model", model, "--prompt", "x", "--template", raises);
    PROGRAM_REFUSED(1, "no-such.jinja", "run", "--model", model, "--batch", batch, "--template", "no-such.jinja");
    PROGRAM_REFUSED(2, "--raw uses no template, so --template says nothing", "run", "--model", model, "--raw", "--prompt", "x", "--template", wrong);
    PROGRAM_REFUSED(2, "only one of --prompt-file and --template can be standard input", "run", "--model", model, "--prompt-file", "-", "--template", "-");
    PROGRAM_REFUSED(2, "only one of --template and --tools can be standard input", "run", "--model", model, "--prompt", "x", "--template", "-", "--tools", "-");
    PROGRAM_REFUSED(2, "--template needs a file: standard input has the messages", "chat", "--model", model, "--template", "-");
}

TEST(cli_template_refuses) {
    NEED(program_there(), not_built);
    const char *template = TEXT_FILE("wrong.jinja", "a\n  {{ x | frobnicate }}"), *fine = TEXT_FILE("fine.jinja", "x"), *raises = TEXT_FILE("raises.jinja", "{{ raise_exception('no') }}");
    const char *messages = TEXT_FILE("m3.json", "[]"), *broken = TEXT_FILE("broken.json", "[{\n\"role\": }]"), *zero = TEXT_FILE("zero.json", "[]\0[]"), *object = TEXT_FILE("object.json", "{}");
    char *deep = fnd_alloc_zeroed(1, 3001);
    REQUIRE(deep);
    memset(deep, '[', 1500);
    memset(deep + 1500, ']', 1500);
    const char *nested = write_file("deep.json", deep, 3000);
    memset(deep, '[', 3000);
    const char *open = write_file("open.json", deep, 3000);
    fnd_free_memory(deep);
    PROGRAM_REFUSED(2, "needs --model or --template", "template", "--messages", messages);
    PROGRAM_REFUSED(2, "needs --messages", "template", "--template", fine);
    PROGRAM_REFUSED(2, "only one of", "template", "--template", "-", "--messages", "-");
    PROGRAM_REFUSED(1, "wrong.jinja: chat template, line 2, column 10: the filter \"frobnicate\" is not known here", "template", "--template", template, "--messages", messages);
    PROGRAM_REFUSED(1, "raises.jinja: chat template, line 1, column", "template", "--template", raises, "--messages", messages);
    PROGRAM_REFUSED(1, "broken.json: the JSON of the messages is malformed at line 2, column ", "template", "--template", fine, "--messages", broken);
    PROGRAM_REFUSED(1, "zero byte", "template", "--template", fine, "--messages", zero);
    PROGRAM_REFUSED(1, "object.json: the JSON of the messages must be an array", "template", "--template", fine, "--messages", object);
    PROGRAM_REFUSED(1, "object.json: the JSON of the tools must be an array", "template", "--template", fine, "--messages", messages, "--tools", object);
    PROGRAM_REFUSED(1, "deep.json: the JSON of the messages is nested more than 200 deep", "template", "--template", fine, "--messages", nested);
    PROGRAM_REFUSED(1, "open.json: the JSON of the messages is malformed", "template", "--template", fine, "--messages", open);
    program_result r;
    program_run_desc(&r, &(program_desc){ .words = (const char *const[]){ "template", "--template", fine, "--messages", "-", NULL }, .input = "[" });
    program_refused(&r, 1, "standard input: the JSON of the messages is malformed", __FILE__, __LINE__);
    PROGRAM_REFUSED(1, "nothing-there.json", "template", "--template", fine, "--messages", "nothing-there.json");
    PROGRAM_REFUSED(2, "--template-var needs NAME=JSON, not 'x'", "template", "--template", fine, "--messages", messages, "--template-var", "x");
    PROGRAM_REFUSED(2, "--template-var needs NAME=JSON", "template", "--template", fine, "--messages", messages, "--template-var", "1x=2");
    PROGRAM_REFUSED(2, "a text needs its quotes: x='\"text\"'", "template", "--template", fine, "--messages", messages, "--template-var", "x=hello");
}
