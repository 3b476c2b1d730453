/* test_cli_model.c - the program with a model: what it prints, and what ends it. */
#include "backend/cpu/baked.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char not_built[] = "the program is not built beside the tests";

static json_t *parsed(const program_result *r) {
    json_error_t where;
    json_t *json = json_loads(r->out, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    CHECK_MSG(json != NULL, "%s: %.200s", where.text, r->out);
    return json;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    CHECK_MSG(json_is_number(value), "%s is missing or no number", key);
    return json_number_value(value);
}

#define RUN(r, ...) program_run(r, (const char *const[]){ __VA_ARGS__, NULL })

/* ---- run ---- */

TEST(cli_run_prints_only_the_answer) {
    NEED(program_there(), not_built);
    program_result a, b;
    RUN(&a, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8");
    RUN(&b, "run", "--max-tokens=8", "--prompt=hello", "--model", tiny_model());
    CHECK_MSG(a.exit_code == 0, "%s", a.err);
    CHECK(a.out_bytes > 0 && !strstr(a.out, "foundry"));
    CHECK_STR(b.out, a.out);
    CHECK_HAS(a.err, "tok/s");
    CHECK_HAS(a.err, "stopped after 8 tokens");
    program_free(&b);
    RUN(&b, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--system", "be brief");
    CHECK_MSG(b.exit_code == 0, "%s", b.err);
    program_free(&a);
    program_free(&b);
}

/* Notes begin a line of their own where they follow the answer, and never touch standard output. */
TEST(cli_run_notes_stand_on_lines_of_their_own) {
    NEED(program_there(), not_built);
    program_result apart, both;
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", NULL };
    program_run_desc(&apart, &(program_desc){ .words = words });
    program_run_desc(&both, &(program_desc){ .words = words, .output = PROGRAM_BOTH });
    CHECK_MSG(apart.exit_code == 0 && both.exit_code == 0, "%s", apart.err);
    CHECK(apart.out_bytes && apart.out[apart.out_bytes - 1] != '\n'); /* the answer as it is */
    CHECK(strncmp(apart.err, "foundry: ", 9) == 0);                   /* no empty line before */
    char *answer = strstr(both.out, apart.out);
    REQUIRE(answer != NULL);
    CHECK_MSG(strncmp(answer + apart.out_bytes, "\nfoundry: ", 10) == 0, "%s", both.out);
    CHECK(!strstr(both.out, "\n\nfoundry: "));
    program_free(&apart);
    program_free(&both);
}

/* On a terminal progress is one line that is taken away again, and the answer ends its line. */
TEST(cli_run_on_a_terminal) {
    NEED(program_there(), not_built);
    program_result apart, r;
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", NULL };
    program_run_desc(&apart, &(program_desc){ .words = words });
    program_run_desc(&r, &(program_desc){ .words = words, .output = PROGRAM_TERMINAL });
    CHECK_MSG(r.exit_code == 0, "%d: %s", r.exit_code, r.out);
    const char *progress = strstr(r.out, "\r\033[Kreading"), *answer = strstr(r.out, apart.out);
    CHECK_MSG(progress != NULL, "no line of progress: %s", r.out);
    REQUIRE(answer != NULL);
    CHECK(progress < answer && !strstr(answer, "reading"));
    CHECK_MSG(answer >= r.out + 4 && memcmp(answer - 4, "\r\033[K", 4) == 0, "the line of progress was left behind: %s", r.out);
    CHECK_MSG(answer[apart.out_bytes] == '\n' && strstr(answer, "\nfoundry: "), "notes do not begin a line of their own: %s", answer);
    CHECK(!strstr(r.out, "foundry: reading")); /* no plain lines */
    program_free(&apart);
    program_free(&r);
}

TEST(cli_run_reads_the_prompt_from_a_file) {
    NEED(program_there(), not_built);
    program_result a, b;
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "-", "--raw", "--max-tokens", "8", NULL };
    program_run_desc(&a, &(program_desc){ .words = words, .input = "hello world" });
    RUN(&b, "run", "--model", tiny_model(), "--prompt", "hello world", "--raw", "--max-tokens", "8");
    CHECK_MSG(a.exit_code == 0, "%s", a.err);
    CHECK_STR(a.out, b.out);
    program_free(&a);
    program_free(&b);
    PROGRAM_REFUSED(1, "no-such-prompt", "run", "--model", tiny_model(), "--prompt-file", "no-such-prompt");
}

TEST(cli_run_seed_repeats) {
    NEED(program_there(), not_built);
    program_result a, b;
    RUN(&a, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "12", "--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.01", "--seed", "7");
    RUN(&b, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "12", "--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--min-p", "0.01", "--seed", "7");
    CHECK_MSG(a.exit_code == 0, "%s", a.err);
    CHECK_STR(a.out, b.out);
    program_free(&a);
    program_free(&b);
    RUN(&a, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "4", "--temperature", "1");
    CHECK_HAS(a.err, "--seed");
    program_free(&a);
}

/* The smallest --top-p leaves the most likely token, as --top-k 1 does. */
TEST(cli_run_top_p_of_nothing) {
    NEED(program_there(), not_built);
    program_result greedy, r;
    RUN(&greedy, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8");
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--temperature", "5", "--top-p", "0");
    CHECK_STR(r.out, greedy.out);
    program_free(&r);
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--temperature", "5", "--top-k", "1");
    CHECK_STR(r.out, greedy.out);
    program_free(&r);
    program_free(&greedy);
}

TEST(cli_run_context_ends) {
    NEED(program_there(), not_built);
    program_result r;
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello world", "--raw", "--context", "24");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "the context of 24 tokens is full");
    program_free(&r);
    PROGRAM_REFUSED(1, "the prompt has 5 tokens, but the context holds 4", "run", "--model", tiny_model(), "--raw", "--context", "4", "--prompt", "xyzab");
    PROGRAM_REFUSED(2, "--context 513 is more", "run", "--model", tiny_model(), "--context", "513", "--prompt", "x");
}

TEST(cli_windows_that_end_the_context) {
    NEED(program_there(), not_built);
    program_result r;
    char path[1200];
    snprintf(path, sizeof path, "%s", program_temp("window.gguf"));
    tiny_model_save_as(path, &(tiny_model_desc){ .context = 512, .window = 64 });
    RUN(&r, "run", "--model", path, "--prompt", "x", "--raw", "--max-tokens", "1");
    CHECK_HAS(r.err, "foundry: the context ends at 64 tokens, not at the 512 that the file says: there this model's window of attention would begin to slide");
    program_free(&r);
    RUN(&r, "run", "--model", path, "--prompt", "x", "--raw", "--max-tokens", "1", "--context", "32");
    CHECK_MSG(r.exit_code == 0 && !strstr(r.err, "window"), "%s", r.err);
    program_free(&r);
    PROGRAM_REFUSED(2, "--context 65 is more than this model has been made for (64, where its attention would begin to slide)", "run", "--model", path, "--prompt", "x", "--context", "65");
    PROGRAM_REFUSED(1, "has 70 tokens, but the context holds 64, where its attention would begin to slide", "logits", "--model", path, "--prompt", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    RUN(&r, "inspect", path);
    CHECK_HAS(r.out, "context           64, not 512 as the file says: there the sliding window of attention would begin\n");
    program_free(&r);
}

TEST(cli_prompts_empty_and_not_utf8) {
    NEED(program_there(), not_built);
    program_result r;
    PROGRAM_REFUSED(2, "the prompt is empty", "run", "--model", tiny_model(), "--prompt", "");
    PROGRAM_REFUSED(2, "the prompt is empty", "run", "--model", tiny_model(), "--prompt", "", "--raw");
    PROGRAM_REFUSED(2, "the prompt is empty", "logits", "--model", tiny_model(), "--prompt", "");
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "a\xff\xc3", "--raw", "--max-tokens", "4");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "not valid UTF-8 from byte 1 on");
    program_free(&r);
    RUN(&r, "run", "--help");
    CHECK_HAS(r.out, "Bytes of a prompt that are not UTF-8 are taken as they\nare, with a note");
    program_free(&r);
}

TEST(cli_run_interrupted) {
    NEED(program_there(), not_built);
    tiny_model_save(program_temp("long.gguf"), 1 << 20);
    program_result r;
    const char *words[] = { "run", "--model", program_temp("long.gguf"), "--prompt", "hello", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .interrupt = true });
    CHECK_MSG(r.exit_code == 130, "%d: %s", r.exit_code, r.err);
    CHECK(r.out_bytes > 0);
    CHECK_HAS(r.err, "foundry: interrupted\n");
    CHECK_HAS(r.err, "tok/s");
    program_free(&r);
}

TEST(cli_run_output_closed_or_full) {
    NEED(program_there(), not_built);
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "hello", NULL };
    static const struct {
        program_output output;
        const char *part;
    } bad[] = { { PROGRAM_CLOSED, "standard output is closed" }, { PROGRAM_FULL, "cannot write to standard output" }, { PROGRAM_NO_READER, "standard output was closed by whoever read it" } };
    for (size_t i = 0; i < FND_COUNT(bad); i++) {
        program_result r;
        program_run_desc(&r, &(program_desc){ .words = words, .output = bad[i].output });
        CHECK_MSG(r.exit_code == 1, "%d: %s", r.exit_code, r.err);
        CHECK_HAS(r.err, bad[i].part);
        program_free(&r);
    }
}

