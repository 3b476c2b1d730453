/* progress.c - how far loading, compiling and reading the prompt are; and SIGINT. */
#include "cli/cli.h"

#include <signal.h>
#include <unistd.h>

static const uint64_t STEP_NS = 100000000; /* between two changes of the line */
static const uint64_t LONG_NS = 500000000; /* a step that takes longer than this is worth a line */

volatile bool fnd_cli_interrupted;

static void on_interrupt(int signal_number) {
    static volatile sig_atomic_t unanswered;
    unanswered = fnd_cli_interrupted ? unanswered + 1 : 1;
    fnd_cli_interrupted = true;
    if (unanswered >= 3) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

void fnd_cli_survive_interrupts(void) {
    struct sigaction again = { .sa_handler = on_interrupt }, old; /* no SA_RESTART: reading a line ends too */
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGINT, &again, NULL);
}

bool fnd_cli_answer_interrupt(void) {
    bool was = fnd_cli_interrupted;
    fnd_cli_interrupted = false;
    return was;
}

static struct {
    char what[96], detail[96];
    uint64_t start_ns, shown_ns;
    bool told, line; /* a plain line was written; a changing line is on the terminal */
} now;

void fnd_cli_progress_clear(void) {
    if (now.line) fputs("\r\033[K", stderr);
    now.line = false;
}

void fnd_cli_progress_detail(const char *detail) { snprintf(now.detail, sizeof now.detail, "%s", detail); }

static void draw_bar(uint64_t done, uint64_t total) {
    static const char full[] = "########################";
    enum { CELLS = sizeof full - 1 };
    double part = (double)done / (double)total;
    fprintf(stderr, "\r\033[K%s [%-*.*s] %3.0f %%%s%s", now.what, (int)CELLS, (int)(part * CELLS), full, 100.0 * part, now.detail[0] ? "  " : "", now.detail);
}

static void show_line(uint64_t done, uint64_t total, uint64_t at) {
    bool ends = total && done >= total;
    if (!ends && at - now.shown_ns < STEP_NS) return;
    now.shown_ns = at;
    if (ends) {
        fnd_cli_progress_clear();
        return;
    }
    if (!now.line) fnd_cli_begin_note();
    if (total)
        draw_bar(done, total);
    else
        fprintf(stderr, "\r\033[K%s", now.what);
    fflush(stderr);
    now.line = true;
}

static void show_plain(uint64_t done, uint64_t total, uint64_t at) {
    bool ends = total && done >= total;
    if (at - now.start_ns < LONG_NS || (now.told && !ends)) return;
    fnd_cli_begin_note();
    if (ends) {
        fprintf(stderr, "foundry: %s: done in %.1f s\n", now.what, 1e-9 * (double)(at - now.start_ns));
    } else {
        fprintf(stderr, "foundry: %s ...\n", now.what);
        now.told = true;
    }
}

void fnd_cli_progress(void *stoppable, const char *what, uint64_t done, uint64_t total) {
    static int terminal = -1;
    if (fnd_cli_interrupted && !stoppable) {
        fnd_cli_note("interrupted");
        fflush(NULL);
        _exit(FND_CLI_INTERRUPTED);
    }
    if (terminal < 0) terminal = isatty(STDERR_FILENO);
    uint64_t at = fnd_now_ns();
    if (strncmp(now.what, what, sizeof now.what - 1) != 0) {
        fnd_cli_progress_clear();
        snprintf(now.what, sizeof now.what, "%s", what);
        now.start_ns = at;
        now.shown_ns = 0;
        now.told = false;
    }
    if (terminal)
        show_line(done, total, at);
    else
        show_plain(done, total, at);
    if (total && done >= total) now.what[0] = now.detail[0] = '\0'; /* the same words again are another step */
}

fnd_status fnd_cli_check_interrupt(fnd_error *err) {
    return fnd_cli_interrupted ? fnd_fail(err, FND_ERR_CANCELLED, "interrupted") : FND_OK;
}
