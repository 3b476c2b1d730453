/* test_cli_batch.c - run --batch: lines in, lines out, in order; what is wrong with one line is said and costs
 * no other. And bench --batch. */
#include "base/base.h"
#include "base/file.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <jansson.h>
#include <stdlib.h>

static const char not_built[] = "the program is not built beside the tests";
enum { LINES = 16 };

#define RUN(r, ...) program_run(r, (const char *const[]){ __VA_ARGS__, NULL })

/* A file of lines, among the tests' temporary files. */
static const char *file_of(const char *name, const char *text) {
    fnd_error err = { 0 };
    const char *path = program_temp(name);
    CHECK_OK(fnd_file_write(path, text, strlen(text), &err), &err);
    return path;
}

/* Every line of standard output as JSON; how many there are. */
static size_t parse_lines(const program_result *r, json_t *lines[LINES]) {
    size_t count = 0;
    for (const char *p = r->out; *p && count < LINES; count++) {
        const char *end = strchr(p, '\n');
        json_error_t where;
        CHECK_MSG(end != NULL, "the last line has no end: %s", p);
        if (!end) break;
        lines[count] = json_loadb(p, (size_t)(end - p), JSON_ALLOW_NUL, &where);
        CHECK_MSG(lines[count] != NULL, "%s: %.*s", where.text, (int)(end - p), p);
        p = end + 1;
    }
    return count;
}

static void free_lines(json_t *lines[LINES], size_t count) {
    for (size_t i = 0; i < count; i++) json_decref(lines[i]);
}

static json_int_t whole(const json_t *line, const char *key) { return json_integer_value(json_object_get(line, key)); }
static const char *text_of(const json_t *line, const char *key) {
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "(none)";
}

/* Seconds and speeds as one run has them; the first token comes when weights and kernels are there. */
static void check_timings(const json_t *line, const json_t *alone) {
    const char *key;
    const json_t *all = json_object_get(line, "timings"), *value;
    json_object_foreach(json_object_get(alone, "timings"), key, value) {
        const json_t *here = json_object_get(all, key);
        CHECK_MSG(json_is_real(here) && json_real_value(here) >= 0, "%s is missing or wrong", key);
    }
    double first = json_real_value(json_object_get(all, "first_token_s")), ready = json_real_value(json_object_get(all, "weights_s")) + json_real_value(json_object_get(all, "kernels_s"));
    CHECK_MSG(first > ready && ready > 0, "the first token after %g s, weights and kernels after %g s", first, ready);
}

/* What the line answers is what one run answers. */
static void check_alone(const json_t *line, const char *const *words) {
    program_result r;
    json_error_t where;
    program_run(&r, words);
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *alone = json_loads(r.out, JSON_ALLOW_NUL, &where);
    CHECK_MSG(alone && json_equal(json_object_get(alone, "tokens"), json_object_get(line, "tokens")), "\"%s\" instead of \"%s\"", text_of(line, "text"), text_of(alone, "text"));
    CHECK_STR(text_of(line, "text"), text_of(alone, "text"));
    CHECK_STR(text_of(line, "stop_reason"), text_of(alone, "stop_reason"));
    check_timings(line, alone);
    CHECK(json_equal(json_object_get(alone, "seed"), json_object_get(line, "seed")) && whole(alone, "prompt_tokens") == whole(line, "prompt_tokens"));
    json_decref(alone);
    program_free(&r);
}
#define CHECK_ALONE(line, ...) check_alone(line, (const char *const[]){ "run", "--json", "--model", tiny_model(), __VA_ARGS__, NULL })