/* ---- the cache ---- */

TEST(cli_cache_that_cannot_be_used) {
    NEED(program_there(), not_built);
    fnd_error err = { 0 };
    program_result good, r;
    RUN(&good, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8");
    CHECK_OK(fnd_file_write(program_temp("no-folder"), "x", 1, &err), &err);
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--cache-dir", program_temp("no-folder"));
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "compiled kernels are not kept on disk");
    CHECK_STR(r.out, good.out);
    program_free(&r);
    program_free(&good);
}

TEST(cli_run_compiles_when_asked) {
    NEED(program_there(), not_built);
    char dir[FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    program_result r;
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "2", "--cache-dir", dir, "--compile");
    CHECK_MSG(r.exit_code == 0 && !strstr(r.err, "(0 compiled"), "%s", r.err);
    CHECK_HAS(r.err, "first token after");
    program_free(&r);
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "2", "--cache-dir", dir, "--context", "100");
    CHECK_MSG(r.exit_code == 0 && strstr(r.err, "(0 compiled"), "%s", r.err);
    program_free(&r);
    fnd_process_remove_dir(dir);
}

/* A compiler that never ends: the answer comes from the kernels of the library, and the program ends
 * with it, leaving no process, no folder and nothing in the cache. */
TEST(cli_does_not_wait_for_the_compiler) {
    NEED(program_there(), not_built);
    NEED(fnd_baked_kernel_count > 0, "no kernels are compiled into this build");
    char script[2 * FND_PROCESS_PATH_BYTES], temp[FND_PROCESS_PATH_BYTES], cache[FND_PROCESS_PATH_BYTES + 8], pid_text[32];
    fnd_error err = { 0 };
    program_result r;
    CHECK_OK(fnd_process_temp_dir(temp, &err), &err);
    snprintf(cache, sizeof cache, "%s.cache", temp);
    int bytes = snprintf(script, sizeof script, "#!/bin/sh\ncase \"$*\" in *--version*) echo 'cc 1.0' ;; *) echo $$ > %s.pid ; sleep 1000 ;; esac\n", temp);
    CHECK_OK(fnd_file_write(program_temp("slow-cc"), script, (size_t)bytes, &err), &err);
    CHECK(chmod(program_temp("slow-cc"), 0700) == 0);
    setenv("TMPDIR", temp, 1);
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "200", "--cache-dir", cache, "--compiler", program_temp("slow-cc"));
    unsetenv("TMPDIR");
    CHECK_MSG(r.exit_code == 0, "%d: %s", r.exit_code, r.err);
    CHECK(r.out_bytes > 0 && !strstr(r.err, "ended before"));
    CHECK_MSG(rmdir(temp) == 0, "something was left in %s", temp);
    CHECK_MSG(rmdir(cache) == 0, "something was left in %s", cache);
    snprintf(script, sizeof script, "%s.pid", temp);
    FILE *f = fopen(script, "r");
    if (f && fgets(pid_text, sizeof pid_text, f)) CHECK_MSG(kill(atoi(pid_text), 0) != 0, "the compiler still runs");
    if (f) fclose(f);
    unlink(script);
    program_free(&r);
}

