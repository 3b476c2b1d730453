/* test_cli_bad_input.c - the program with models that contradict themselves or are cut off, texts that
 * are none, disks that are full, and people who press Ctrl-C. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "backend/cpu/baked.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <stdlib.h>

static const char not_built[] = "the program is not built beside the tests";

typedef struct bytes {
    char *data;
    size_t count;
} bytes;

static bytes tiny_bytes(void) {
    bytes b = { 0 };
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(tiny_model(), 1 << 24, &b.data, &b.count, &err), &err);
    return b;
}

/* ---- models ---- */

/* A number behind a key: its type is 4 bytes, then comes the value. */
static void patch(const bytes *file, const char *key, uint32_t value, const char *path) {
    char *copy = fnd_alloc_string(file->data, file->count);
    fnd_error err = { 0 };
    char *at = copy ? memmem(copy, file->count, key, strlen(key)) : NULL;
    CHECK_MSG(at != NULL, "the tiny model has no %s", key);
    if (at) memcpy(at + strlen(key) + 4, &value, sizeof value);
    CHECK_OK(fnd_file_write(path, copy, file->count, &err), &err);
    fnd_free_memory(copy);
}

TEST(cli_models_that_contradict_themselves) {
    NEED(program_there(), not_built);
    static const struct {
        const char *key;
        uint32_t value;
        const char *says;
    } wrong[] = {
        { "llama.block_count", 0, "block_count is 0" },
        { "llama.block_count", 3, "blk.2." },
        { "llama.block_count", 0xffffffff, "block_count is 4294967295" },
        { "llama.embedding_length", 96, "hyper-parameters say" },
        { "llama.embedding_length", 0x80000000, "embedding_length" },
        { "llama.feed_forward_length", 64, "hyper-parameters say" },
        { "llama.attention.head_count", 0, "head_count is 0" },
        { "llama.attention.head_count", 3, "heads" },
        { "llama.attention.head_count_kv", 0, "head_count_kv is 0" },
        { "llama.attention.head_count_kv", 2, "hyper-parameters say" },
        { "llama.attention.head_count_kv", 9, "head_count_kv is 9" },
        { "llama.context_length", 0, "context of 0 tokens" },
        { "llama.context_length", 0xffffffff, "context of 4294967295 tokens" },
        { "llama.attention.layer_norm_rms_epsilon", 0x7fc00000 /* NaN */, "epsilon is not a finite number" },
        { "llama.attention.layer_norm_rms_epsilon", 0xff800000 /* -inf */, "epsilon is not a finite number" },
    };
    bytes file = tiny_bytes();
    for (size_t i = 0; i < FND_COUNT(wrong) && file.data; i++) {
        patch(&file, wrong[i].key, wrong[i].value, program_temp("wrong.gguf"));
        PROGRAM_REFUSED(1, wrong[i].says, "run", "--model", program_temp("wrong.gguf"), "--prompt", "x");
    }
    fnd_free_memory(file.data);
}

/* Wherever a model is cut off: one sentence, and nothing that looks like an answer. */
TEST(cli_models_that_are_cut_off) {
    NEED(program_there(), not_built);
    bytes file = tiny_bytes();
    fnd_error err = { 0 };
    const char *path = program_temp("cut-off.gguf");
    for (size_t cut = 0; cut < file.count; cut += 1 + file.count / 24) {
        CHECK_OK(fnd_file_write(path, file.data, cut, &err), &err);
        PROGRAM_REFUSED(1, "cut-off.gguf", "run", "--model", path, "--prompt", "x");
        PROGRAM_REFUSED(1, "cut-off.gguf", "inspect", path);
    }
    CHECK_OK(fnd_file_write(path, file.data, file.count - 40, &err), &err); /* more than padding */
    PROGRAM_REFUSED(1, "cut off or damaged", "logits", "--model", path, "--prompt", "x");
    fnd_free_memory(file.data);
}

/* Bytes of the metadata changed at random: an answer or a sentence, never a crash. */
TEST(cli_models_that_are_damaged) {
    NEED(program_there(), not_built);
    bytes file = tiny_bytes();
    fnd_error err = { 0 };
    const char *path = program_temp("damaged.gguf");
    srand(11);
    for (int round = 0; round < 40 && file.data; round++) {
        size_t at = (size_t)rand() % (file.count < 5000 ? file.count : 5000);
        char was = file.data[at];
        program_result r;
        file.data[at] = (char)(round % 2 ? rand() : was ^ (1 << rand() % 8));
        CHECK_OK(fnd_file_write(path, file.data, file.count, &err), &err);
        const char *const inspect[] = { "inspect", path, "--json", NULL }, *const tokenize[] = { "tokenize", "--model", path, "--text", "hello<|end|>", NULL };
        program_run(&r, round % 4 < 2 ? inspect : tokenize);
        if (r.exit_code == 0)
            program_free(&r);
        else
            program_refused(&r, 1, "damaged.gguf", __FILE__, __LINE__);
        file.data[at] = was;
    }
    fnd_free_memory(file.data);
}

/* ---- texts ---- */

