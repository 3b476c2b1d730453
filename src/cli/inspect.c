/* inspect.c - foundry inspect: what a model file holds. */
#include "cli/cli.h"
#include "foundry/model.h"

#include <stddef.h>

typedef struct inspect_options {
    const char *file;
    bool json;
} inspect_options;

static const fnd_cli_option options_list[] = {
    { "json", FND_CLI_FLAG, NULL, offsetof(inspect_options, json), "print one JSON object", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};

enum { MAX_FORMATS = 64 };

typedef struct format_row {
    uint32_t ggml_type;
    fnd_format format;
    uint64_t tensors, bytes;
} format_row;

typedef struct format_table {
    format_row rows[MAX_FORMATS];
    size_t count;
} format_table;

static void count_formats(const fnd_gguf *g, format_table *table) {
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        size_t r = 0;
        while (r < table->count && table->rows[r].ggml_type != t->ggml_type) r++;
        if (r == MAX_FORMATS) continue;
        if (r == table->count) table->rows[table->count++] = (format_row){ .ggml_type = t->ggml_type, .format = t->format };
        table->rows[r].tensors++;
        table->rows[r].bytes += t->bytes;
    }
}

static const char *format_name(fnd_format format, uint32_t ggml_type, char text[32]) {
    const fnd_format_info *info = fnd_format_get(format);
    if (info) return info->name;
    snprintf(text, 32, "ggml type %u", ggml_type);
    return text;
}

/* ---- as text ---- */

static void text_info(const fnd_model_info *m, fnd_text *out) {
    fnd_text_printf(out, "architecture      %s\n", m->architecture);
    if (m->name[0]) fnd_text_printf(out, "name              %s\n", m->name);
    fnd_text_printf(out, "layers            %u\nwidth             %u\nhidden width      %u\n", m->layers, m->dim, m->hidden_dim);
    fnd_text_printf(out, "heads             %u, for keys and values %u, of %u\n", m->heads, m->kv_heads, m->head_dim);
    fnd_text_printf(out, "vocabulary        %u%s\n", m->vocab, m->tied_head ? ", head tied to the embedding" : "");
    fnd_text_printf(out, "context           %u\n", m->context_length);
    fnd_text_printf(out, "rope              base %g, %s pairs\n", (double)m->rope_base, m->rope_pairing ? "half-split" : "adjacent");
    fnd_text_printf(out, "norm epsilon      %g\n", (double)m->norm_eps);
    fnd_text_printf(out, "q, k, v biases    %s\n", m->qkv_bias ? "yes" : "no");
    fnd_text_printf(out, "weights           %llu bytes\n", (unsigned long long)m->weight_bytes);
    fnd_text_printf(out, "bytes per token   %llu\n", (unsigned long long)m->bytes_per_token);
}

static void text_tensors(const fnd_gguf *g, const format_table *formats, fnd_text *out) {
    char name[32], shown[128];
    fnd_text_str(out, "\nformat        tensors           bytes\n");
    for (size_t i = 0; i < formats->count; i++) {
        const format_row *r = &formats->rows[i];
        fnd_text_printf(out, "%-12s  %7llu  %14llu\n", format_name(r->format, r->ggml_type, name), (unsigned long long)r->tensors, (unsigned long long)r->bytes);
    }
    fnd_text_str(out, "\ntensor                          format  shape (row length first)\n");
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        fnd_text_printf(out, "%-30s  %-6s ", fnd_span_quote(t->name, shown, sizeof shown), format_name(t->format, t->ggml_type, name));
        for (uint32_t d = 0; d < t->dim_count; d++) fnd_text_printf(out, "%s%llu", d ? " x " : " ", (unsigned long long)t->dims[d]);
        fnd_text_str(out, "\n");
    }
}

/* ---- as JSON ---- */

