/* test_cli_progress.c - progress where standard error is no terminal, and the second SIGINT. */
#include "base/base.h"
#include "base/file.h"
#include "base/process.h"
#include "foundry/context.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <signal.h>
#include <sys/stat.h>

static const char not_built[] = "the program is not built beside the tests";

/* A compiler that takes its time: `work` is done for each text. */
static const char *compiler(const char *name, const char *work) {
    char script[512];
    fnd_error err = { 0 };
    int bytes = snprintf(script, sizeof script, "#!/bin/sh\ncase \"$*\" in *--version*) echo 'cc 1.0' ;; *) %s ;; esac\n", work);
    CHECK_OK(fnd_file_write(program_temp(name), script, (size_t)bytes, &err), &err);
    CHECK(chmod(program_temp(name), 0700) == 0);
    return program_temp(name);
}

/* A line for a step when it has taken half a second, another when it is done; no control characters, and
 * nothing of it among the results. */
TEST(cli_progress_is_plain_lines_elsewhere) {
    char path[FND_PROCESS_PATH_BYTES];
    program_result r;
    NEED(program_there(), not_built);
    NEED(fnd_process_find("cc", path), "there is no cc");
    const char *cc = compiler("unhurried-cc", "sleep 0.4; exec cc \"$@\"");
    program_run(&r, (const char *const[]){ "logits", "--isa", "generic", "--model", tiny_model(), "--prompt", "hello", "--top", "1", "--no-cache", "--compiler", cc, NULL });
    CHECK_MSG(r.exit_code == 0, "%d: %s", r.exit_code, r.err);
    CHECK_HAS(r.err, "foundry: compiling kernels ...\n");
    CHECK_HAS(r.err, "foundry: compiling kernels: done in ");
    for (const char *p = r.err; *p; p++) CHECK_MSG(*p == '\n' || (unsigned char)*p >= ' ', "byte %d is on standard error: %s", *p, r.err);
    CHECK_MSG(!strstr(r.out, "compiling"), "%s", r.out);
    program_free(&r);
}

/* The first SIGINT waits for what cannot be stopped (here a compiler that does not end), the second does not. */
TEST(cli_second_interrupt_ends_at_once) {
    NEED(program_there(), not_built);
    program_result r;
    const char *cc = compiler("endless-cc", "sleep 20");
    const char *const words[] = { "logits", "--isa", "generic", "--model", tiny_model(), "--prompt", "hello", "--no-cache", "--compiler", cc, NULL };
    program_run_desc(&r, &(program_desc){ .words = words, .interrupt_ms = 500, .again_ms = 900 });
    CHECK_MSG(r.exit_code == 1000 + SIGINT, "%d: %s", r.exit_code, r.err);
    CHECK(r.out_bytes == 0);
    program_free(&r);
}