/* ---- figures ---- */

TEST(cli_logits) {
    NEED(program_there(), not_built);
    program_result r;
    double sum = 0, before = INFINITY;
    size_t i;
    json_t *item;
    RUN(&r, "logits", "--model", tiny_model(), "--prompt", "hello<|end|>x", "--top", "1000", "--json");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *top = parsed(&r);
    CHECK(json_array_size(top) == TINY_MODEL_VOCAB);
    json_array_foreach(top, i, item) {
        CHECK(json_is_integer(json_object_get(item, "id")) && json_is_string(json_object_get(item, "text")));
        CHECK(number(item, "logit") <= before);
        before = number(item, "logit");
        sum += exp(number(item, "logprob"));
    }
    CHECK_MSG(fabs(sum - 1) < 1e-5, "probabilities add up to %g", sum);
    program_free(&r);
    RUN(&r, "logits", "--model", tiny_model(), "--ids", "261, 256,120", "--top", "3", "--json", "--every");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *every = parsed(&r);
    CHECK(json_array_size(every) == 3 && json_array_size(json_array_get(every, 0)) == 3);
    CHECK(number(json_array_get(json_array_get(every, 2), 0), "id") == number(json_array_get(top, 0), "id"));
    program_free(&r);
    RUN(&r, "logits", "--model", tiny_model(), "--prompt", "x", "--top", "3");
    CHECK(r.exit_code == 0 && r.out_bytes > 0);
    program_free(&r);
    json_decref(top);
    json_decref(every);
    PROGRAM_REFUSED(2, "token 270", "logits", "--model", tiny_model(), "--ids", "1,270");
}