static void json_info(const fnd_model_info *m, fnd_text *out) {
    fnd_text_str(out, "  \"architecture\": ");
    fnd_cli_json_string(out, m->architecture);
    fnd_text_str(out, ", \"name\": ");
    fnd_cli_json_string(out, m->name);
    fnd_text_printf(out, ",\n  \"layers\": %u, \"dim\": %u, \"hidden_dim\": %u, \"heads\": %u, \"kv_heads\": %u, \"head_dim\": %u,\n", m->layers, m->dim, m->hidden_dim, m->heads, m->kv_heads, m->head_dim);
    fnd_text_printf(out, "  \"vocab\": %u, \"context_length\": %u, \"rope_base\": ", m->vocab, m->context_length);
    fnd_cli_json_float(out, m->rope_base);
    fnd_text_printf(out, ", \"rope_pairing\": \"%s\", \"norm_eps\": ", m->rope_pairing ? "half" : "adjacent");
    fnd_cli_json_float(out, m->norm_eps);
    fnd_text_printf(out, ",\n  \"tied_head\": %s, \"qkv_bias\": %s,\n", m->tied_head ? "true" : "false", m->qkv_bias ? "true" : "false");
    fnd_text_printf(out, "  \"weight_bytes\": %llu, \"bytes_per_token\": %llu,\n", (unsigned long long)m->weight_bytes, (unsigned long long)m->bytes_per_token);
}

static void json_tensors(const fnd_gguf *g, const format_table *formats, fnd_text *out) {
    char name[32];
    fnd_text_str(out, "  \"formats\": [");
    for (size_t i = 0; i < formats->count; i++) {
        const format_row *r = &formats->rows[i];
        fnd_text_printf(out, "%s{\"format\": \"%s\", \"tensors\": %llu, \"bytes\": %llu}", i ? ", " : "", format_name(r->format, r->ggml_type, name), (unsigned long long)r->tensors, (unsigned long long)r->bytes);
    }
    fnd_text_str(out, "],\n  \"tensors\": [");
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        fnd_text_printf(out, "%s\n    {\"name\": ", i ? "," : "");
        fnd_cli_json_text(out, t->name.data, t->name.bytes);
        fnd_text_printf(out, ", \"format\": \"%s\", \"dims\": [", format_name(t->format, t->ggml_type, name));
        for (uint32_t d = 0; d < t->dim_count; d++) fnd_text_printf(out, "%s%llu", d ? ", " : "", (unsigned long long)t->dims[d]);
        fnd_text_printf(out, "], \"offset\": %llu, \"bytes\": %llu}", (unsigned long long)t->offset, (unsigned long long)t->bytes);
    }
    fnd_text_str(out, "]\n");
}

static fnd_status inspect(const fnd_gguf *g, bool json, fnd_error *err) {
    fnd_model_info info;
    format_table formats = { .count = 0 };
    fnd_text out = { 0 };
    FND_TRY(fnd_model_read_info(g, &info, err));
    count_formats(g, &formats);
    if (json) {
        fnd_text_str(&out, "{\"path\": ");
        fnd_cli_json_string(&out, fnd_gguf_path(g));
        fnd_text_printf(&out, ", \"gguf_version\": %u, \"file_bytes\": %llu,\n", fnd_gguf_version(g), (unsigned long long)fnd_gguf_file_bytes(g));
        json_info(&info, &out);
        json_tensors(g, &formats, &out);
        fnd_text_str(&out, "}\n");
    } else {
        fnd_text_printf(&out, "file              %s (GGUF %u, %llu bytes)\n", fnd_gguf_path(g), fnd_gguf_version(g), (unsigned long long)fnd_gguf_file_bytes(g));
        text_info(&info, &out);
        text_tensors(g, &formats, &out);
    }
    return fnd_cli_put_text(&out, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const inspect_options *o = options;
    fnd_gguf *g;
    (void)globals;
    FND_TRY(fnd_cli_need(&fnd_cli_inspect, "the name of a file", o->file, err));
    FND_TRY(fnd_gguf_open(o->file, 0, &g, err));
    fnd_status status = inspect(g, o->json, err);
    fnd_gguf_close(g);
    return status;
}

const fnd_cli_command fnd_cli_inspect = {
    .name = "inspect",
    .doc = "hyper-parameters, tensors and formats of a model file",
    .usage = "F [--json]",
    .example = "  foundry inspect model.gguf",
    .options = options_list,
    .options_bytes = sizeof(inspect_options),
    .positional = "F",
    .positional_offset = offsetof(inspect_options, file),
    .run = run,
};
