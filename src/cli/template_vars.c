/* template_vars.c - K=JSON, as many as there are, to one JSON object; JSON in files. */
#include "cli/template_vars.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/text.h"

#include <ctype.h>
#include <jansson.h>

static fnd_status add(const char *item, fnd_text *out, fnd_error *err) {
    const char *equals = strchr(item, '='), *p = item;
    char shown[80];
    json_error_t where;
    while (isalnum((unsigned char)*p) || *p == '_') p++;
    if (!equals || p != equals || p == item || isdigit((unsigned char)*item)) {
        return fnd_fail(err, FND_ERR_USAGE, "--template-var needs NAME=JSON, not '%s'", fnd_span_quote((fnd_span){ item, strlen(item) }, shown, sizeof shown));
    }
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
    if (!value) {
        return fnd_fail(err, FND_ERR_USAGE, "--template-var %.*s: '%s' is no JSON (%s); a text needs its quotes: %.*s='\"text\"'", (int)fnd_min_size((size_t)(p - item), 60), item,
                        fnd_span_quote((fnd_span){ equals + 1, strlen(equals + 1) }, shown, sizeof shown), where.text, (int)fnd_min_size((size_t)(p - item), 60), item);
    }
    json_decref(value);
    fnd_text_str(out, out->bytes > 1 ? ", \"" : "\"");
    fnd_text_add(out, item, (size_t)(p - item));
    fnd_text_str(out, "\": ");
    fnd_text_str(out, equals + 1);
    return FND_OK;
}

fnd_status fnd_cli_template_vars(const fnd_cli_list *items, char **json, fnd_error *err) {
    fnd_text out = { 0 };
    fnd_status status = FND_OK;
    *json = NULL;
    if (items->count == 0) return FND_OK;
    fnd_text_str(&out, "{");
    for (size_t i = 0; i < items->count && status == FND_OK; i++) status = add(items->items[i], &out, err);
    fnd_text_str(&out, "}");
    if (status == FND_OK) status = fnd_text_check(&out, err);
    if (status == FND_OK) {
        *json = out.data;
    } else {
        fnd_text_free(&out);
    }
    return status;
}

/* ---- files ---- */

enum { JSON_BYTES = 256 << 20 };

fnd_status fnd_cli_read_json(const char *path, char **text, fnd_error *err) {
    size_t bytes;
    char shown[200];
    *text = NULL;
    FND_TRY(fnd_file_read_text(path, JSON_BYTES, text, &bytes, err));
    size_t used = strlen(*text);
    if (used == bytes) return FND_OK;
    fnd_free_memory(*text);
    *text = NULL;
    return fnd_fail(err, FND_ERR_FORMAT, "%s: byte %zu is a zero byte, which no JSON holds", fnd_cli_file_name(path, shown, sizeof shown), used);
}