/* BOS is put before what run --raw, logits and perplexity are given exactly when the file says so. */
TEST(cli_bos_as_the_file_says) {
    NEED(program_there(), not_built);
    tiny_model_save_as(program_temp("tiny-bos.gguf"), &(tiny_model_desc){ .context = 512, .has_bos = true });
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_write(program_temp("xyz.txt"), "xyz", 3, &err), &err);
    for (int bos = 0; bos < 2; bos++) {
        const char *model = bos ? program_temp("tiny-bos.gguf") : tiny_model();
        program_result r, same;
        RUN(&r, "run", "--model", model, "--raw", "--prompt", "xyz", "--max-tokens", "1");
        CHECK_HAS(r.err, bos ? "prompt: 4 tokens" : "prompt: 3 tokens");
        program_free(&r);
        RUN(&r, "perplexity", "--model", model, "--file", program_temp("xyz.txt"), "--json");
        CHECK_HAS(r.out, bos ? "{\"tokens\": 4, \"scored\": 3," : "{\"tokens\": 3, \"scored\": 2,");
        program_free(&r);
        RUN(&r, "logits", "--model", model, "--prompt", "xyz", "--json", "--every");
        RUN(&same, "logits", "--model", model, "--ids", bos ? "257,120,121,122" : "120,121,122", "--json", "--every");
        CHECK(r.exit_code == 0 && r.out_bytes > 0);
        CHECK_STR(r.out, same.out);
        program_free(&r);
        program_free(&same);
    }
}

TEST(cli_perplexity) {
    NEED(program_there(), not_built);
    fnd_error err = { 0 };
    program_result r;
    double nll = 0;
    size_t i;
    json_t *item;
    CHECK_OK(fnd_file_write(program_temp("text.txt"), "hello world, hello", 18, &err), &err);
    RUN(&r, "perplexity", "--model", tiny_model(), "--file", program_temp("text.txt"), "--json", "--per-token");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *all = parsed(&r), *logprobs = json_object_get(all, "logprobs");
    program_free(&r);
    CHECK(json_array_size(logprobs) + 1 == (size_t)number(all, "tokens") && json_array_size(logprobs) > 3);
    json_array_foreach(logprobs, i, item) nll -= json_number_value(item) / (double)json_array_size(logprobs);
    CHECK(fabs(nll - number(all, "nll_per_token")) < 1e-5 && fabs(exp(nll) / number(all, "ppl") - 1) < 1e-5);
    json_decref(all);
    RUN(&r, "perplexity", "--model", tiny_model(), "--file", program_temp("text.txt"), "--json");
    CHECK(r.exit_code == 0 && !strstr(r.out, "logprobs"));
    program_free(&r);
    CHECK_OK(fnd_file_write(program_temp("one.txt"), "x", 1, &err), &err);
    PROGRAM_REFUSED(1, "at least 2", "perplexity", "--model", tiny_model(), "--file", program_temp("one.txt"));
    char many[700];
    memset(many, 'x', sizeof many);
    CHECK_OK(fnd_file_write(program_temp("many.txt"), many, sizeof many, &err), &err);
    PROGRAM_REFUSED(1, "has 700 tokens, but the context holds 512", "perplexity", "--model", tiny_model(), "--file", program_temp("many.txt"));
}

