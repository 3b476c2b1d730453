/* main.c - foundry: which sub-command, and its exit code. */
#include "cli/cli.h"
#include "foundry/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static const fnd_cli_command *const commands[] = {
#define FND_CLI_ROW_(name) &fnd_cli_##name,
    FND_CLI_COMMANDS(FND_CLI_ROW_)
#undef FND_CLI_ROW_
};

const fnd_cli_command *fnd_cli_command_at(size_t index) { return index < FND_COUNT(commands) ? commands[index] : NULL; }

const fnd_cli_command *fnd_cli_find(const char *name) {
    for (size_t i = 0; i < FND_COUNT(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

static void on_interrupt(int signal_number) {
    (void)signal_number;
    fnd_cli_interrupted = true;
}

/* The first SIGINT asks, the second ends. A reader that goes away, or a file that may not grow, is an
 * error of the write. */
static void set_signals(void) {
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct sigaction old;
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

/* A standard stream that is closed must not become the number of a file opened later. */
static fnd_status hold_streams(fnd_error *err) {
    fnd_status status = FND_OK;
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        if (fd == STDOUT_FILENO) status = fnd_fail(err, FND_ERR_FILE, "standard output is closed");
        if (open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd) return fnd_fail(err, FND_ERR_FILE, "cannot open /dev/null: %s", strerror(errno));
    }
    return status;
}

static fnd_status unknown_command(const char *name, fnd_error *err) {
    char shown[80];
    fnd_nearest near = { .word = name, .bytes = strlen(name) };
    for (size_t i = 0; i < FND_COUNT(commands); i++) fnd_nearest_try(&near, commands[i]->name);
    return fnd_fail(err, FND_ERR_USAGE, "there is no command '%s'%s; `foundry help` lists them", fnd_span_quote((fnd_span){ name, near.bytes }, shown, sizeof shown), fnd_nearest_text(&near, ""));
}

static fnd_status help(const char *name, fnd_error *err) {
    const fnd_cli_command *command = name ? fnd_cli_find(name) : NULL;
    if (name && !command && strcmp(name, "help") != 0) return unknown_command(name, err);
    if (command)
        fnd_cli_help_command(command, stdout);
    else
        fnd_cli_help(stdout);
    return fnd_cli_flush(err);
}

/* The words behind "help": the name of a command, or none; --help among them asks for nothing more. */
static fnd_status help_words(int count, char **words, fnd_error *err) {
    const char *name = NULL;
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) continue;
        if (name) return fnd_fail(err, FND_ERR_USAGE, "help takes the name of one command");
        name = words[i];
    }
    return help(name, err);
}

static fnd_status version(fnd_error *err) {
    printf("foundry %s\n", fnd_version());
    return fnd_cli_flush(err);
}

/* What is installed beside the program: its words, of which the first stands where a command does.
 * *done: it was one of these. */
static fnd_status installed(int count, char **words, bool *done, fnd_error *err) {
    *done = true;
    if (count >= 1 && strcmp(words[0], "--man") == 0) {
        const fnd_cli_command *command = count > 1 ? fnd_cli_find(words[1]) : NULL;
        if (count > 2) return fnd_fail(err, FND_ERR_USAGE, "--man takes the name of one command");
        return count > 1 && !command ? unknown_command(words[1], err) : fnd_cli_manual(command, err);
    }
    if (count >= 1 && strcmp(words[0], "--completion") == 0) {
        if (count != 2) return fnd_fail(err, FND_ERR_USAGE, "--completion needs the name of one shell: bash or zsh");
        return fnd_cli_completion(words[1], err);
    }
    if (count == 1 && strcmp(words[0], "--commands") == 0) {
        for (size_t i = 0; i < FND_COUNT(commands); i++) puts(commands[i]->name);
        return fnd_cli_flush(err);
    }
    *done = false;
    return FND_OK;
}

static fnd_status run_command(const fnd_cli_command *command, int count, char **words, fnd_error *err) {
    fnd_cli_globals globals = { 0 };
    alignas(max_align_t) char options[FND_CLI_OPTIONS_BYTES] = { 0 };
    if (command->options_bytes > sizeof options) return fnd_fail(err, FND_ERR_LIMIT, "%s has %zu bytes of options", command->name, command->options_bytes);
    FND_TRY(fnd_cli_parse(command, count, words, &globals, options, err));
    if (globals.help) return help(command->name, err);
    if (globals.version) return version(err);
    FND_TRY(command->run(&globals, options, err));
    return fnd_cli_flush(err);
}

/* No command: what can be done without one. */
static fnd_status without_command(int count, char **words, fnd_error *err) {
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) return help(NULL, err);
        if (strcmp(words[i], "--version") == 0) return version(err);
    }
    char shown[80];
    if (count) return fnd_fail(err, FND_ERR_USAGE, "which command should '%s' belong to? `foundry help` lists them", fnd_span_quote((fnd_span){ words[0], strlen(words[0]) }, shown, sizeof shown));
    return fnd_fail(err, FND_ERR_USAGE, "which command? `foundry help` lists them");
}

static fnd_status run_main(int argc, char **argv, fnd_error *err) {
    FND_TRY(hold_streams(err));
    set_signals();
    bool done;
    FND_TRY(installed(argc - 1, argv + 1, &done, err));
    if (done) return FND_OK;
    int at = fnd_cli_command_word(argc, argv);
    if (at >= argc) return without_command(argc - 1, argv + 1, err);
    const char *name = argv[at];
    if (strcmp(name, "help") == 0) return help_words(argc - at - 1, argv + at + 1, err);
    const fnd_cli_command *command = fnd_cli_find(name);
    if (!command) return unknown_command(name, err);
    memmove(argv + 2, argv + 1, (size_t)(at - 1) * sizeof *argv); /* options before the command are like those behind it */
    return run_command(command, argc - 2, argv + 2, err);
}

/* Large blocks go back to the system when they are freed, and take pages as they are written, always: not
 * only until the first such block was freed, as is the C library's way. */
static void keep_heap_small(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    keep_heap_small();
    fnd_status status = run_main(argc, argv, &err);
    if (status == FND_OK) return FND_CLI_OK;
    if (fnd_cli_interrupted) {
        /* What failed after a SIGINT (a compiler gets the same signal) failed because of it. */
        fnd_cli_note("interrupted");
        return FND_CLI_INTERRUPTED;
    }
    fnd_cli_note("%s", err.text[0] ? err.text : fnd_status_text(status));
    return status == FND_ERR_USAGE ? FND_CLI_USAGE : FND_CLI_FAILURE;
}
