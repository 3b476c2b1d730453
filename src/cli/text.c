/* text.c - texts from the command line and from files. */
#include "cli/text.h"
#include "base/file.h"
#include "base/memory.h"
#include "lm/unicode.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

fnd_status fnd_cli_one_of(const char *command, const char *first, const void *a, const char *second, const void *b, fnd_error *err) {
    if (a && b) return fnd_fail(err, FND_ERR_USAGE, "%s takes %s or %s, not both", command, first, second);
    if (!a && !b) return fnd_fail(err, FND_ERR_USAGE, "%s needs %s or %s; `foundry %s --help` shows an example", command, first, second, command);
    return FND_OK;
}

void fnd_cli_note_utf8(const char *what, const char *text, size_t bytes, const char *becomes) {
    size_t valid = fnd_utf8_valid(text, bytes);
    if (valid < bytes) fnd_cli_note("%s is not valid UTF-8 from byte %zu on; %s", what, valid, becomes);
}

const char *fnd_cli_file_name(const char *path, char *shown, size_t room) {
    return strcmp(path, "-") == 0 ? "standard input" : fnd_span_quote((fnd_span){ path, strlen(path) }, shown, room);
}

fnd_status fnd_cli_read_text(const char *text, const char *file, char **data, size_t *bytes, fnd_error *err) {
    if (text) {
        *bytes = strlen(text);
        *data = fnd_alloc_string(text, *bytes);
        if (!*data) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a text of %zu bytes", *bytes);
    } else {
        FND_TRY(fnd_file_read(file, FND_CLI_TEXT_BYTES, data, bytes, err));
    }
    if (!text && fnd_text_mark(*data, *bytes)) fnd_cli_note("the text begins with a byte order mark, which is taken as a part of it");
    fnd_cli_note_utf8("the text", *data, *bytes, "its bytes are taken as they are");
    return FND_OK;
}

fnd_status fnd_cli_parse_ids(const char *text, fnd_ids *ids, fnd_error *err) {
    char shown[80];
    for (const char *p = text;; p++) {
        uint64_t id = 0;
        const char *start = p;
        while (*p == ' ') start = ++p;
        for (; isdigit((unsigned char)*p) && id <= UINT32_MAX; p++) id = id * 10 + (uint64_t)(*p - '0');
        while (p > start && *p == ' ') p++;
        if (p == start || id > UINT32_MAX || (*p && *p != ',')) {
            return fnd_fail(err, FND_ERR_USAGE, "--ids needs whole numbers separated by commas, not '%s'", fnd_span_quote((fnd_span){ start, strlen(start) }, shown, sizeof shown));
        }
        FND_TRY(fnd_ids_add(ids, (uint32_t)id, err));
        if (!*p) return FND_OK;
    }
}

fnd_status fnd_cli_check_named(const char *what, const char *path, fnd_error *err) {
    if (!path || strcmp(path, "-") != 0) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s cannot be written to standard output (-); it needs a file, such as ./-", what);
}

fnd_status fnd_cli_check_writable(const char *path, fnd_error *err) {
    char folder[FND_PATH_BYTES];
    struct stat st;
    if (!path) return FND_OK;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: it is a folder", path);
    if (there && access(path, W_OK) != 0) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    if (there) return FND_OK;
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? fnd_max_size((size_t)(slash - path), 1) : 1;
    if (bytes >= sizeof folder) return fnd_fail(err, FND_ERR_FILE, "cannot write a file with a name of %zu bytes", strlen(path));
    snprintf(folder, sizeof folder, "%.*s", (int)bytes, slash ? path : ".");
    if (stat(folder, &st) == 0 && !S_ISDIR(st.st_mode)) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s is no folder", path, folder);
    if (access(folder, W_OK) != 0) return fnd_fail(err, FND_ERR_FILE, "cannot write %s: %s", path, strerror(errno));
    return FND_OK;
}

void fnd_cli_tokenizer_note(const char *path, const fnd_tokenizer *t) {
    char shown[200];
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(t);
    if (!info->pre_assumed) return;
    fnd_cli_note("%s does not name its pre-tokenizer (tokenizer.ggml.pre): \"%s\" is assumed%s; if the model was trained with another, its answers get worse until the file is converted anew",
                 fnd_span_quote((fnd_span){ path, strlen(path) }, shown, sizeof shown), info->pre, info->add_bos_assumed ? ", and that no BOS is put before a text" : "");
}
