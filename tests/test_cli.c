/* test_cli.c - the program: its words, its help, its exit codes, and files that are no models. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "gguf_writer.h"
#include "program.h"
#include "test.h"

#include <jansson.h>
#include <sys/stat.h>

static const char not_built[] = "the program is not built beside the tests";
static const char *const commands[] = { "run", "tokenize", "perplexity", "logits", "inspect", "emit", "kernels", "bench", "profile", "doctor" };

/* ---- words ---- */

TEST(cli_help_of_every_command) {
    NEED(program_there(), not_built);
    program_result r, general;
    program_run(&general, (const char *const[]){ "--help", NULL });
    CHECK(general.exit_code == 0);
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        char usage[64];
        program_result other;
        snprintf(usage, sizeof usage, "usage: foundry %s", commands[i]);
        program_run(&r, (const char *const[]){ commands[i], "--help", NULL });
        program_run(&other, (const char *const[]){ "help", commands[i], NULL });
        CHECK(r.exit_code == 0);
        CHECK_HAS(r.out, usage);
        CHECK_HAS(r.out, "example:\n  foundry ");
        CHECK_STR(r.err, "");
        CHECK_STR(other.out, r.out);
        CHECK_HAS(general.out, commands[i]);
        program_free(&r);
        program_free(&other);
    }
    program_run(&r, (const char *const[]){ "help", NULL });
    CHECK_STR(r.out, general.out);
    program_free(&r);
    program_free(&general);
}

TEST(cli_version) {
    NEED(program_there(), not_built);
    program_result r;
    program_run(&r, (const char *const[]){ "--version", NULL });
    CHECK(r.exit_code == 0 && strncmp(r.out, "foundry ", 8) == 0);
    program_free(&r);
    program_run(&r, (const char *const[]){ "run", "--version", NULL });
    CHECK(r.exit_code == 0 && strncmp(r.out, "foundry ", 8) == 0);
    program_free(&r);
}

TEST(cli_wrong_words) {
    NEED(program_there(), not_built);
    PROGRAM_REFUSED(2, "which command", NULL);
    PROGRAM_REFUSED(2, "there is no command 'jump'", "jump");
    PROGRAM_REFUSED(2, "there is no command 'jump'", "help", "jump");
    PROGRAM_REFUSED(2, "help takes the name of one command", "help", "run", "chat");
    program_result r;
    static const char *const asked[][4] = { { "help", "--help" }, { "help", "-h" }, { "--help", "help" }, { "help", "run", "--help" }, { "run", "--help" } };
    for (size_t i = 0; i < FND_COUNT(asked); i++) {
        program_run(&r, asked[i]);
        CHECK_MSG(r.exit_code == 0, "%s %s: %s", asked[i][0], asked[i][1], r.err);
        CHECK_HAS(r.out, i < 3 ? "foundry COMMAND" : "foundry run");
        program_free(&r);
    }
    PROGRAM_REFUSED(2, "run has no option '--fast'", "run", "--fast");
    PROGRAM_REFUSED(2, "run has no option '-x'", "run", "-x");
    PROGRAM_REFUSED(2, "run needs --model", "run", "--prompt", "x");
    PROGRAM_REFUSED(2, "run needs --prompt or --prompt-file", "run", "--model", "x");
    PROGRAM_REFUSED(2, "--prompt or --prompt-file, not both", "run", "--model", "x", "--prompt", "x", "--prompt-file", "y");
    PROGRAM_REFUSED(2, "--model needs a value", "run", "--model");
    PROGRAM_REFUSED(2, "--raw takes no value", "run", "--raw=yes");
    PROGRAM_REFUSED(2, "run does not know what to do with 'extra'", "run", "--model", "x", "--prompt", "x", "extra");
    PROGRAM_REFUSED(2, "--raw leaves out", "run", "--model", "x", "--prompt", "x", "--system", "y", "--raw");
    PROGRAM_REFUSED(2, "needs --text or --file", "tokenize", "--model", "x");
    PROGRAM_REFUSED(2, "perplexity needs --file", "perplexity", "--model", "x");
    PROGRAM_REFUSED(2, "--prompt or --ids", "logits", "--model", "x");
    PROGRAM_REFUSED(2, "inspect needs", "inspect");
    PROGRAM_REFUSED(2, "emit needs --kernel, or --program and --model", "emit");
    PROGRAM_REFUSED(2, "emit --program needs --model", "emit", "--program", "decode");
    PROGRAM_REFUSED(2, "--program is decode, prefill or head, not 'code'", "emit", "--program", "code", "--model", "x");
    PROGRAM_REFUSED(2, "it takes no --kernel, --policy or --user", "emit", "--program", "decode", "--model", "x", "--kernel", "linear");
    PROGRAM_REFUSED(2, "--model is for --program", "emit", "--kernel", "linear", "--model", "x");
    PROGRAM_REFUSED(1, "no/such/folder does not exist", "emit", "--kernel", "linear", "--user", "no/such/folder");
    PROGRAM_REFUSED(2, "bench needs --model", "bench");
    PROGRAM_REFUSED(2, "profile needs --model", "profile");
    PROGRAM_REFUSED(2, "there is no kernel 'jump'", "emit", "--kernel", "jump");
    PROGRAM_REFUSED(2, "there is no policy 'q9'", "emit", "--kernel", "linear", "--policy", "q9");
    PROGRAM_REFUSED(2, "more formats than linear has weights", "emit", "--kernel", "linear", "--policy", "q8_0,f32");
    PROGRAM_REFUSED(2, "cpu, cuda, metal or sim", "emit", "--kernel", "linear", "--backend", "abacus");
    PROGRAM_REFUSED(2, "no device 'abacus'", "run", "--model", "x", "--prompt", "x", "--backend", "abacus");
    PROGRAM_REFUSED(2, "no level 'sse'", "run", "--model", "x", "--prompt", "x", "--isa=sse");
    PROGRAM_REFUSED(2, "not both", "kernels", "--json", "--markdown");
}

