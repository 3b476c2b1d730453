/* test_process.c - running other programs. */
#include "test.h"

#include "base/process.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static fnd_status shell(const char *script, const char *input, fnd_text *output, int *exit_code, fnd_error *err) {
    const char *const argv[] = { "sh", "-c", script, NULL };
    return fnd_process_run(argv, input, 0, output, exit_code, err);
}

TEST(process_finds_programs) {
    char path[FND_PROCESS_PATH_BYTES];
    CHECK(fnd_process_find("sh", path) && path[0] == '/');
    CHECK(fnd_process_find("/bin/sh", path));
    CHECK_STR(path, "/bin/sh");
    CHECK(!fnd_process_find("no-such-program-here", path));
    CHECK_STR(path, "");
    CHECK(!fnd_process_find("/etc/passwd", path)); /* not executable */
    CHECK(!fnd_process_find("/tmp", path));        /* not a file */
    CHECK(!fnd_process_find("", path));
}

TEST(process_runs_programs) {
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code;
    CHECK_OK(shell("cat; echo out; echo err >&2; exit 3", "input\n", &output, &code, &err), &err);
    CHECK(code == 3);
    CHECK_STR(fnd_text_get(&output), "input\nout\nerr\n");
    fnd_text_clear(&output);
    CHECK_OK(shell("cat", NULL, &output, &code, &err), &err);
    CHECK(code == 0 && output.bytes == 0);
    CHECK_OK(shell("kill -9 $$", NULL, NULL, &code, &err), &err);
    CHECK(code == 128 + 9);
    const char *const nowhere[] = { "no-such-program-here", NULL };
    CHECK(fnd_process_run(nowhere, NULL, 0, &output, &code, &err) == FND_ERR_UNSUPPORTED);
    CHECK_STR(err.text, "no-such-program-here: no such program on the PATH");
    fnd_text_free(&output);
}

/* More than a pipe holds, in both directions, and a child that does not read what it is given. */
TEST(process_does_not_hang_on_much_text) {
    enum { BYTES = 300000 };
    char *input = malloc(BYTES + 1);
    REQUIRE(input);
    memset(input, 'x', BYTES);
    input[BYTES] = '\0';
    fnd_text output = { 0 };
    fnd_error err = { 0 };
    int code;
    CHECK_OK(shell("cat; cat /dev/null >&2", input, &output, &code, &err), &err);
    CHECK(code == 0 && output.bytes == BYTES);
    fnd_text_clear(&output);
    CHECK_OK(shell("exit 1", input, &output, &code, &err), &err);
    CHECK(code == 1 && output.bytes == 0);
    CHECK_OK(shell("head -c 2000000 /dev/zero", NULL, &output, &code, &err), &err);
    CHECK(code == 0 && output.bytes == 1 << 20);
    fnd_text_free(&output);
    free(input);
}

/* A program that neither ends nor says anything, one that talks on, and one that closed its output. */
TEST(process_stops_what_takes_too_long) {
    static const char *const scripts[] = { "exec sleep 1000", "while :; do echo on and on; done", "exec >&- 2>&-; sleep 1000" };
    int code;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const char *const argv[] = { "sh", "-c", scripts[i], NULL };
        fnd_text output = { 0 };
        fnd_error err = { 0 };
        CHECK_MSG(fnd_process_run(argv, NULL, 1, &output, &code, &err) == FND_ERR_LIMIT, "%s: %s", scripts[i], err.text);
        CHECK_HAS(err.text, "takes too long and was stopped");
        fnd_text_free(&output);
    }
    fnd_error err = { 0 };
    const char *const quick[] = { "sh", "-c", "exit 4", NULL };
    CHECK_OK(fnd_process_run(quick, NULL, 1000, NULL, &code, &err), &err);
    CHECK(code == 4);
}

TEST(process_temp_dir) {
    char dir[FND_PROCESS_PATH_BYTES], file[FND_PROCESS_PATH_BYTES + 8];
    fnd_error err = { 0 };
    fnd_status status = fnd_process_temp_dir(dir, &err);
    CHECK_OK(status, &err);
    REQUIRE(status == FND_OK);
    snprintf(file, sizeof file, "%s/file", dir);
    FILE *f = fopen(file, "w");
    CHECK(f != NULL);
    if (f) fclose(f);
    fnd_process_remove_dir(dir);
    CHECK(access(dir, F_OK) != 0);
    fnd_process_remove_dir("");
}

/* ---- ended from another thread ---- */

typedef struct ended_run {
    fnd_process_stop stop;
    char started[FND_PROCESS_PATH_BYTES + 16]; /* a file that the program makes */
} ended_run;

static void *end_when_started(void *ctx) {
    ended_run *r = ctx;
    while (access(r->started, F_OK) != 0) usleep(1000);
    fnd_process_end(&r->stop);
    return NULL;
}

/* A child of the program holds the output open: the run can only return when it is gone too. */
TEST(process_ends_with_its_children) {
    char dir[FND_PROCESS_PATH_BYTES], script[2 * FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    fnd_text output = { 0 };
    int code;
    pthread_t thread;
    ended_run r = { 0 };
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(r.started, sizeof r.started, "%s/started", dir);
    snprintf(script, sizeof script, "sleep 1000 & echo on; touch %s; wait", r.started);
    const char *const argv[] = { "sh", "-c", script, NULL };
    REQUIRE(pthread_create(&thread, NULL, end_when_started, &r) == 0);
    CHECK(fnd_process_run_until(argv, NULL, &(fnd_process_until){ .stop = &r.stop }, &output, &code, &err) == FND_ERR_CANCELLED);
    CHECK_HAS(err.text, "was ended before it was done");
    pthread_join(thread, NULL);
    fnd_process_remove_dir(dir);
    err = (fnd_error){ 0 }; /* once stopped, nothing starts any more */
    CHECK(fnd_process_run_until(argv, NULL, &(fnd_process_until){ .stop = &r.stop }, &output, &code, &err) == FND_ERR_CANCELLED);
    CHECK(access(r.started, F_OK) != 0);
    CHECK_STR(fnd_text_get(&output), "on\n");
    fnd_process_stop not_wanted = { 0 };
    CHECK_OK(fnd_process_run_until((const char *const[]){ "true", NULL }, NULL, &(fnd_process_until){ .stop = &not_wanted }, NULL, &code, &err), &err);
    CHECK(code == 0);
    fnd_text_free(&output);
}