/* What can be refused is refused before the weights are read (see model_asks_before_it_reads_weights). */
TEST(cli_refuses_before_it_loads) {
    NEED(program_there(), not_built);
    fnd_error err = { 0 };
    char many[700];
    memset(many, 'x', sizeof many);
    CHECK_OK(fnd_file_write(program_temp("many.txt"), many, sizeof many, &err), &err);
    CHECK_OK(fnd_file_write(program_temp("none.txt"), "", 0, &err), &err);
    const char *f = tiny_model();
    PROGRAM_REFUSED(1, "none.txt is empty", "perplexity", "--model", "no-such-model", "--file", program_temp("none.txt"));
    PROGRAM_REFUSED(1, "700 tokens, but the context holds 512", "perplexity", "--model", f, "--file", program_temp("many.txt"));
    PROGRAM_REFUSED(1, "the prompt has 700 tokens", "run", "--model", f, "--raw", "--prompt-file", program_temp("many.txt"));
    PROGRAM_REFUSED(2, "--context 513 is more", "run", "--model", f, "--context", "513", "--prompt", "x");
    PROGRAM_REFUSED(2, "--kv-type q4_0: keys and values are kept as f16, f32 or q8_0", "run", "--model", f, "--kv-type", "q4_0", "--prompt", "x");
    PROGRAM_REFUSED(2, "--repack maybe: weights are repacked (on)", "run", "--model", f, "--repack", "maybe", "--prompt", "x");
    PROGRAM_REFUSED(1, "weights cannot be repacked for", "bench", "--model", f, "--isa", "generic", "--repack", "on");
    PROGRAM_REFUSED(2, "token 270", "logits", "--model", f, "--ids", "1,270");
    PROGRAM_REFUSED(2, "more than this model's context", "bench", "--model", f, "--prompt-tokens", "513");
    PROGRAM_REFUSED(2, "more than this model's context", "profile", "--model", f, "--prompt-tokens", "512", "--tokens", "1");
}

TEST(cli_inspect) {
    NEED(program_there(), not_built);
    program_result r;
    RUN(&r, "inspect", tiny_model(), "--json");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *all = parsed(&r);
    CHECK_STR(json_string_value(json_object_get(all, "name")), "tiny \"model\"");
    CHECK(number(all, "layers") == 2 && number(all, "context_length") == 512);
    CHECK(number(all, "bytes_per_token") > 0);
    CHECK(json_array_size(json_object_get(all, "formats")) == 2 && json_array_size(json_object_get(all, "tensors")) == 20);
    json_decref(all);
    program_free(&r);
    RUN(&r, "inspect", tiny_model());
    CHECK_HAS(r.out, "bytes per token");
    program_free(&r);
}

