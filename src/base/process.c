/* process.c - posix_spawn, pipes and temporary directories. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2 */
#endif
#include "base/process.h"
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { OUTPUT_LIMIT_BYTES = 1 << 20 };

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

bool fnd_process_find(const char *name, char path[FND_PROCESS_PATH_BYTES]) {
    path[0] = '\0';
    if (strchr(name, '/')) {
        int length = snprintf(path, FND_PROCESS_PATH_BYTES, "%s", name);
        if (length > 0 && length < FND_PROCESS_PATH_BYTES && is_program(path)) return true;
        path[0] = '\0';
        return false;
    }
    const char *at = getenv("PATH");
    while (name[0] && at && *at) {
        size_t bytes = strcspn(at, ":");
        int length = snprintf(path, FND_PROCESS_PATH_BYTES, "%.*s/%s", (int)fnd_min_size(bytes, INT_MAX), at, name);
        if (bytes && length > 0 && length < FND_PROCESS_PATH_BYTES && is_program(path)) return true;
        at += bytes + (at[bytes] == ':');
    }
    path[0] = '\0';
    return false;
}

/* A pipe that other children do not inherit: one that did would keep its end open, and the reader
 * would wait for that child too. */
static int open_pipe(int ends[2]) {
#if defined(__linux__)
    return pipe2(ends, O_CLOEXEC);
#else
    if (pipe(ends) != 0) return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

/* The input as a file without a name: a child that stops reading early then costs neither a SIGPIPE
 * nor a deadlock. */
static fnd_status open_input(const char *input, int *fd, fnd_error *err) {
    FILE *f = tmpfile();
    if (!f) return fnd_fail(err, FND_ERR_FILE, "cannot create a temporary file: %s", strerror(errno));
    size_t bytes = strlen(input);
    bool written = fwrite(input, 1, bytes, f) == bytes && fflush(f) == 0;
    *fd = written ? fcntl(fileno(f), F_DUPFD_CLOEXEC, 3) : -1;
    int reason = errno;
    fclose(f);
    if (*fd < 0) return fnd_fail(err, FND_ERR_FILE, "cannot write a temporary file: %s", strerror(reason));
    lseek(*fd, 0, SEEK_SET);
    return FND_OK;
}

/* Start the program with `in` (-1: /dev/null) as its input and `out` as its output and errors; with
 * `group`, as the first of a process group, which a signal reaches as a whole. */
static int spawn(pid_t *pid, const char *program, const char *const *argv, int in, int out, bool group) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed) return failed;
    failed = posix_spawnattr_init(&attributes);
    if (failed) {
        posix_spawn_file_actions_destroy(&actions);
        return failed;
    }
    sigset_t none, pipes;
    sigemptyset(&none);
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE); /* we may ignore it; the child should not */
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipes);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, (short)(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (group ? POSIX_SPAWN_SETPGROUP : 0)));
    if (in >= 0)
        failed = posix_spawn_file_actions_adddup2(&actions, in, 0);
    else
        failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&actions, out, 2);
    if (!failed) failed = posix_spawn(pid, program, &actions, &attributes, (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* Milliseconds until then, for poll; -1: no limit. */
static int left_until(uint64_t deadline_ns) {
    if (!deadline_ns) return -1;
    uint64_t now = fnd_now_ns();
    uint64_t left = now >= deadline_ns ? 0 : (deadline_ns - now) / 1000000 + 1;
    return left > INT_MAX ? INT_MAX : (int)left;
}

/* Read until every writer is gone, keeping the first OUTPUT_LIMIT_BYTES. False: it takes too long. */
static bool drain(int fd, uint64_t deadline_ns, fnd_text *output) {
    char block[4096];
    size_t kept = 0;
    for (;;) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        int left = left_until(deadline_ns), count = left ? poll(&ready, 1, left) : 0;
        if (count == 0) return false;
        if (count < 0 && errno != EINTR) return true;
        if (count < 0) continue;
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return true;
        size_t take = fnd_min_size((size_t)n, OUTPUT_LIMIT_BYTES - kept);
        if (output) fnd_text_add(output, block, take);
        kept += take;
    }
}

/* ---- ending a run: the process may be signalled only until it has been waited for ---- */

static pthread_mutex_t stopping = PTHREAD_MUTEX_INITIALIZER;

static void end_group(const fnd_process_stop *stop) {
    if (stop->wanted && stop->pid > 0) kill(-stop->pid, SIGKILL);
}

void fnd_process_end(fnd_process_stop *stop) {
    pthread_mutex_lock(&stopping);
    stop->wanted = true;
    end_group(stop);
    pthread_mutex_unlock(&stopping);
}

/* What may be ended from now on (0: nothing). True when the end is wanted already. */
static bool may_end(fnd_process_stop *stop, pid_t pid) {
    if (!stop) return false;
    pthread_mutex_lock(&stopping);
    stop->pid = pid;
    end_group(stop);
    bool wanted = stop->wanted;
    pthread_mutex_unlock(&stopping);
    return wanted;
}

/* ---- a whole run ---- */

/* Has it ended? Waits for it unless there is a limit. It stays to be waited for: its number is its own. */
static int has_ended(pid_t pid, bool limited) {
    siginfo_t info = { .si_pid = 0 };
    int failed;
    do {
        failed = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | (limited ? WNOHANG : 0));
    } while (failed && errno == EINTR);
    return failed ? -1 : info.si_pid == pid;
}

