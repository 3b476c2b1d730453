/* formats.c - formats of weights on the command line, and tensors in JSON. */
#include "cli/formats.h"

fnd_status fnd_cli_weight_format(const char *option, const char *name, fnd_format *out, fnd_error *err) {
    char shown[80];
    *out = fnd_format_by_name(name);
    const fnd_format_info *info = fnd_format_get(*out);
    if (info && info->is_weight) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s: there is no weight format '%s'; there are:" FND_CLI_FORMATS, option, fnd_span_quote((fnd_span){ name, strlen(name) }, shown, sizeof shown));
}

void fnd_cli_json_tensor(fnd_text *out, const fnd_gguf_tensor *t, size_t number) {
    fnd_text_printf(out, "%s\n    {\"name\": ", number ? "," : "");
    fnd_cli_json_text(out, t->name.data, t->name.bytes);
    fnd_text_printf(out, ", \"format\": \"%s\", \"dims\": [", fnd_format_get(t->format)->name);
    for (uint32_t d = 0; d < t->dim_count; d++) fnd_text_printf(out, "%s%llu", d ? ", " : "", (unsigned long long)t->dims[d]);
    fnd_text_printf(out, "], \"bytes\": %llu}", (unsigned long long)t->bytes);
}
