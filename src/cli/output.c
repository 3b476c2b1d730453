/* output.c - standard output, standard error, and JSON. */
#include "cli/cli.h"
#include "lm/unicode.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

static bool in_line;

bool fnd_cli_in_line(void) { return in_line; }

static bool one_place(void) {
    struct stat out, err;
    return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 && out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

void fnd_cli_begin_note(void) {
    fnd_cli_progress_clear();
    if (!in_line || !one_place()) return;
    fputc('\n', stderr); /* to standard error: standard output carries results only */
    in_line = false;
}

void fnd_cli_note(const char *format, ...) {
    va_list args;
    fnd_cli_begin_note();
    va_start(args, format);
    fputs("foundry: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static fnd_status cannot_write(fnd_error *err) {
    int why = errno;
    if (why == EPIPE) return fnd_fail(err, FND_ERR_FILE, "standard output was closed by whoever read it");
    return fnd_fail(err, FND_ERR_FILE, "cannot write to standard output: %s", why ? strerror(why) : "it failed before");
}

fnd_status fnd_cli_put(const char *bytes, size_t count, fnd_error *err) {
    errno = 0;
    if (fwrite(bytes, 1, count, stdout) != count) return cannot_write(err);
    if (count) in_line = bytes[count - 1] != '\n';
    return FND_OK;
}

fnd_status fnd_cli_flush(fnd_error *err) {
    errno = 0;
    return fflush(stdout) == 0 && !ferror(stdout) ? FND_OK : cannot_write(err);
}

fnd_status fnd_cli_put_text(fnd_text *text, fnd_error *err) {
    fnd_status status = fnd_text_check(text, err);
    if (status == FND_OK) status = fnd_cli_put(fnd_text_get(text), text->bytes, err);
    if (status == FND_OK) status = fnd_cli_flush(err);
    fnd_text_free(text);
    return status;
}

/* ---- JSON ---- */

void fnd_cli_json_float(fnd_text *out, float value) {
    char digits[32];
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value) break;
    }
    fnd_text_str(out, isfinite(value) ? digits : "null");
}

void fnd_cli_json_text(fnd_text *out, const char *bytes, size_t count) {
    fnd_text_str(out, "\"");
    for (size_t i = 0; i < count;) {
        unsigned char c = (unsigned char)bytes[i];
        size_t length = fnd_utf8_char(bytes + i, count - i);
        if (length == 0)
            fnd_text_str(out, "\xEF\xBF\xBD");
        else if (c == '"' || c == '\\')
            fnd_text_printf(out, "\\%c", c);
        else if (c == '\n')
            fnd_text_str(out, "\\n");
        else if (c < 0x20 || c == 0x7F)
            fnd_text_printf(out, "\\u%04x", c);
        else
            fnd_text_add(out, bytes + i, length);
        i += length ? length : 1;
    }
    fnd_text_str(out, "\"");
}

void fnd_cli_json_string(fnd_text *out, const char *string) { fnd_cli_json_text(out, string, strlen(string)); }

void fnd_cli_json_number(fnd_text *out, double value) {
    if (isfinite(value))
        fnd_text_printf(out, "%.9g", value);
    else
        fnd_text_str(out, "null");
}
