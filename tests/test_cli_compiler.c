/* test_cli_compiler.c - the program with compilers that fail, crash, lie, hang or are not there: kernels
 * in the library serve, and it is said; where there are none, one sentence says why not. */
#include "backend/cpu/baked.h"
#include "base/base.h"
#include "base/file.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <sys/stat.h>

static const char not_built[] = "the program is not built beside the tests";
static const char served[] = "kernels built into the library serve";

/* A compiler that knows its version and does this with texts. */
static const char *compiler(const char *name, const char *version, const char *work) {
    char script[256];
    fnd_error err = { 0 };
    int bytes = snprintf(script, sizeof script, "#!/bin/sh\ncase \"$*\" in *--version*) %s ;; *) %s ;; esac\n", version, work);
    CHECK_OK(fnd_file_write(program_temp(name), script, (size_t)bytes, &err), &err);
    CHECK(chmod(program_temp(name), 0700) == 0);
    return program_temp(name);
}

static size_t times(const char *text, const char *part) {
    size_t count = 0;
    while ((text = strstr(text, part)) != NULL) count++, text++;
    return count;
}

/* `why` is said once, and the answer is there or nothing is. */
static void check(const char *cc, const char *why, const char *const *command) {
    const char *words[24];
    size_t count = 0;
    for (; command[count]; count++) words[count] = command[count];
    const char *const more[] = { "--model", tiny_model(), "--no-cache", "--compiler", cc, "--compiler-seconds", "1", NULL };
    for (size_t i = 0; i < FND_COUNT(more); i++) words[count + i] = more[i];
    if (!fnd_baked_kernel_count) {
        program_result r;
        program_run(&r, words);
        program_refused(&r, 1, why, __FILE__, __LINE__);
        return;
    }
    program_result r;
    program_run(&r, words);
    CHECK_MSG(r.exit_code == 0 && r.out_bytes > 0, "%s: %d, %s", command[0], r.exit_code, r.err);
    CHECK_HAS(r.err, why);
    CHECK_MSG(times(r.err, served) == 1, "%s says %zu times that kernels of the library serve: %s", command[0], times(r.err, served), r.err);
    program_free(&r);
}

static const char *const run_words[] = { "run", "--prompt", "hello", "--max-tokens", "8", NULL };
/* run ends with its answer, whatever the compiler is at; this waits for it. */
static const char *const wait_words[] = { "logits", "--prompt", "hello", NULL };

TEST(cli_compiler_that_is_not_there) {
    NEED(program_there(), not_built);
    check("/no/such/compiler", "there is no C compiler \"/no/such/compiler\"", run_words);
    check("no-such-compiler", "there is no C compiler \"no-such-compiler\"", run_words);
    check("false", "does not work: exit code 1", run_words);
}

TEST(cli_compiler_that_fails) {
    NEED(program_there(), not_built);
    check(compiler("failing-cc", "echo cc 1.0", "echo 'error: no' ; exit 1"), "error: no", wait_words);
    check(compiler("silent-cc", "echo cc 1.1", "exit 3"), "failed with exit code 3 and said nothing", wait_words);
    check(compiler("crashing-cc", "echo cc 1.2", "kill -SEGV $$"), "was ended by signal 11", wait_words);
    check(compiler("lying-cc", "echo cc 1.3", "exit 0"), "wrote no library", wait_words);
}

TEST(cli_compiler_that_hangs) {
    NEED(program_there(), not_built);
    check(compiler("hanging-cc", "echo cc 2.0", "exec sleep 1000"), "did not end within 1 seconds", wait_words);
    check(compiler("mute-cc", "exec sleep 1000", "exit 1"), "--version takes too long", run_words);
}

/* Commands that wait for compiled kernels get those of the library too. */
TEST(cli_compiler_that_fails_in_every_command) {
    NEED(program_there(), not_built);
    const char *cc = compiler("failing-cc", "echo cc 1.0", "echo 'error: no' ; exit 1");
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_write(program_temp("hello.txt"), "hello world", 11, &err), &err);
    check(cc, "error: no", (const char *const[]){ "logits", "--prompt", "hello", NULL });
    check(cc, "error: no", (const char *const[]){ "perplexity", "--file", program_temp("hello.txt"), NULL });
    check(cc, "error: no", (const char *const[]){ "bench", "--prompt-tokens", "8", "--tokens", "2", "--repeat", "1", NULL });
    PROGRAM_REFUSED(1, "does not run; install a C compiler", "run", "--model", tiny_model(), "--prompt", "hello", "--no-cache", "--compiler", "false", "--backend", "sim");
}

/* Nothing at all on the PATH. */
TEST(cli_without_a_path) {
    NEED(program_there(), not_built);
    NEED(fnd_baked_kernel_count > 0, "no kernels are compiled into this build");
    program_result r;
    const char *words[] = { "run", "--model", tiny_model(), "--prompt", "hello", "--max-tokens", "8", "--no-cache", NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .path = "/nonexistent" });
    CHECK_MSG(r.exit_code == 0 && r.out_bytes > 0, "%s", r.err);
    CHECK_HAS(r.err, "none of cc, gcc, clang is on the PATH");
    program_free(&r);
}