static void check_tokenizer(const char *path, const char *pre, bool assumed, bool bos, bool bos_assumed) {
    program_result r;
    RUN(&r, "inspect", path, "--json");
    CHECK_MSG(r.exit_code == 0 && !r.err[0], "%d: %s", r.exit_code, r.err);
    json_t *all = parsed(&r), *t = json_object_get(all, "tokenizer");
    CHECK(json_is_null(json_object_get(t, "why_not")) && json_is_null(json_object_get(t, "padding")));
    CHECK_STR(json_string_value(json_object_get(t, "model")), "gpt2");
    CHECK_STR(json_string_value(json_object_get(t, "pre")), pre);
    CHECK(number(t, "tokens") == TINY_MODEL_VOCAB && number(t, "bos") == 257 && number(t, "eos") == 256);
    CHECK(json_boolean_value(json_object_get(t, "pre_assumed")) == assumed);
    CHECK(json_boolean_value(json_object_get(t, "add_bos")) == bos && json_boolean_value(json_object_get(t, "add_bos_assumed")) == bos_assumed);
    json_decref(all);
    program_free(&r);
    RUN(&r, "inspect", path);
    CHECK_MSG((strstr(r.out, "assumed: the file has no tokenizer.ggml.pre)") != NULL) == assumed, "%s", r.out);
    CHECK_MSG((strstr(r.out, "assumed: the file has no tokenizer.ggml.add_bos_token)") != NULL) == bos_assumed, "%s", r.out);
    CHECK_HAS(r.out, bos ? "257 \"<|start|>\", put before a text" : "257 \"<|start|>\", not put before a text");
    program_free(&r);
}

/* A file that names no pre-tokenizer is read with the default, which is told once, whatever is done with it. */
TEST(cli_tells_an_assumed_tokenizer) {
    NEED(program_there(), not_built);
    static const char note[] = "does not name its pre-tokenizer (tokenizer.ggml.pre): \"default\" is assumed";
    const char *path = program_temp("tiny-no-pre.gguf"), *with_bos = program_temp("tiny-bos-no-pre.gguf");
    program_result r;
    tiny_model_save_as(path, &(tiny_model_desc){ .context = 512, .lacks_pre = true });
    tiny_model_save_as(with_bos, &(tiny_model_desc){ .context = 512, .lacks_pre = true, .has_bos = true });
    check_tokenizer(tiny_model(), "qwen2", false, false, true);
    check_tokenizer(path, "default", true, false, true);
    check_tokenizer(with_bos, "default", true, true, false);
    const char *const commands[][8] = {
        { "tokenize", "--model", path, "--text", "hi", NULL },
        { "run", "--model", path, "--prompt", "hi", "--max-tokens", "1", NULL },
        { "chat", "--model", path, "--quiet", NULL },
        { "logits", "--model", path, "--prompt", "hi", NULL },
        { "template", "--model", path, "--messages", "-", NULL },
    };
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        program_run_desc(&r, &(program_desc){ .words = commands[i], .input = i == 4 ? "[]" : "" });
        CHECK_MSG(r.exit_code == 0, "%s: %s", commands[i][0], r.err);
        const char *first = strstr(r.err, note);
        CHECK_MSG(first && !strstr(first + 1, note), "%s: %s", commands[i][0], r.err);
        CHECK_HAS(r.err, ", and that no BOS is put before a text;");
        program_free(&r);
    }
    RUN(&r, "tokenize", "--model", with_bos, "--text", "1234", "--json");
    CHECK_STR(r.out, "{\"ids\": [257, 49, 50, 51, 52]}\n");
    CHECK_HAS(r.err, note);
    CHECK(!strstr(r.err, "no BOS"));
    program_free(&r);
    RUN(&r, "tokenize", "--model", tiny_model(), "--text", "hi");
    CHECK_STR(r.err, "");
    program_free(&r);
}