TEST(cli_texts_that_are_not_utf8) {
    NEED(program_there(), not_built);
    static const char text[] = "hello \xff\xfe w\xc3rld\0 behind a zero";
    fnd_error err = { 0 };
    program_result r;
    const char *path = program_temp("not-utf8.txt");
    CHECK_OK(fnd_file_write(path, text, sizeof text - 1, &err), &err);
    const char *const commands[][10] = {
        { "run", "--model", tiny_model(), "--prompt-file", path, "--raw", "--max-tokens", "2", NULL },
        { "run", "--model", tiny_model(), "--prompt-file", path, "--max-tokens", "2", NULL },
        { "logits", "--model", tiny_model(), "--prompt", "a\xff", NULL },
        { "perplexity", "--model", tiny_model(), "--file", path, NULL },
        { "tokenize", "--model", tiny_model(), "--file", path, NULL },
    };
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        program_run(&r, commands[i]);
        CHECK_MSG(r.exit_code == 0 && r.out_bytes > 0, "%s: %d, %s", commands[i][0], r.exit_code, r.err);
        CHECK_HAS(r.err, "is not valid UTF-8 from byte");
        program_free(&r);
    }
}

TEST(cli_texts_from_standard_input_are_called_so) {
    NEED(program_there(), not_built);
    program_result r;
    PROGRAM_REFUSED(1, "standard input is empty: there is nothing to foretell", "perplexity", "--model", tiny_model(), "--file", "-");
    program_run_desc(&r, &(program_desc){ .words = (const char *const[]){ "perplexity", "--model", tiny_model(), "--file", "-", NULL }, .input = "x" });
    program_refused(&r, 1, "standard input has too few tokens (1)", __FILE__, __LINE__);
}

/* ---- disks and readers ---- */

/* Files that may not grow: what a full disk does to temporary files of compilers. */
TEST(cli_full_disk) {
    NEED(program_there(), not_built);
    program_result good, r;
    const char *usual[] = { "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", NULL };
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--no-cache", "--compile", NULL }; /* else the answer may end before compiling fails */
    program_run(&good, usual);
    program_run_desc(&r, &(program_desc){ .words = words, .file_limit = 4096 });
    if (fnd_baked_kernel_count) {
        CHECK_MSG(r.exit_code == 0, "%d: %s", r.exit_code, r.err);
        CHECK_STR(r.out, good.out);
        CHECK_HAS(r.err, "kernels built into the library serve");
        program_free(&r);
    } else {
        program_refused(&r, 1, "cannot write a temporary file", __FILE__, __LINE__);
    }
    program_free(&good);
    PROGRAM_REFUSED(1, "/dev/full was not written in full", "profile", "--model", tiny_model(), "--prompt-tokens", "8", "--tokens", "2", "--trace", "/dev/full");
}

TEST(cli_every_output_closed_or_full) {
    NEED(program_there(), not_built);
    const char *const commands[][9] = {
        { "tokenize", "--model", tiny_model(), "--text", "hello", NULL },
        { "inspect", tiny_model(), NULL },
        { "logits", "--model", tiny_model(), "--prompt", "hello", NULL },
        { "perplexity", "--model", tiny_model(), "--file", "README.md", NULL },
        { "--version", NULL },
        { "bench", "--model", tiny_model(), "--prompt-tokens=8", "--tokens=2", "--repeat=1", NULL },
        { "profile", "--model", tiny_model(), "--prompt-tokens=8", "--tokens=2", NULL },
        { "doctor", NULL },
    };
    static const char *const says[] = { [PROGRAM_CLOSED] = "standard output is closed", [PROGRAM_FULL] = "cannot write to standard output", [PROGRAM_NO_READER] = "standard output was closed by whoever read it" };
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_write(program_temp("short.txt"), "hello world", 11, &err), &err);
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        for (program_output output = PROGRAM_CLOSED; output <= PROGRAM_NO_READER; output++) {
            const char *words[9] = { 0 };
            program_result r;
            if (i >= 5 && output != PROGRAM_FULL) continue; /* these measure this machine first */
            for (size_t k = 0; commands[i][k]; k++) words[k] = strcmp(commands[i][k], "README.md") == 0 ? program_temp("short.txt") : commands[i][k];
            program_run_desc(&r, &(program_desc){ .words = words, .output = output });
            program_refused(&r, 1, says[output], __FILE__, __LINE__);
        }
    }
}

/* ---- interrupts ---- */

/* What takes long ends at once, and prints no part of a result. */
TEST(cli_interrupted_everywhere) {
    NEED(program_there(), not_built);
    enum { LONG_BYTES = 500000 };
    fnd_error err = { 0 };
    const char *model = program_temp("very-long.gguf"), *text = program_temp("long.txt");
    char *data = fnd_alloc_zeroed(LONG_BYTES, 1);
    REQUIRE(data);
    memset(data, 'x', LONG_BYTES);
    tiny_model_save(model, 1 << 20);
    CHECK_OK(fnd_file_write(text, data, LONG_BYTES, &err), &err);
    fnd_free_memory(data);
    const char *const commands[][9] = {
        { "run", "--model", model, "--raw", "--prompt-file", text, NULL },
        { "perplexity", "--model", model, "--file", text, NULL },
        { "bench", "--model", model, "--tokens", "1000000", "--repeat", "1000", NULL },
        { "profile", "--model", model, "--tokens", "1000000", NULL },
    };
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        program_result r;
        program_run_desc(&r, &(program_desc){ .words = commands[i], .interrupt_ms = 400 });
        CHECK_MSG(r.exit_code == 130, "%s: %d, %s", commands[i][0], r.exit_code, r.err);
        CHECK_MSG(r.out_bytes == 0, "%s printed %s", commands[i][0], r.out);
        CHECK_HAS(r.err, "foundry: interrupted\n");
        program_free(&r);
    }
}
