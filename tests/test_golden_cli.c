/* test_golden_cli.c - generate.json both ways that tests/golden/README.md says, through the command line
 * as a user would: the prompt continued by `run --raw`, and the reference's tokens fed to `logits --every`. */
#include "base/base.h"
#include "base/text.h"
#include "golden.h"
#include "program.h"
#include "test.h"

static bool succeeded(const program_result *r) {
    CHECK_MSG(r->exit_code == 0, "exit code %d: %s", r->exit_code, r->err);
    return r->exit_code == 0;
}

static void check_text(const char *model, const json_t *chat) {
    const char *prompt = json_string_value(json_object_get(chat, "prompt")), *sure = json_string_value(json_object_get(chat, "sure_text"));
    program_result r;
    program_run(&r, (const char *const[]){ "run", "--model", model, "--raw", "--prompt", prompt, "--temperature", "0", "--max-tokens", "48", NULL });
    if (succeeded(&r)) CHECK_MSG(strncmp(r.out, sure, strlen(sure)) == 0, "got \"%s\", want it to begin with \"%s\"", r.out, sure);
    program_free(&r);
}

static void add_ids(const json_t *ids, fnd_text *out) {
    size_t i;
    json_t *id;
    json_array_foreach(ids, i, id) fnd_text_printf(out, "%s%lld", out->bytes ? "," : "", (long long)json_integer_value(id));
}

static long long first_choice(const json_t *tops) { return (long long)json_integer_value(json_object_get(json_array_get(tops, 0), "id")); }

static void check_choices(const char *model, const json_t *chat) {
    const json_t *ids = json_object_get(chat, "ids"), *margins = json_object_get(chat, "margins"), *prompt = json_object_get(chat, "prompt_ids");
    size_t before = json_array_size(prompt), i;
    json_t *id;
    fnd_text list = { 0 };
    program_result r;
    json_error_t where;
    add_ids(prompt, &list);
    add_ids(ids, &list);
    program_run(&r, (const char *const[]){ "logits", "--model", model, "--ids", fnd_text_get(&list), "--every", "--top", "1", "--json", NULL });
    json_t *every = succeeded(&r) ? json_loads(r.out, 0, &where) : NULL;
    CHECK_MSG(json_array_size(every) == before + json_array_size(ids), "%zu positions of %zu", json_array_size(every), before + json_array_size(ids));
    json_array_foreach(ids, i, id) {
        long long choice = first_choice(json_array_get(every, before - 1 + i));
        if (json_number_value(json_array_get(margins, i)) > 1.0) CHECK_MSG(choice == json_integer_value(id), "step %zu: token %lld", i, choice);
    }
    json_decref(every);
    program_free(&r);
    fnd_text_free(&list);
}

static void check_generation(int model) {
    const char *path = golden_model_file(model);
    size_t i;
    json_t *chat;
    NEED(path, "no model: make test-models names one");
    NEED(program_there(), "the program is not built beside the tests");
    json_t *file = golden_json(model, "generate.json");
    json_array_foreach(file, i, chat) {
        check_text(path, chat);
        check_choices(path, chat);
    }
    json_decref(file);
}

TEST(golden_smollm2_by_the_command_line) { check_generation(GOLDEN_SMOLLM2); }
TEST(golden_qwen_by_the_command_line) { check_generation(GOLDEN_QWEN); }

/* A byte that the vocabulary cannot spell is no answer to something else. */
TEST(golden_smollm2_bytes_without_a_token) {
    const char *path = golden_model_file(GOLDEN_SMOLLM2);
    NEED(path, "no model: make test-models names one");
    NEED(program_there(), "the program is not built beside the tests");
    program_result r;
    program_run(&r, (const char *const[]){ "run", "--model", path, "--raw", "--prompt", "caf\xe9 \xfe", "--max-tokens", "1", NULL });
    CHECK_MSG(r.exit_code == 1 && r.out_bytes == 0, "exit code %d: %s", r.exit_code, r.err);
    CHECK_HAS(r.err, "foundry: the text is not valid UTF-8 from byte 3 on; its bytes are taken as they are\n");
    CHECK_HAS(r.err, "foundry: the byte 0xfe at offset 5 of the text has no token in this model's vocabulary; remove it\n");
    program_free(&r);
}