TEST(cli_mistyped_words) {
    NEED(program_there(), not_built);
    PROGRAM_REFUSED(2, "there is no command 'runn' (did you mean 'run'?)", "runn", "--model", "x");
    PROGRAM_REFUSED(2, "(did you mean 'inspect'?)", "INSPCET");
    PROGRAM_REFUSED(2, "(did you mean 'tokenize'?)", "help", "tok");
    PROGRAM_REFUSED(2, "there is no command 'jump';", "jump");
    PROGRAM_REFUSED(2, "there is no command ''", "");
    PROGRAM_REFUSED(2, "run has no option '--max_tokens' (did you mean '--max-tokens'?)", "run", "--max_tokens", "3");
    PROGRAM_REFUSED(2, "'--modle' (did you mean '--model'?)", "run", "--modle=x");
    PROGRAM_REFUSED(2, "'-model' (did you mean '--model'?)", "run", "-model", "x");
    PROGRAM_REFUSED(2, "'--thread' (did you mean '--threads'?)", "doctor", "--thread", "2");
    PROGRAM_REFUSED(2, "has no option '--'", "run", "--=x");
    PROGRAM_REFUSED(2, "there is no kernel 'lineer' (did you mean 'linear'?)", "emit", "--kernel", "lineer");
    PROGRAM_REFUSED(2, "which command should '--foo' belong to", "--foo");
    PROGRAM_REFUSED(2, "which command should '-v' belong to", "-v");
    char many[3000];
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = '\0';
    PROGRAM_REFUSED(2, "there is no command 'xxxx", many);
    PROGRAM_REFUSED(2, "kernels does not know what to do with 'xxxx", "kernels", many);
}

TEST(cli_names_that_are_empty) {
    NEED(program_there(), not_built);
    static const char *const words[][3] = { { "run", "--model" }, { "run", "--prompt-file" }, { "tokenize", "--model" }, { "tokenize", "--file" }, { "perplexity", "--file" }, { "logits", "--model" }, { "emit", "--kernel" }, { "emit", "--policy" }, { "bench", "--model" }, { "profile", "--trace" }, { "profile", "--lines" }, { "doctor", "--compiler" }, { "doctor", "--kernel-dir" }, { "doctor", "--cache-dir" }, { "doctor", "--backend" }, { "doctor", "--isa" } };
    for (size_t i = 0; i < FND_COUNT(words); i++) PROGRAM_REFUSED(2, "needs a value that is not empty", words[i][0], words[i][1], "");
    PROGRAM_REFUSED(2, "needs the name of a file", "inspect", "");
}

