/* program.c - running the program beside the tests. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* posix_openpt */
#endif
#include "program.h"
#include "base/process.h"
#include "base/system.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORDS = 40,
       LIMIT_SECONDS = 300 };

/* ---- places ---- */

const char *program_path(void) {
    static char path[4096];
    if (path[0]) return path;
    fnd_system_program_path(path, sizeof path - 16);
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] != '/') n--;
    snprintf(path + n, sizeof path - n, "foundry");
    return path;
}

bool program_there(void) { return access(program_path(), X_OK) == 0; }

static char temp_dir[FND_PROCESS_PATH_BYTES];

static void remove_temp(void) { fnd_process_remove_dir(temp_dir); }

const char *program_temp(const char *name) {
    static char paths[64][FND_PROCESS_PATH_BYTES + 256];
    static unsigned next;
    char *path = paths[next++ % 64];
    if (!temp_dir[0]) {
        fnd_error err = { 0 };
        if (fnd_process_temp_dir(temp_dir, &err) != FND_OK) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
        atexit(remove_temp);
    }
    snprintf(path, sizeof paths[0], "%s/%s", temp_dir, name);
    return path;
}

const char *program_cache(void) {
    static char path[4096];
    char here[4000];
    if (path[0]) return path;
    if (!getcwd(here, sizeof here)) abort();
    snprintf(path, sizeof path, "%s/build/test-cache", here);
    return path;
}

/* ---- the child ---- */

static void set_environment(void) {
    static const char *const ours[] = { "FOUNDRY_BACKEND", "FOUNDRY_THREADS", "FOUNDRY_ISA", "FOUNDRY_KERNEL_DIR" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) unsetenv(ours[i]);
    const char *isa = getenv("FOUNDRY_TEST_ISA");
    if (isa && isa[0]) setenv("FOUNDRY_ISA", isa, 1);
    setenv("FOUNDRY_CACHE_DIR", program_cache(), 1);
}

/* A terminal of our own: what the program writes to one end is read from the other. */
typedef struct terminal {
    int ours, its;
} terminal;

static bool open_terminal(terminal *t) {
    struct termios raw;
    t->ours = posix_openpt(O_RDWR | O_NOCTTY);
    if (t->ours < 0 || grantpt(t->ours) != 0 || unlockpt(t->ours) != 0) return false;
    t->its = open(ptsname(t->ours), O_RDWR | O_NOCTTY);
    if (t->its < 0 || tcgetattr(t->its, &raw) != 0) return false;
    cfmakeraw(&raw);
    return tcsetattr(t->its, TCSANOW, &raw) == 0 && fcntl(t->ours, F_SETFL, O_NONBLOCK) == 0;
}

static void close_terminal(terminal *t) {
    if (t->ours >= 0) close(t->ours);
    if (t->its >= 0) close(t->its);
}

static void read_terminal(const terminal *t, FILE *to) {
    char block[4096];
    ssize_t n;
    while (t->ours >= 0 && (n = read(t->ours, block, sizeof block)) > 0) fwrite(block, 1, (size_t)n, to);
    fflush(to);
}

static int open_output(program_output output, const terminal *t, FILE *kept) {
    int ends[2];
    switch (output) {
    case PROGRAM_TERMINAL:
        return t->its;
    case PROGRAM_FULL:
        return open("/dev/full", O_WRONLY);
    case PROGRAM_NO_READER:
        if (pipe(ends) != 0) return -1;
        close(ends[0]);
        return ends[1];
    default:
        return fileno(kept);
    }
}

void program_become(const char *const *words) {
    char *argv[MAX_WORDS + 2] = { "foundry" };
    size_t count = 1;
    for (size_t i = 0; words[i] && count <= MAX_WORDS; i++) {
        char *word = strdup(words[i]);
        argv[count++] = word;
    }
    set_environment();
    signal(SIGINT, SIG_DFL);
    execv(program_path(), argv);
    _exit(127);
}