TEST(cli_batch_answers_in_the_order_of_the_lines) {
    NEED(program_there(), not_built);
    program_result r;
    json_t *lines[LINES];
    const char *file = file_of("prompts.jsonl", "{\"prompt\": \"hello\", \"max_tokens\": 30}\n"
                                                "\n"
                                                "{\"prompt\": \"a longer one\", \"id\": [1, \"x\"], \"system\": \"be brief\"}\r\n"
                                                "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}], \"max_tokens\": 4, \"id\": null}\n"
                                                "  {\"prompt\": \"drawn\", \"temperature\": 1.5, \"top_k\": 30, \"seed\": 11}\n"
                                                "{\"prompt\": \"continue\", \"raw\": true, \"stop\": [\"zz\"], \"max_tokens\": 9}\n"
                                                "{\"prompt\": \"pen\", \"repeat_penalty\": 1.4, \"presence_penalty\": 0.5, \"repeat_last_n\": 20, \"top_p\": 1}");
    RUN(&r, "run", "--model", tiny_model(), "--batch", file, "--parallel", "3", "--max-tokens", "7");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    size_t count = parse_lines(&r, lines);
    CHECK_MSG(count == 6, "%zu lines: %s", count, r.out);
    if (count == 6) {
        static const json_int_t at[] = { 1, 3, 4, 5, 6, 7 };
        for (size_t i = 0; i < 6; i++) CHECK(whole(lines[i], "line") == at[i] && !json_object_get(lines[i], "error"));
        CHECK(json_array_size(json_object_get(lines[1], "id")) == 2 && json_is_null(json_object_get(lines[2], "id")) && !json_object_get(lines[0], "id"));
        CHECK_ALONE(lines[0], "--prompt", "hello", "--max-tokens", "30");
        CHECK_ALONE(lines[1], "--prompt", "a longer one", "--system", "be brief", "--max-tokens", "7");
        CHECK_ALONE(lines[2], "--prompt", "hello", "--max-tokens", "4");
        CHECK_ALONE(lines[3], "--prompt", "drawn", "--temperature", "1.5", "--top-k", "30", "--seed", "11", "--max-tokens", "7");
        CHECK_ALONE(lines[4], "--prompt", "continue", "--raw", "--stop", "zz", "--max-tokens", "9");
        CHECK_ALONE(lines[5], "--prompt", "pen", "--repeat-penalty", "1.4", "--presence-penalty", "0.5", "--repeat-last-n", "20", "--max-tokens", "7");
    }
    CHECK_HAS(r.err, "6 prompts answered, 3 at a time: ");
    free_lines(lines, count);
    program_free(&r);
}

/* Tools of the command are those of every line that has none of its own. */
TEST(cli_batch_takes_tools) {
    NEED(program_there(), not_built);
    program_result r;
    json_t *lines[LINES];
    char tools[1200];
    snprintf(tools, sizeof tools, "%s", file_of("batch-tools.json", "[{\"name\": \"weather\"}]"));
    const char *file = file_of("tools.jsonl", "{\"prompt\": \"hello\"}\n{\"prompt\": \"hello\", \"tools\": [{\"name\": \"weather\"}]}\n{\"prompt\": \"hello\", \"raw\": true}\n");
    for (int with = 0; with < 2; with++) {
        RUN(&r, "run", "--model", tiny_model(), "--max-tokens", "3", "--batch", file, with ? "--tools" : NULL, tools);
        CHECK_MSG(r.exit_code == 0, "%s", r.err);
        size_t count = parse_lines(&r, lines);
        CHECK_MSG(count == 3, "%zu lines: %s", count, r.out);
        if (count == 3) {
            if (with)
                CHECK_ALONE(lines[0], "--prompt", "hello", "--max-tokens", "3", "--tools", tools);
            else
                CHECK_ALONE(lines[0], "--prompt", "hello", "--max-tokens", "3");
            CHECK_ALONE(lines[1], "--prompt", "hello", "--max-tokens", "3", "--tools", tools);
            CHECK_ALONE(lines[2], "--prompt", "hello", "--max-tokens", "3", "--raw");
        }
        free_lines(lines, count);
        program_free(&r);
    }
    PROGRAM_REFUSED(2, "--raw uses no template, so --tools says nothing", "run", "--model", tiny_model(), "--batch", file, "--raw", "--tools", tools);
    PROGRAM_REFUSED(2, "only one of --batch and --tools can be standard input", "run", "--model", tiny_model(), "--batch", "-", "--tools", "-");
    PROGRAM_REFUSED(2, "only one of --prompt and --tools can be standard input", "run", "--model", tiny_model(), "--prompt", "-", "--tools", "-");
    PROGRAM_REFUSED(1, "no-such-tools.json", "run", "--model", tiny_model(), "--batch", file, "--tools", "no-such-tools.json");
}