TEST(cli_numbers_out_of_range) {
    NEED(program_there(), not_built);
    static const char *const wrong[][2] = {
        { "--max-tokens", "0" },
        { "--max-tokens", "-1" },
        { "--max-tokens", "4294967296" },
        { "--max-tokens", "ten" },
        { "--max-tokens", "" },
        { "--max-tokens", "1e3" },
        { "--max-tokens", "99999999999999999999999" },
        { "--temperature", "-0.1" },
        { "--temperature", "hot" },
        { "--temperature", "nan" },
        { "--temperature", "inf" },
        { "--temperature", "1x" },
        { "--top-k", "-1" },
        { "--top-k", "1.5" },
        { "--top-p", "1.01" },
        { "--min-p", "2" },
        { "--seed", "-5" },
        { "--seed", "18446744073709551616" },
        { "--threads", "0" },
        { "--threads", "1025" },
        { "--compiler-seconds", "0" },
        { "--compiler-seconds", "86401" },
        { "--context", "0" },
    };
    for (size_t i = 0; i < FND_COUNT(wrong); i++) {
        PROGRAM_REFUSED(2, wrong[i][0], "run", "--model", "x", "--prompt", "x", wrong[i][0], wrong[i][1]);
    }
    PROGRAM_REFUSED(2, "--top", "logits", "--model", "x", "--prompt", "x", "--top", "0");
    PROGRAM_REFUSED(2, "--ids needs whole numbers", "logits", "--model", "x", "--ids", "1,,2");
    PROGRAM_REFUSED(2, "--ids needs whole numbers", "logits", "--model", "x", "--ids", "1,-2");
    PROGRAM_REFUSED(2, "--ids needs whole numbers", "logits", "--model", "x", "--ids", "");
    PROGRAM_REFUSED(2, "--tokens", "emit", "--kernel", "linear", "--tokens", "65");
    PROGRAM_REFUSED(2, "--repeat", "bench", "--model", "x", "--repeat", "0");
}

TEST(cli_options_anywhere) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    program_result a, b;
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_save(&w, program_temp("words.gguf"));
    gguf_free(&w);
    program_run(&a, (const char *const[]){ "--threads", "1", "tokenize", "--model", program_temp("words.gguf"), "--text", "hello", "--json", NULL });
    char joined[1200];
    snprintf(joined, sizeof joined, "--model=%s", program_temp("words.gguf"));
    program_run(&b, (const char *const[]){ "tokenize", "--json", "--text=hello", joined, "--backend=cpu", NULL });
    CHECK_STR(a.out, "{\"ids\": [261]}\n");
    program_result twice, ended;
    program_run(&twice, (const char *const[]){ "tokenize", "--text", "world", "--json", "--json", joined, "--text", "hello", NULL });
    CHECK_STR(twice.out, a.out); /* the last counts */
    program_free(&twice);
    program_run(&ended, (const char *const[]){ "inspect", "--json", "--", "--json", NULL });
    program_refused(&ended, 1, "cannot open --json", __FILE__, __LINE__);
    CHECK_STR(b.out, a.out);
    program_free(&a);
    program_free(&b);
}

/* ---- standard output that takes nothing ---- */

TEST(cli_output_closed_or_full) {
    NEED(program_there(), not_built);
    static const char *const words[][3] = { { "kernels", NULL }, { "help", NULL }, { "emit", "--kernel=linear", NULL }, { "kernels", "--json", NULL } };
    static const struct {
        program_output output;
        const char *part;
    } bad[] = { { PROGRAM_CLOSED, "standard output is closed" }, { PROGRAM_FULL, "cannot write to standard output" }, { PROGRAM_NO_READER, "standard output was closed by whoever read it" } };
    for (size_t i = 0; i < FND_COUNT(words); i++) {
        for (size_t k = 0; k < FND_COUNT(bad); k++) {
            program_result r;
            program_run_desc(&r, &(program_desc){ .words = words[i], .output = bad[k].output });
            program_refused(&r, 1, bad[k].part, __FILE__, __LINE__);
        }
    }
}