static void be_the_program(const program_desc *desc, const terminal *t, FILE *in, FILE *out, FILE *err) {
    if (desc->file_limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){ desc->file_limit, desc->file_limit });
    if (desc->path) setenv("PATH", desc->path, 1);
    int to = open_output(desc->output, t, out);
    bool both = desc->output == PROGRAM_BOTH || desc->output == PROGRAM_TERMINAL;
    if (dup2(fileno(in), 0) < 0 || dup2(to, 1) < 0 || dup2(both ? to : fileno(err), 2) < 0) _exit(126);
    if (desc->output == PROGRAM_CLOSED) close(1);
    program_become(desc->words);
}

/* ---- the parent ---- */

static bool is_empty(FILE *file) {
    struct stat st;
    return fstat(fileno(file), &st) != 0 || st.st_size == 0;
}

static int wait_for(pid_t child, const program_desc *desc, const terminal *t, FILE *out) {
    struct timespec start, now, nap = { 0, 1000000 };
    bool interrupt = desc->interrupt, timed = desc->interrupt_ms != 0, again = desc->again_ms != 0;
    int status;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        pid_t done = waitpid(child, &status, WNOHANG);
        read_terminal(t, out);
        if (done == child) return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        if (done < 0 && errno != EINTR) return -1;
        if (interrupt && !is_empty(out)) {
            kill(child, SIGINT);
            interrupt = false;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        double ms = 1e3 * (double)(now.tv_sec - start.tv_sec) + 1e-6 * (double)(now.tv_nsec - start.tv_nsec);
        if (timed && ms >= desc->interrupt_ms) {
            kill(child, SIGINT);
            timed = false;
        }
        if (again && ms >= desc->again_ms) {
            kill(child, SIGINT);
            again = false;
        }
        if (now.tv_sec - start.tv_sec > LIMIT_SECONDS) break;
        nanosleep(&nap, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

static char *read_all(FILE *file, size_t *bytes) {
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    if (!text) abort();
    *bytes = fread(text, 1, (size_t)size, file);
    return text;
}

void program_run_desc(program_result *r, const program_desc *desc) {
    FILE *in = tmpfile(), *out = tmpfile(), *err = tmpfile();
    size_t err_bytes;
    terminal t = { -1, -1 };
    if (desc->output == PROGRAM_TERMINAL && !open_terminal(&t)) fnd_test_failed(__FILE__, __LINE__, "no terminal could be made: %s", strerror(errno));
    if (!in || !out || !err) abort();
    if (desc->input) fwrite(desc->input, 1, desc->input_bytes ? desc->input_bytes : strlen(desc->input), in);
    rewind(in);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) be_the_program(desc, &t, in, out, err);
    r->exit_code = child < 0 ? -1 : wait_for(child, desc, &t, out);
    close_terminal(&t);
    r->out = read_all(out, &r->out_bytes);
    r->err = read_all(err, &err_bytes);
    fclose(in);
    fclose(out);
    fclose(err);
}

void program_run(program_result *r, const char *const *words) { program_run_desc(r, &(program_desc){ .words = words }); }

void program_free(program_result *r) {
    free(r->out);
    free(r->err);
}

/* Steps that take long on a slow machine are told: "foundry: reading weights ...", "... done in 2.1 s". */
static const char *behind_progress(const char *text) {
    for (;;) {
        size_t bytes = strcspn(text, "\n");
        const char *done = strstr(text, ": done in ");
        bool begins = bytes > 4 && memcmp(text + bytes - 4, " ...", 4) == 0;
        if (!text[bytes] || !(begins || (done && done < text + bytes))) return text;
        text += bytes + 1;
    }
}

static bool one_sentence(const char *text) {
    const char *end = strchr(text, '\n');
    return strncmp(text, "foundry: ", 9) == 0 && end && !end[1] && end - text > 12;
}

void program_refused(program_result *r, int exit_code, const char *part, const char *file, int line) {
    if (r->exit_code != exit_code) fnd_test_failed(file, line, "exit code %d, expected %d; it says: %s", r->exit_code, exit_code, r->err);
    if (r->out_bytes) fnd_test_failed(file, line, "something is on standard output: %.200s", r->out);
    if (!one_sentence(behind_progress(r->err))) fnd_test_failed(file, line, "standard error is not one sentence: %s", r->err);
    if (!strstr(r->err, part)) fnd_test_failed(file, line, "\"%s\" lacks \"%s\"", r->err, part);
    program_free(r);
}