TEST(cli_batch_says_what_is_wrong_with_a_line) {
    NEED(program_there(), not_built);
    program_result r;
    json_t *lines[LINES];
    const char *const words[] = { "run", "--model", tiny_model(), "--batch", "-", "--max-tokens", "3", "--context", "64", "--raw", "--logprobs", "1", NULL };
    const char *input = "{\"prompt\": \"fine\"}\n"
                        "{\"prompt\": \n"
                        "[1]\n"
                        "{\"prompt\": \"x\", \"temprature\": 1, \"id\": 4}\n"
                        "{\"prompt\": \"x\", \"temperature\": \"hot\"}\n"
                        "{\"prompt\": \"x\", \"max_tokens\": 0}\n"
                        "{\"prompt\": \"x\", \"top_k\": 1.5}\n"
                        "{\"prompt\": \"x\", \"seed\": -1}\n"
                        "{\"prompt\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n"
                        "{\"prompt\": \"\"}\n"
                        "{\"system\": \"x\"}\n"
                        "{\"prompt\": \"x\", \"messages\": [{\"role\": \"user\"}]}\n"
                        "{\"prompt\": \"x\", \"stop\": [\"\"]}\n"
                        "{\"prompt\": \"a\", \"prompt\": \"b\"}\n"
                        "{\"messages\": [7]}\n"
                        "{\"prompt\": \"also fine\", \"temperature\": 1}\n";
    static const char *const says[LINES] = { NULL, "no JSON object, from byte ", "no JSON object, as {", "\"temprature\" is not known; these are: prompt, messages", "\"temperature\" must be a number from 0 to 100",
                                             "\"max_tokens\" must be a whole number from 1 to", "\"top_k\" must be a whole number", "\"seed\" must be a whole number from 0", "the prompt has 76 tokens, but the context holds 64",
                                             "the \"prompt\" is empty", "there is no \"prompt\"", "one of them", "\"stop\" must be a text", "duplicate object key", "\"messages\" must be a list of objects", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = input });
    CHECK_MSG(r.exit_code == 1, "%d: %s", r.exit_code, r.err);
    size_t count = parse_lines(&r, lines);
    CHECK_MSG(count == LINES, "%zu lines: %s", count, r.out);
    for (size_t i = 0; i < count; i++) {
        char where[64];
        CHECK(whole(lines[i], "line") == (json_int_t)i + 1);
        CHECK_MSG((json_object_get(lines[i], "error") != NULL) == (says[i] != NULL), "line %zu: %s", i + 1, text_of(lines[i], "error"));
        if (!says[i]) CHECK(json_array_size(json_object_get(lines[i], "logprobs")) == 3);
        if (!says[i]) continue;
        CHECK_HAS(text_of(lines[i], "error"), says[i]);
        snprintf(where, sizeof where, "foundry: standard input, line %zu: ", i + 1);
        CHECK_HAS(r.err, where);
    }
    CHECK_HAS(r.err, "foundry: standard input: 14 of 16 lines could not be answered\n");
    free_lines(lines, count);
    program_free(&r);
}

/* A seed has 64 bits, as --seed has; what is no UTF-8 is said once, with its line. */
TEST(cli_batch_seeds_and_bytes) {
    NEED(program_there(), not_built);
    program_result r;
    const char *file = file_of("seeds.jsonl", "{\"prompt\": \"\\\"seed\\\": 7\", \"seed\": 18446744073709551615, \"id\": {\"seed\": 1}}\n"
                                              "{\"id\": [{\"seed\": 2}], \"seed\" :\t9223372036854775808 , \"prompt\": \"seed\"}\n"
                                              "{\"prompt\": \"x\", \"seed\": 18446744073709551616}\n{\"prompt\": \"x\", \"seed\": 1.5}\n{\"prompt\": \"x\", \"seed\": 1e3}\n"
                                              "{\"prompt\": \"x\", \"seed\": \"9\"}\n{\"prompt\": \"x\", \"seed\": 9223372036854775807}\n{\"prompt\": \"x\xff\"}\n");
    RUN(&r, "run", "--model", tiny_model(), "--batch", file, "--max-tokens", "2", "--temperature", "1", "--seed", "5");
    CHECK_MSG(r.exit_code == 1, "%d: %s", r.exit_code, r.err);
    for (int line = 3; line < 7; line++) {
        char says[128];
        snprintf(says, sizeof says, "{\"line\": %d, \"error\": \"\\\"seed\\\" must be a whole number from 0 to 18446744073709551615\"}", line);
        CHECK_HAS(r.out, says);
    }
    CHECK_HAS(r.out, "{\"line\": 8, \"error\": \"no JSON object, from byte ");
    CHECK_HAS(r.out, "\"line\": 1, \"id\": {\"seed\": 1}");
    CHECK_HAS(r.out, "\"seed\": 18446744073709551615");
    CHECK_HAS(r.out, "\"seed\": 9223372036854775808");
    CHECK_HAS(r.out, "\"seed\": 9223372036854775807");
    CHECK(!strstr(r.err, "taken as they are"));
    program_free(&r);
}

