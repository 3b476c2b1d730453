/* errors.c - a compiler's complaint about a text, told with the file and line that a person has.
 *
 * The text says with #line from where its lines come. A compiler that knows #line names those itself; one that
 * counts the lines of what it was given ("program_source:120:5: error: ...") is translated. */
#include "backend/metal/metal.h"
#include "base/base.h"

#include <stdio.h>

enum { SHOWN_ERRORS = 3,
       MOST_DIGITS = 8 };
static const char given[] = "program_source:";

/* Where line `line` of the text comes from. False: before any #line. */
static bool origin(const char *text, unsigned long line, const char **file, size_t *file_bytes, unsigned long *at) {
    bool known = false;
    unsigned long number = 1, next = 0;
    for (const char *p = text; *p && number < line; number++) {
        unsigned long value;
        int used = 0;
        if (sscanf(p, "#line %lu \"%n", &value, &used) == 1 && used) {
            *file = p + used;
            *file_bytes = strcspn(p + used, "\"\n");
            next = value;
            known = true;
        } else {
            next++;
        }
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    *at = next;
    return known;
}

static void tell(const char *text, const char *line, size_t bytes, char *out, size_t room) {
    const char *file;
    size_t file_bytes, used = sizeof given - 1;
    unsigned long at;
    char digits[MOST_DIGITS + 1];
    if (bytes > used && strncmp(line, given, used) == 0) {
        size_t count = strspn(line + used, "0123456789");
        if (count && count <= MOST_DIGITS) {
            snprintf(digits, sizeof digits, "%.*s", (int)count, line + used);
            if (origin(text, strtoul(digits, NULL, 10), &file, &file_bytes, &at)) {
                size_t rest = used + count;
                snprintf(out, room, "%.*s:%lu%.*s", (int)file_bytes, file, at, (int)(bytes - rest), line + rest);
                return;
            }
        }
    }
    snprintf(out, room, "%.*s", (int)fnd_min_size(bytes, room), line);
}

void fnd_metal_explain(const char *text, const char *said, char *out, size_t bytes) {
    size_t used = 0;
    int shown = 0;
    out[0] = '\0';
    for (const char *line = said; *line && shown < SHOWN_ERRORS && used + 4 < bytes;) {
        size_t length = strcspn(line, "\n");
        const char *error = strstr(line, "error:");
        if (error && error < line + length) {
            if (shown++) used += (size_t)snprintf(out + used, bytes - used, "; ");
            tell(text, line, length, out + used, bytes - used);
            used += strlen(out + used);
        }
        line += length + (line[length] == '\n');
    }
    if (!shown) snprintf(out, bytes, "%.*s", (int)fnd_min_size(strcspn(said, "\n"), bytes), said);
}
