/* chat_lines.c - lines from a terminal, by libedit, or from a pipe. */
#include "base/memory.h"
#include "cli/chat.h"

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

struct fnd_cli_lines {
    EditLine *edit; /* NULL: piped */
    History *history;
    HistEvent event;
    const char *history_file;
    fnd_text text;
    bool goes_on; /* asked for the rest of a line */
    bool begun;   /* the first line was read */
    char *piped;  /* of getline */
    size_t piped_room;
};

bool fnd_cli_lines_typed(const fnd_cli_lines *l) { return l->edit != NULL; }

/* ---- the terminal ---- */

static char *prompt(EditLine *edit) {
    static char first[] = "> ", more[] = ". ";
    fnd_cli_lines *l;
    el_get(edit, EL_CLIENTDATA, &l);
    return l->goes_on ? more : first;
}

static const int WATCH_MS = 100; /* how long a SIGINT that came just before the wait stays unnoticed */

/* One character. libedit's own would go on reading after a SIGINT; and a plain read() would sleep
   through one that comes between two lines, or that another thread of the program is given. */
static int get_char(EditLine *edit, wchar_t *out) {
    mbstate_t state = { 0 };
    (void)edit;
    while (!fnd_cli_interrupted) {
        char byte;
        struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
        if (poll(&input, 1, WATCH_MS) <= 0) continue;
        ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0 ? 0 : -1;
        size_t used = mbrtowc(out, &byte, 1, &state);
        if (used == (size_t)-2) continue; /* more bytes of it come */
        if (used == (size_t)-1) *out = (wchar_t)0xFFFD;
        return 1;
    }
    return -1;
}

static void use_utf8(void) {
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return;
    if (!setlocale(LC_CTYPE, "C.UTF-8")) setlocale(LC_CTYPE, "UTF-8"); /* the second: macOS */
}

/* There may be none yet; what is something else is not to be written over at the end. */
static fnd_status load_history(fnd_cli_lines *l, fnd_error *err) {
    struct stat st;
    if (!l->history_file || history(l->history, &l->event, H_LOAD, l->history_file) >= 0) return FND_OK;
    if (stat(l->history_file, &st) != 0 || st.st_size == 0) return FND_OK;
    return fnd_fail(err, FND_ERR_FORMAT, "%s is no history of chat lines; --history needs a file of its own", l->history_file);
}

static fnd_status open_terminal(fnd_cli_lines *l, fnd_error *err) {
    use_utf8();
    l->edit = el_init("foundry", stdin, stderr, stderr); /* standard output carries answers only */
    l->history = history_init();
    if (!l->edit || !l->history) return fnd_fail(err, FND_ERR_DEVICE, "the terminal cannot be used for editing lines");
    history(l->history, &l->event, H_SETSIZE, HISTORY_LINES);
    history(l->history, &l->event, H_SETUNIQUE, 1);
    FND_TRY(load_history(l, err));
    el_set(l->edit, EL_CLIENTDATA, l);
    el_set(l->edit, EL_PROMPT, prompt);
    el_set(l->edit, EL_EDITOR, "emacs");
    el_set(l->edit, EL_HIST, history, l->history);
    el_set(l->edit, EL_GETCFN, get_char);
    el_source(l->edit, NULL);
    return FND_OK;
}

fnd_status fnd_cli_lines_open(const char *history_file, fnd_cli_lines **out, fnd_error *err) {
    *out = NULL;
    fnd_cli_lines *l = fnd_alloc_zeroed(1, sizeof *l);
    if (!l) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for lines");
    l->history_file = history_file;
    fnd_status status = isatty(STDIN_FILENO) ? open_terminal(l, err) : FND_OK;
    if (status != FND_OK) {
        l->history_file = NULL;
        fnd_status ignored = fnd_cli_lines_close(l, err);
        (void)ignored;
        return status;
    }
    *out = l;
    return FND_OK;
}

fnd_status fnd_cli_lines_close(fnd_cli_lines *l, fnd_error *err) {
    fnd_status status = FND_OK;
    if (!l) return FND_OK;
    if (l->history && l->history_file && history(l->history, &l->event, H_SAVE, l->history_file) < 0) {
        status = fnd_fail(err, FND_ERR_FILE, "cannot write the history to %s: %s", l->history_file, strerror(errno));
    }
    if (l->edit) el_end(l->edit);
    if (l->history) history_end(l->history);
    fnd_text_free(&l->text);
    free(l->piped);
    fnd_free_memory(l);
    return status;
}

/* ---- lines ---- */

/* One line as it is; *bytes -1: there is none. */
static const char *read_line(fnd_cli_lines *l, ssize_t *bytes) {
    errno = 0;
    if (!l->edit) {
        *bytes = getline(&l->piped, &l->piped_room, stdin);
        size_t mark = l->begun || *bytes < 0 ? 0 : fnd_text_mark(l->piped, (size_t)*bytes); /* of a file of lines */
        l->begun = true;
        *bytes -= (ssize_t)mark;
        return mark ? l->piped + mark : l->piped;
    }
    int count = 0;
    el_resize(l->edit);
    el_set(l->edit, EL_PREP_TERM, 1); /* before the prompt: whoever waits for it may type at once, Ctrl-D too */
    const char *line = el_gets(l->edit, &count);
    *bytes = line && count > 0 ? count : -1;
    return line;
}

static void remember(fnd_cli_lines *l, const char *line, size_t bytes) {
    if (!l->history || !bytes) return;
    fnd_text copy = { 0 };
    fnd_text_add(&copy, line, bytes);
    history(l->history, &l->event, H_ENTER, fnd_text_get(&copy));
    fnd_text_free(&copy);
}

fnd_status fnd_cli_lines_next(fnd_cli_lines *l, fnd_span *text, fnd_cli_line *what, fnd_error *err) {
    fnd_text_clear(&l->text);
    *what = FND_CLI_LINE;
    for (l->goes_on = false;; l->goes_on = true) {
        ssize_t count;
        const char *line = read_line(l, &count);
        if (fnd_cli_interrupted) {
            if (l->edit) fputs("\n", stderr);
            if (!l->edit) clearerr(stdin);
            *what = FND_CLI_LINE_INTERRUPTED;
            return FND_OK;
        }
        if (count < 0 && errno && ferror(stdin)) return fnd_fail(err, FND_ERR_FILE, "cannot read standard input: %s", strerror(errno));
        if (count < 0) {
            if (!l->goes_on) *what = FND_CLI_LINE_END;
            break;
        }
        size_t bytes = (size_t)count;
        if (bytes && line[bytes - 1] == '\n') bytes--;
        if (bytes && line[bytes - 1] == '\r') bytes--;
        remember(l, line, bytes);
        bool more = bytes && line[bytes - 1] == '\\';
        fnd_text_add(&l->text, line, bytes - more);
        if (!more) break;
        fnd_text_str(&l->text, "\n");
    }
    *text = (fnd_span){ fnd_text_get(&l->text), l->text.bytes };
    return fnd_text_check(&l->text, err);
}