/* An id comes back as it is written, whatever JSON libraries make of its numbers; also with what is wrong with its line. */
TEST(cli_batch_ids_come_back) {
    NEED(program_there(), not_built);
    program_result r;
    static const char *const ids[] = { "0.1", "1e3", "-0", "1.10", "18446744073709551616", "[0.1,  {\"id\": 0.3, \"b\": \"}, ]\"}]", "\"\\u00e9/\\/\"", "\"\xc3\xa9\"", "null", "true" };
    char text[2048] = "\xef\xbb\xbf", says[256]; /* the mark of a file is none of its first line's */
    for (size_t i = 0; i < FND_COUNT(ids); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, i % 2 ? "{\"prompt\": \"id\", \"\\u0069d\" :\t%s }\n" : "{\"id\":%s, \"prompt\": \"x\", \"max_tokens\": 2}\n", ids[i]);
    }
    strcat(text, "{\"id\": 0.7, \"prompt\": \"\"}\n{\"id\": 0.7 0.8, \"prompt\": \"x\"}\n{\"prompt\": \"x\", \"id\": {\"a\": 1, \"a\": 2}}\n\xef\xbb\xbf{\"prompt\": \"x\"}\n");
    RUN(&r, "run", "--model", tiny_model(), "--max-tokens", "1", "--batch", file_of("ids.jsonl", text));
    CHECK_MSG(r.exit_code == 1, "%d: %s", r.exit_code, r.err);
    for (size_t i = 0; i < FND_COUNT(ids); i++) {
        snprintf(says, sizeof says, "{\"line\": %zu, \"id\": %s, \"text\": ", i + 1, ids[i]);
        CHECK_HAS(r.out, says);
    }
    CHECK_HAS(r.out, "{\"line\": 11, \"id\": 0.7, \"error\": \"the \\\"prompt\\\" is empty");
    CHECK_HAS(r.out, "{\"line\": 12, \"error\": \"no JSON object, from byte 14 on: ");
    CHECK_HAS(r.out, "{\"line\": 13, \"error\": \"no JSON object, from byte ");
    CHECK_HAS(r.out, "{\"line\": 14, \"error\": \"no JSON object: it begins with a byte order mark, which can stand at the start of a file only\"}");
    program_free(&r);
}

/* Options that one prompt has too. */
TEST(cli_batch_notes_and_shifts) {
    NEED(program_there(), not_built);
    program_result r;
    const char *file = file_of("short.jsonl", "{\"prompt\": \"x\", \"max_tokens\": 3}\n");
    RUN(&r, "run", "--model", tiny_model(), "--batch", file, "--system", "be \xff");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "the system message is not valid UTF-8 from byte 3 on; its bytes are taken as they are");
    program_free(&r);
    RUN(&r, "run", "--model", tiny_model(), "--batch", file, "--context-shift", "--keep", "100");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    program_free(&r);
    PROGRAM_REFUSED(2, "--keep: 500 tokens cannot be kept", "run", "--model", tiny_model(), "--batch", file, "--context-shift", "--keep", "500");
}

TEST(cli_batch_wrong_use) {
    NEED(program_there(), not_built);
    program_result r;
    const char *good = file_of("good.jsonl", "{\"prompt\": \"x\"}\n");
    PROGRAM_REFUSED(2, "run takes --prompt or --batch, not both", "run", "--model", tiny_model(), "--batch", good, "--prompt", "x");
    PROGRAM_REFUSED(2, "--lookup checks several tokens", "run", "--model", tiny_model(), "--batch", good, "--lookup");
    PROGRAM_REFUSED(1, "no-such-file", "run", "--model", tiny_model(), "--batch", "no-such-file");
    PROGRAM_REFUSED(2, "has no prompts", "run", "--model", tiny_model(), "--batch", file_of("blank.jsonl", "\n  \n\r\n"));
    PROGRAM_REFUSED(2, "--parallel", "run", "--model", tiny_model(), "--batch", good, "--parallel", "65");
    PROGRAM_REFUSED(2, "--context 513 is more", "run", "--model", tiny_model(), "--batch", good, "--context", "513");
    RUN(&r, "run", "--model", tiny_model(), "--batch", file_of("bad.jsonl", "nothing\n"));
    CHECK_MSG(r.exit_code == 1, "%s", r.err);
    CHECK_HAS(r.out, "{\"line\": 1, \"error\": \"no JSON object");
    CHECK_HAS(r.err, "none of its 1 line can be answered");
    CHECK_MSG(!strstr(r.err, "reading weights"), "%s", r.err);
    program_free(&r);
}