TEST(cli_bench) {
    NEED(program_there(), not_built);
    program_result r;
    RUN(&r, "bench", "--model", tiny_model(), "--prompt-tokens", "64", "--tokens", "8", "--depth", "100", "--repeat", "2", "--json");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    json_t *all = parsed(&r);
    CHECK(number(all, "prefill_tok_s") > 0 && number(all, "decode_tok_s") > 0 && number(all, "decode_gb_s") > 0 && number(all, "read_gb_s") > 0);
    CHECK(fabs(number(all, "decode_gb_s") - number(all, "decode_tok_s") * number(all, "bytes_per_token") * 1e-9) < 1e-6);
    CHECK(fabs(number(all, "read_percent") - 100 * number(all, "decode_gb_s") / number(all, "read_gb_s")) < 0.01);
    json_decref(all);
    program_free(&r);
    PROGRAM_REFUSED(2, "more than this model's context", "bench", "--model", tiny_model(), "--prompt-tokens", "513");
    PROGRAM_REFUSED(1, "no/such/folder", "bench", "--model", "no-model", "--roofline", "no/such/folder/r.svg");
    RUN(&r, "bench", "--model", tiny_model(), "--prompt-tokens", "32", "--tokens", "2", "--repeat", "1", "--roofline", program_temp("roofline.svg"));
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.err, "the roofline is in ");
    program_free(&r);
    char *svg = NULL;
    size_t bytes = 0;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(program_temp("roofline.svg"), 1 << 20, &svg, &bytes, &err), &err);
    REQUIRE(svg);
    CHECK(strncmp(svg, "<svg xmlns=", 11) == 0 && strcmp(svg + bytes - 7, "</svg>\n") == 0);
    static const char *const shown[] = { "GB/s</text>", "decode/norm_head: ", "prefill/norm_qkv: ", "prefill/attention: ", "decode/embed: only moves", "% of the roof (memory)", " MB, ", " Mop a call; ", "float products: ", "operations for each byte" };
    for (size_t i = 0; i < FND_COUNT(shown); i++) CHECK_HAS(svg, shown[i]);
    CHECK_MSG(!strstr(svg, "nan") && !strstr(svg, "inf"), "%s", svg);
    fnd_free_memory(svg);
    PROGRAM_REFUSED(1, "only those of processors", "bench", "--backend", "sim", "--model", tiny_model(), "--prompt-tokens", "1", "--tokens", "1", "--repeat", "1", "--roofline", program_temp("sim.svg"));
}

TEST(cli_profile) {
    NEED(program_there(), not_built);
    program_result r;
    json_error_t where;
    RUN(&r, "profile", "--model", tiny_model(), "--prompt-tokens", "32", "--tokens", "4", "--trace", program_temp("trace.json"));
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "prefill");
    CHECK_HAS(r.out, "decode");
    CHECK_HAS(r.out, "MB/call");
    CHECK_HAS(r.out, "Mop/call");
    CHECK_HAS(r.out, "\nroofs: memory ");
    CHECK_HAS(r.out, " GB/s, float products ");
    json_t *trace = json_load_file(program_temp("trace.json"), 0, &where);
    CHECK_MSG(trace != NULL, "%s", where.text);
    json_decref(trace);
    program_free(&r);
    PROGRAM_REFUSED(1, "no/such/folder", "profile", "--model", "no-model", "--trace", "no/such/folder/t.json"); /* before anything else */
    PROGRAM_REFUSED(1, "cannot write /: it is a folder", "profile", "--model", "no-model", "--lines", "/");
    PROGRAM_REFUSED(2, "each needs its own", "profile", "--model", "no-model", "--lines", "x.json", "--trace", "x.json");
    RUN(&r, "profile", "--model", tiny_model(), "--prompt-tokens", "8", "--tokens", "2", "--lines", program_temp("lines.json"));
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    char *lines = NULL;
    size_t bytes = 0;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(program_temp("lines.json"), 1 << 24, &lines, &bytes, &err), &err);
    size_t count = 0, counted = 0;
    for (char *line = lines ? strtok(lines, "\n") : NULL; line; line = strtok(NULL, "\n"), count++) {
        json_t *record = json_loads(line, 0, &where);
        CHECK_MSG(record != NULL, "%s: %s", where.text, line);
        const char *kernel = json_string_value(json_object_get(record, "kernel"));
        if (kernel && strcmp(kernel, "norm_gate_up") == 0) { /* two matrices of 128 rows and 64 columns */
            CHECK_MSG(number(record, "ops") == 2.0 * 2 * 128 * 64 * (strstr(line, "prefill") ? 8 : 1), "%s", line);
            counted++;
        }
        json_decref(record);
    }
    CHECK(count > 10 && counted > 2);
    fnd_free_memory(lines);
    program_free(&r);
}

/* ---- options of every command ---- */

/* However a model is run, it says the same. (Portable texts compute in other steps: they only have to
 * answer.) */