typedef struct child {
    pid_t pid;
    const char *program;
    uint64_t deadline_ns; /* 0: never */
    fnd_process_stop *stop;
} child;

/* Its output has ended (`ended`) or not; the program may go on all the same. */
static fnd_status wait_for(const child *c, bool ended, int *exit_code, fnd_error *err) {
    static const struct timespec nap = { 0, 200000 };
    int state = 0, done = 0;
    while (ended && (done = has_ended(c->pid, c->deadline_ns != 0)) == 0) {
        if (left_until(c->deadline_ns) == 0) break;
        nanosleep(&nap, NULL);
    }
    if (done == 0) kill(c->stop ? -c->pid : c->pid, SIGKILL);
    bool unwanted = may_end(c->stop, 0);
    while (waitpid(c->pid, &state, 0) < 0) {
        if (errno != EINTR) return fnd_fail(err, FND_ERR_FILE, "lost track of %s: %s", c->program, strerror(errno));
    }
    if (unwanted) return fnd_fail(err, FND_ERR_CANCELLED, "%s was ended before it was done", c->program);
    if (done == 0) return fnd_fail(err, FND_ERR_LIMIT, "%s takes too long and was stopped", c->program);
    *exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    return FND_OK;
}

fnd_status fnd_process_run(const char *const *argv, const char *input, uint32_t limit_seconds, fnd_text *output, int *exit_code, fnd_error *err) {
    return fnd_process_run_until(argv, input, &(fnd_process_until){ .limit_seconds = limit_seconds }, output, exit_code, err);
}

fnd_status fnd_process_run_until(const char *const *argv, const char *input, const fnd_process_until *until, fnd_text *output, int *exit_code, fnd_error *err) {
    char program[FND_PROCESS_PATH_BYTES];
    int in = -1, out[2];
    child c = { .program = program, .stop = until->stop };
    if (until->limit_seconds) c.deadline_ns = fnd_now_ns() + until->limit_seconds * UINT64_C(1000000000);
    *exit_code = -1;
    if (!fnd_process_find(argv[0], program)) {
        return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: no such program%s", argv[0], strchr(argv[0], '/') ? "" : " on the PATH");
    }
    if (may_end(c.stop, 0)) return fnd_fail(err, FND_ERR_CANCELLED, "%s was not started: it is not wanted any more", program);
    if (input) FND_TRY(open_input(input, &in, err));
    if (open_pipe(out) != 0) {
        if (in >= 0) close(in);
        return fnd_fail(err, FND_ERR_FILE, "cannot open a pipe to %s: %s", program, strerror(errno));
    }
    int failed = spawn(&c.pid, program, argv, in, out[1], c.stop != NULL);
    close(out[1]);
    if (in >= 0) close(in);
    fnd_status status = FND_OK;
    if (failed) {
        status = fnd_fail(err, failed == ENOENT || failed == ENOEXEC ? FND_ERR_UNSUPPORTED : FND_ERR_FILE, "cannot run %s: %s", program, strerror(failed));
    } else {
        may_end(c.stop, c.pid);
        bool ended = drain(out[0], c.deadline_ns, output);
        status = wait_for(&c, ended, exit_code, err);
    }
    close(out[0]);
    if (status == FND_OK && output) status = fnd_text_check(output, err);
    return status;
}

fnd_status fnd_process_temp_dir(char path[FND_PROCESS_PATH_BYTES], fnd_error *err) {
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    int length = snprintf(path, FND_PROCESS_PATH_BYTES, "%s/foundry.XXXXXX", parent);
    if (length > 0 && length < FND_PROCESS_PATH_BYTES && mkdtemp(path)) return FND_OK;
    path[0] = '\0';
    return fnd_fail(err, FND_ERR_FILE, "cannot make a temporary directory in %s: %s", parent, length >= FND_PROCESS_PATH_BYTES ? "the path is too long" : strerror(errno));
}

void fnd_process_remove_dir(const char *path) {
    DIR *dir = *path ? opendir(path) : NULL;
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    rmdir(path);
}