/* ---- lists ---- */

static json_t *parsed(const program_result *r) {
    json_error_t where;
    json_t *json = json_loads(r->out, 0, &where);
    CHECK_MSG(json != NULL, "%s: %.200s", where.text, r->out);
    return json;
}

TEST(cli_kernels_and_emit) {
    NEED(program_there(), not_built);
    program_result r;
    size_t i;
    json_t *kernel;
    program_run(&r, (const char *const[]){ "kernels", "--json", NULL });
    CHECK(r.exit_code == 0);
    json_t *all = parsed(&r), *kernels = json_object_get(all, "kernels");
    program_free(&r);
    CHECK(json_array_size(kernels) > 10 && json_array_size(json_object_get(all, "stages")) > 10 && json_array_size(json_object_get(all, "policies")) >= 11);
    json_array_foreach(kernels, i, kernel) {
        static const char *const backends[] = { "cpu", "cuda", "metal", "sim" };
        const char *name = json_string_value(json_object_get(kernel, "name"));
        program_run(&r, (const char *const[]){ "emit", "--kernel", name, "--backend", backends[i % 4], NULL });
        CHECK(r.exit_code == 0);
        CHECK_HAS(r.out, "FND_KERNEL(");
        program_free(&r);
    }
    json_decref(all);
    program_run(&r, (const char *const[]){ "emit", "--kernel", "norm_qkv", "--policy", "q5_0,q8_0", "--flat", NULL });
    CHECK(r.exit_code == 0 && !strstr(r.out, "#include \""));
    CHECK_HAS(r.out, "WEIGHT, q5_0, w_q");
    CHECK_HAS(r.out, "WEIGHT, q8_0, w_k");
    CHECK_HAS(r.out, "WEIGHT, q8_0, w_v");
    program_free(&r);
    program_run(&r, (const char *const[]){ "kernels", "--markdown", NULL });
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.out, "### norm_qkv");
    program_free(&r);
}

TEST(cli_doctor) {
    NEED(program_there(), not_built);
    program_result r;
    program_run(&r, (const char *const[]){ "doctor", NULL });
    CHECK(r.exit_code == 0);
    CHECK_HAS(r.out, "backend cpu   works");
    CHECK_HAS(r.out, "backend sim");
    CHECK_HAS(r.out, "kernel cache");
    program_free(&r);
}

/* ---- tokens ---- */

static void check_ids(const char *option, const char *text, const char *input, const char *want, const char *plain) {
    program_result r;
    const char *words[] = { "tokenize", "--model", program_temp("bos.gguf"), option, text, "--json", plain, NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .input = input });
    CHECK_MSG(r.exit_code == 0, "%s", r.err);
    CHECK_STR(r.out, want);
    program_free(&r);
}

TEST(cli_tokenize) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_add_bool(&w, "tokenizer.ggml.add_bos_token", true);
    gguf_save(&w, program_temp("bos.gguf"));
    gguf_free(&w);
    check_ids("--text", "hello<|end|>", NULL, "{\"ids\": [257, 261, 256]}\n", NULL);
    check_ids("--text", "hello", NULL, "{\"ids\": [261]}\n", "--plain");
    check_ids("--text", "", NULL, "{\"ids\": [257]}\n", NULL);
    check_ids("--text", "", NULL, "{\"ids\": []}\n", "--plain");
    check_ids("--text", "\xff", NULL, "{\"ids\": [255]}\n", "--plain");
    check_ids("--file", "-", "hello world", "{\"ids\": [257, 261, 266]}\n", NULL);
    program_result r;
    program_run(&r, (const char *const[]){ "tokenize", "--model", program_temp("bos.gguf"), "--text", "a\xc3\xa9", "--plain", NULL });
    CHECK_STR(r.out, "97\t\"a\"\n195\t\"\xEF\xBF\xBD\"\n169\t\"\xEF\xBF\xBD\"\n");
    program_free(&r);
    PROGRAM_REFUSED(1, "no-such-file", "tokenize", "--model", program_temp("bos.gguf"), "--file", program_temp("no-such-file"));
}