TEST(cli_global_options) {
    NEED(program_there(), not_built);
    static const struct {
        const char *option, *value;
        bool same;
    } ways[] = {
        { "--threads", "1", true },
        { "--threads", "3", true },
        { "--backend", "cpu", true },
        { "--no-cache", NULL, true },
        { "--no-fuse", NULL, true },
        { "--repack", "off", true },
        { "--kernel-dir", "src/kernels", true },
        { "--isa", "generic", false },
    };
    program_result base, r;
    RUN(&base, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "6");
    CHECK_MSG(base.exit_code == 0, "%s", base.err);
    for (size_t i = 0; i < FND_COUNT(ways); i++) {
        RUN(&r, "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "6", ways[i].option, ways[i].value);
        CHECK_MSG(r.exit_code == 0 && r.out_bytes > 0, "%s: %d, %s", ways[i].option, r.exit_code, r.err);
        if (ways[i].same) CHECK_MSG(strcmp(r.out, base.out) == 0, "%s %s: \"%s\" instead of \"%s\"", ways[i].option, ways[i].value ? ways[i].value : "", r.out, base.out);
        program_free(&r);
    }
    program_free(&base);
    PROGRAM_REFUSED(1, "no/such/folder", "run", "--model", tiny_model(), "--prompt", "hello", "--kernel-dir", "no/such/folder");
    char folder[1200], text[1300]; /* a text that is there and cannot be read is not passed over */
    snprintf(folder, sizeof folder, "%s", program_temp("overriding"));
    snprintf(text, sizeof text, "%s/val.h", folder);
    if (mkdir(folder, 0700) == 0 && mkdir(text, 0700) == 0) PROGRAM_REFUSED(1, "val.h: Is a directory", "run", "--model", tiny_model(), "--prompt", "hello", "--kernel-dir", folder);
    rmdir(text);
    rmdir(folder);
    PROGRAM_REFUSED(1, "one device; there is no device 1", "run", "--model", tiny_model(), "--prompt", "hello", "--backend", "sim", "--gpu", "1");
    PROGRAM_REFUSED(2, "--gpu", "run", "--model", tiny_model(), "--prompt", "hello", "--gpu", "-1");
}

/* The simulated GPU decodes a few tokens, from the command line too. */
TEST(cli_run_on_the_simulated_gpu) {
    NEED(program_there(), not_built);
    program_result r;
    RUN(&r, "run", "--model", tiny_model(), "--prompt", "hi", "--raw", "--max-tokens", "3", "--backend", "sim");
    CHECK_MSG(r.exit_code == 0 && r.out_bytes > 0, "%d, %s", r.exit_code, r.err);
    program_free(&r);
}

/* A program is one function with the loop over layers; unfused it is made of other kernels. */
TEST(cli_emit_a_program) {
    NEED(program_there(), not_built);
    program_result r, other;
    RUN(&r, "emit", "--program", "decode", "--model", tiny_model());
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "norm_gate_up");
    CHECK_HAS(r.out, "attention_decode(");
    CHECK_HAS(r.out, "fnd_grid_barrier");
    CHECK_HAS(r.out, "#include \"");
    RUN(&other, "emit", "--program", "decode", "--model", tiny_model(), "--no-fuse");
    CHECK_MSG(other.exit_code == 0 && strstr(other.out, "swiglu(") && !strstr(other.out, "norm_gate_up"), "%s", other.err);
    program_free(&other);
    RUN(&other, "emit", "--program", "decode", "--model", tiny_model(), "--flat");
    CHECK_MSG(other.exit_code == 0 && strstr(other.out, "#line 1 \"") && !strstr(other.out, "#include \""), "%s", other.err);
    program_free(&other);
    program_free(&r);
}

TEST(cli_emit_a_users_kernel) {
    NEED(program_there(), not_built);
    NEED(access("examples/softcap.h", R_OK) == 0, "run from the root of the project");
    program_result r;
    RUN(&r, "emit", "--kernel", "capped", "--user", "examples", "--policy", "ternary");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "v = softcap(v, at, a.cap);");
    CHECK_HAS(r.out, "ternary_dot");
    program_free(&r);
    RUN(&r, "kernels", "--user", "examples");
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_HAS(r.out, "\ncapped: y = cap * tanh((W x + bias) / cap)\n  rows | dot | bias | softcap | store\n");
    CHECK_HAS(r.out, "\nternary  -1, 0 or 1 with a scale per 32 weights\n");
    program_free(&r);
    PROGRAM_REFUSED(2, "there is no kernel 'caped' (did you mean 'capped'?)", "emit", "--kernel", "caped", "--user", "examples");
}
