/* text.c - texts from the command line and from files. */
#include "cli/text.h"
#include "base/file.h"
#include "base/memory.h"
#include "lm/unicode.h"

enum { TEXT_LIMIT_BYTES = 256 << 20 };

fnd_status fnd_cli_one_of(const char *command, const char *first, const void *a, const char *second, const void *b, fnd_error *err) {
    if (a && b) return fnd_fail(err, FND_ERR_USAGE, "%s takes %s or %s, not both", command, first, second);
    if (!a && !b) return fnd_fail(err, FND_ERR_USAGE, "%s needs %s or %s; `foundry %s --help` shows an example", command, first, second, command);
    return FND_OK;
}

void fnd_cli_note_utf8(const char *what, const char *text, size_t bytes) {
    size_t valid = fnd_utf8_valid(text, bytes);
    if (valid < bytes) fnd_cli_note("%s is not valid UTF-8 from byte %zu on; its bytes are taken as they are", what, valid);
}

fnd_status fnd_cli_read_text(const char *text, const char *file, char **data, size_t *bytes, fnd_error *err) {
    if (text) {
        *bytes = strlen(text);
        *data = fnd_alloc_string(text, *bytes);
        if (!*data) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a text of %zu bytes", *bytes);
    } else {
        FND_TRY(fnd_file_read(file, TEXT_LIMIT_BYTES, data, bytes, err));
    }
    fnd_cli_note_utf8("the text", *data, *bytes);
    return FND_OK;
}