/* ---- files that are no models ---- */

static void refuse_everywhere(const char *path, const char *part) {
    PROGRAM_REFUSED(1, part, "inspect", path);
    PROGRAM_REFUSED(1, part, "tokenize", "--model", path, "--text", "x");
    PROGRAM_REFUSED(1, part, "run", "--model", path, "--prompt", "x");
    PROGRAM_REFUSED(1, part, "logits", "--model", path, "--prompt", "x");
    PROGRAM_REFUSED(1, part, "bench", "--model", path);
}

TEST(cli_files_that_are_no_models) {
    NEED(program_there(), not_built);
    fnd_error err = { 0 };
    refuse_everywhere(program_temp("missing.gguf"), "missing.gguf");
    refuse_everywhere("/", "/");
    CHECK(mkfifo(program_temp("pipe.gguf"), 0600) == 0);
    refuse_everywhere(program_temp("pipe.gguf"), "pipe.gguf is not a regular file");
    CHECK_OK(fnd_file_write(program_temp("empty.gguf"), "", 0, &err), &err);
    refuse_everywhere(program_temp("empty.gguf"), "empty.gguf");
    CHECK_OK(fnd_file_write(program_temp("text.gguf"), "this is a text, not a model\n", 28, &err), &err);
    refuse_everywhere(program_temp("text.gguf"), "text.gguf");
    CHECK_OK(fnd_file_write(program_temp("hostile.gguf"), "GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 24, &err), &err);
    refuse_everywhere(program_temp("hostile.gguf"), "hostile.gguf");
}

TEST(cli_truncated_file) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    fnd_error err = { 0 };
    size_t bytes;
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_byte_tokenizer(&w, "qwen2");
    uint8_t *file = gguf_finish(&w, &bytes);
    gguf_free(&w);
    for (size_t cut = 0; cut < bytes; cut += 1 + bytes / 40) { /* every byte: tests of the reader */
        CHECK_OK(fnd_file_write(program_temp("cut.gguf"), file, cut, &err), &err);
        PROGRAM_REFUSED(1, "cut.gguf", "inspect", program_temp("cut.gguf"));
        PROGRAM_REFUSED(1, "cut.gguf", "tokenize", "--model", program_temp("cut.gguf"), "--text", "x");
    }
    fnd_free_memory(file);
}

/* Whole files that cannot be run are listed all the same, with the reason. */
static json_t *listed(const char *path, const char *why) {
    program_result r;
    json_error_t where;
    program_run(&r, (const char *const[]){ "inspect", path, NULL });
    CHECK_MSG(r.exit_code == 0 && !r.err[0], "%d: %s", r.exit_code, r.err);
    CHECK_HAS(r.out, "cannot be run");
    CHECK_HAS(r.out, why);
    program_free(&r);
    program_run(&r, (const char *const[]){ "inspect", path, "--json", NULL });
    json_t *json = json_loads(r.out, 0, &where);
    CHECK_MSG(json != NULL, "%s: %s", where.text, r.out);
    CHECK_HAS(json_string_value(json_object_get(json, "why_not")), why);
    program_free(&r);
    return json;
}

TEST(cli_inspect_of_what_cannot_be_run) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    uint64_t dims[2] = { 32, 4 };
    static const uint8_t data[32 * 4 * 4];
    gguf_add_str(&w, "general.architecture", "banana");
    gguf_add_u32(&w, "banana.block_count", 7);
    gguf_add_f32(&w, "banana.curve", 0.5f);
    gguf_add_bool(&w, "banana.ripe", true);
    gguf_add_str(&w, "banana.colour", "yellow \"ish\"");
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_add_tensor(&w, "peel", FND_F32, 2, dims, data, sizeof data);
    gguf_save(&w, program_temp("banana.gguf"));
    json_t *json = listed(program_temp("banana.gguf"), "architecture \"banana\" is not supported");
    json_t *metadata = json_object_get(json, "metadata");
    CHECK(json_integer_value(json_object_get(metadata, "banana.block_count")) == 7 && json_real_value(json_object_get(metadata, "banana.curve")) == 0.5);
    CHECK(json_is_true(json_object_get(metadata, "banana.ripe")));
    CHECK_STR(json_string_value(json_object_get(metadata, "banana.colour")), "yellow \"ish\"");
    CHECK(json_array_size(json_object_get(json, "tensors")) == 1);
    json_decref(json);
    gguf_add_tensor_raw(&w, "seeds", 4711, 2, dims, sizeof data, NULL, 0);
    gguf_save(&w, program_temp("banana.gguf"));
    gguf_free(&w);
    json = listed(program_temp("banana.gguf"), "type 4711");
    json_t *tensor = json_array_get(json_object_get(json, "tensors"), 1);
    CHECK_STR(json_string_value(json_object_get(tensor, "format")), "ggml type 4711");
    CHECK(json_is_null(json_object_get(tensor, "bytes")));
    json_decref(json);
    PROGRAM_REFUSED(1, "type 4711", "run", "--model", program_temp("banana.gguf"), "--prompt", "x");
}