/* Lines that are answered are there; none of the others is half there. */
TEST(cli_batch_interrupted_shows_what_is_whole) {
    NEED(program_there(), not_built);
    program_result r;
    json_t *lines[LINES];
    const char *file = file_of("long.jsonl", "{\"prompt\": \"a\", \"max_tokens\": 2}\n{\"prompt\": \"c\", \"max_tokens\": 400}\n"
                                             "{\"prompt\": \"d\", \"max_tokens\": 400}\n{\"prompt\": \"e\", \"max_tokens\": 400}\n{\"prompt\": \"f\", \"max_tokens\": 400}\n");
    const char *const words[] = { "run", "--model", tiny_model(), "--batch", file, "--parallel", "2", "--context", "480", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .interrupt = true });
    CHECK_MSG(r.exit_code == 130, "%d: %s", r.exit_code, r.err);
    size_t count = parse_lines(&r, lines);
    CHECK_MSG(count >= 1 && count < 5, "%zu lines: %s", count, r.out);
    for (size_t i = 0; i < count; i++) CHECK(strcmp(text_of(lines[i], "stop_reason"), "interrupted") != 0);
    CHECK_HAS(r.err, "foundry: interrupted\n");
    CHECK_HAS(r.err, " of 5 prompts are answered\n");
    free_lines(lines, count);
    program_free(&r);
}

/* A bar, which goes before a line is printed. */
TEST(cli_batch_on_a_terminal) {
    NEED(program_there(), not_built);
    program_result r;
    const char *file = file_of("bar.jsonl", "{\"prompt\": \"a\", \"max_tokens\": 200}\n{\"prompt\": \"b\", \"max_tokens\": 5}\n{\"prompt\": \"c\", \"max_tokens\": 150}\n");
    const char *const words[] = { "run", "--model", tiny_model(), "--batch", file, "--parallel", "2", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .output = PROGRAM_TERMINAL });
    CHECK_MSG(r.exit_code == 0, "%d: %s", r.exit_code, r.out);
    CHECK_HAS(r.out, "\r\033[Kanswering [");
    CHECK_HAS(r.out, " of 3 prompts, ");
    const char *first = strstr(r.out, "{\"line\": 1");
    CHECK_MSG(first && first > r.out && (first[-1] == 'K' || first[-1] == '\n'), "%s", r.out);
    CHECK(strstr(r.out, "{\"line\": 3") > strstr(r.out, "{\"line\": 2"));
    program_free(&r);
}

TEST(cli_bench_batch) {
    NEED(program_there(), not_built);
    program_result r;
    json_error_t where;
    RUN(&r, "bench", "--model", tiny_model(), "--batch", "4,2", "--tokens", "3", "--repeat", "2", "--depth", "5", "--json");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *json = json_loads(r.out, 0, &where), *list = json_object_get(json, "batch");
    CHECK_MSG(json_array_size(list) == 3, "%s: %s", where.text, r.out);
    for (size_t i = 0; i < 3 && json_array_size(list) == 3; i++) {
        static const json_int_t sizes[] = { 1, 2, 4 };
        const json_t *row = json_array_get(list, i);
        CHECK(whole(row, "sequences") == sizes[i] && json_number_value(json_object_get(row, "step_ms")) > 0 && json_number_value(json_object_get(row, "speedup")) > 0);
    }
    json_decref(json);
    program_free(&r);
    RUN(&r, "bench", "--model", tiny_model(), "--batch", "2", "--tokens", "2", "--repeat", "1");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "batch  2 ");
    program_free(&r);
    PROGRAM_REFUSED(2, "--batch needs numbers from 1 to 64", "bench", "--model", tiny_model(), "--batch", "2,,4");
    PROGRAM_REFUSED(2, "--batch needs numbers from 1 to 64", "bench", "--model", tiny_model(), "--batch", "65");
    PROGRAM_REFUSED(2, "not both", "bench", "--model", tiny_model(), "--batch", "2", "--roofline", "x.svg");
}