/* Standard output carries results, and "-" makes no file of that name. */
TEST(cli_files_to_standard_output) {
    NEED(program_there(), not_built);
    static const char says[] = "cannot be written to standard output (-)";
    PROGRAM_REFUSED(2, says, "synth", "--arch", "llama", "--size", "tiny", "--format", "q8_0", "-o", "-");
    PROGRAM_REFUSED(2, says, "quantize", "x", "-", "--format", "q8_0");
    PROGRAM_REFUSED(2, says, "bench", "--model", "x", "--roofline", "-");
    PROGRAM_REFUSED(2, says, "profile", "--model", "x", "--trace", "-");
    PROGRAM_REFUSED(2, says, "profile", "--model", "x", "--lines", "-");
    PROGRAM_REFUSED(2, says, "chat", "--model", "x", "--session", "-");
    PROGRAM_REFUSED(2, says, "chat", "--model", "x", "--history", "-");
}

TEST(cli_unsupported_models) {
    NEED(program_there(), not_built);
    gguf_writer w = { 0 };
    static const struct {
        const char *key, *text;
        uint32_t number;
        const char *says;
    } others[] = {
        { "general.type", "adapter", 0, "its general.type is \"adapter\": it is an adapter, which changes the weights of a model" },
        { "general.type", "imatrix", 0, "its general.type is \"imatrix\"" },
        { "llama.attention.causal", NULL, 0, "llama.attention.causal is false" },
        { "llama.pooling_type", NULL, 3, "this model makes embeddings (llama.pooling_type is 3)" },
    };
    for (size_t i = 0; i < FND_COUNT(others); i++) {
        gguf_add_str(&w, "general.architecture", "llama");
        if (others[i].text)
            gguf_add_str(&w, others[i].key, others[i].text);
        else if (others[i].number)
            gguf_add_u32(&w, others[i].key, others[i].number);
        else
            gguf_add_bool(&w, others[i].key, false);
        gguf_add_byte_tokenizer(&w, "qwen2");
        gguf_save(&w, program_temp("other.gguf"));
        gguf_free(&w);
        PROGRAM_REFUSED(1, others[i].says, "run", "--model", program_temp("other.gguf"), "--prompt", "x");
    }
    gguf_add_str(&w, "general.architecture", "banana");
    gguf_add_byte_tokenizer(&w, "qwen2");
    gguf_save(&w, program_temp("banana.gguf"));
    gguf_free(&w);
    PROGRAM_REFUSED(1, "banana", "run", "--model", program_temp("banana.gguf"), "--prompt", "x");
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_byte_tokenizer(&w, "klingon");
    gguf_save(&w, program_temp("klingon.gguf"));
    gguf_free(&w);
    PROGRAM_REFUSED(1, "klingon", "tokenize", "--model", program_temp("klingon.gguf"), "--text", "x");
    gguf_add_str(&w, "general.architecture", "llama");
    gguf_add_str(&w, "tokenizer.ggml.model", "bert");
    gguf_save(&w, program_temp("bert.gguf"));
    gguf_free(&w);
    PROGRAM_REFUSED(1, "bert", "tokenize", "--model", program_temp("bert.gguf"), "--text", "x");
}
