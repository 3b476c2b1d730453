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

static fnd_status count_formats(const fnd_gguf *g, format_table *table, fnd_error *err) {
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        size_t r = 0;
        while (r < table->count && table->rows[r].ggml_type != t->ggml_type) r++;
        if (r == MAX_FORMATS) return fnd_fail(err, FND_ERR_FORMAT, "%s has tensors of more than %d types, which no model has; the file is damaged", fnd_gguf_path(g), MAX_FORMATS);
        if (r == table->count) table->rows[table->count++] = (format_row){ .ggml_type = t->ggml_type, .format = t->format };
        table->rows[r].tensors++;
        table->rows[r].bytes += t->bytes;
    }
    return FND_OK;
}

static const char *format_name(fnd_format format, uint32_t ggml_type, char text[32]) {
    const fnd_format_info *info = fnd_format_get(format);
    if (info) return info->name;
    snprintf(text, 32, "ggml type %u", ggml_type);
    return text;
}

/* "?" for bytes that only who knows the format can tell. */
static const char *bytes_text(fnd_format format, uint64_t bytes, const char *unknown, char text[32]) {
    snprintf(text, 32, "%llu", (unsigned long long)bytes);
    return fnd_format_get(format) ? text : unknown;
}

/* ---- the file ---- */

typedef struct inspected {
    fnd_gguf *g;
    fnd_model_info info;
    bool has_info;           /* the architecture is known, and what the file says of it makes sense */
    bool has_bytes;          /* so are all formats */
    fnd_error why_not;       /* it cannot be run; "": nothing speaks against it */
    fnd_tokenizer *t;        /* NULL: it cannot be used */
    fnd_error why_no_tokens; /* and why */
    format_table formats;
} inspected;

/* A file that is whole, and yet not for us, is listed as far as it is understood. A damaged one is refused. */
static fnd_status open_file(const char *path, inspected *f, fnd_error *err) {
    fnd_status status = fnd_gguf_open(path, 0, &f->g, &f->why_not);
    f->has_bytes = status == FND_OK;
    if (status == FND_ERR_UNSUPPORTED) return fnd_gguf_open(path, FND_GGUF_ANY_TYPE, &f->g, err);
    return status == FND_OK ? FND_OK : fnd_fail(err, status, "%s", f->why_not.text);
}

static fnd_status look(inspected *f, fnd_error *err) {
    fnd_error why = { 0 };
    fnd_status status = fnd_model_read_info(f->g, &f->info, &why);
    fnd_status opened = fnd_tokenizer_open(f->g, &f->t, &f->why_no_tokens);
    if (status != FND_ERR_UNSUPPORTED && !fnd_gguf_tensor_count(f->g)) {
        fnd_fail(&f->why_not, FND_ERR_UNSUPPORTED, "%s has no tensors, only metadata", fnd_gguf_path(f->g));
        return FND_OK;
    }
    if (status != FND_OK && status != FND_ERR_UNSUPPORTED) return fnd_fail(err, status, "%s", why.text);
    f->has_info = status == FND_OK;
    if (status == FND_OK && opened != FND_OK) fnd_fail(&why, opened, "%s", f->why_no_tokens.text);
    if (status == FND_OK && opened == FND_OK && f->has_bytes) status = fnd_model_check(f->g, &why);
    if (why.status != FND_OK) fnd_fail(&f->why_not, why.status, "%s", why.text); /* keeps what was found before */
    return FND_OK;
}

/* ---- metadata of other architectures ---- */

/* Numbers, truths and short strings; of general.* and of the architecture's own keys. */
static bool worth_showing(const fnd_gguf *g, const fnd_gguf_value *v) {
    fnd_span architecture = { 0 };
    fnd_error ignored = { 0 };
    if (v->type == FND_GGUF_ARRAY || (v->type == FND_GGUF_STRING && fnd_gguf_string(v).bytes > 100)) return false;
    if (v->key.bytes > 8 && memcmp(v->key.data, "general.", 8) == 0) return true;
    if (fnd_gguf_maybe_str(g, "general.architecture", &architecture, &ignored) != FND_OK || !architecture.bytes) return false;
    return v->key.bytes > architecture.bytes && memcmp(v->key.data, architecture.data, architecture.bytes) == 0 && v->key.data[architecture.bytes] == '.';
}

static void add_value(const fnd_gguf_value *v, fnd_text *out) {
    if (v->type == FND_GGUF_STRING)
        fnd_cli_json_text(out, fnd_gguf_string(v).data, fnd_gguf_string(v).bytes);
    else if (v->type == FND_GGUF_BOOL)
        fnd_text_str(out, fnd_gguf_integer_at(v, 0) ? "true" : "false");
    else if (v->type == FND_GGUF_F32)
        fnd_cli_json_float(out, (float)fnd_gguf_float_at(v, 0));
    else if (v->type == FND_GGUF_F64)
        fnd_cli_json_number(out, fnd_gguf_float_at(v, 0));
    else
        fnd_text_printf(out, "%lld", (long long)fnd_gguf_integer_at(v, 0));
}

static void text_metadata(const fnd_gguf *g, fnd_text *out) {
    char key[128];
    for (size_t i = 0; i < fnd_gguf_value_count(g); i++) {
        const fnd_gguf_value *v = fnd_gguf_value_at(g, i);
        if (!worth_showing(g, v)) continue;
        fnd_text_printf(out, "%-40s  ", fnd_span_quote(v->key, key, sizeof key));
        add_value(v, out);
        fnd_text_str(out, "\n");
    }
}

static void json_metadata(const fnd_gguf *g, fnd_text *out) {
    bool any = false;
    fnd_text_str(out, "  \"metadata\": {");
    for (size_t i = 0; i < fnd_gguf_value_count(g); i++) {
        const fnd_gguf_value *v = fnd_gguf_value_at(g, i);
        if (!worth_showing(g, v)) continue;
        fnd_text_str(out, any ? ",\n    " : "\n    ");
        fnd_cli_json_text(out, v->key.data, v->key.bytes);
        fnd_text_str(out, ": ");
        add_value(v, out);
        any = true;
    }
    fnd_text_str(out, "},\n");
}

/* ---- the tokenizer ---- */

static void text_token(const fnd_tokenizer *t, const char *name, int32_t id, const char *more, fnd_text *out) {
    fnd_text_printf(out, "%-18s", name);
    if (id >= 0) {
        fnd_span text = fnd_token_text(t, (uint32_t)id);
        fnd_text_printf(out, "%d ", id);
        fnd_cli_json_text(out, text.data, text.bytes);
        fnd_text_printf(out, "%s\n", more);
    } else {
        fnd_text_str(out, "none\n");
    }
}

static void text_tokenizer(const inspected *f, fnd_text *out) {
    char bos[96];
    if (!f->t) {
        if (strcmp(f->why_no_tokens.text, f->why_not.text) != 0) fnd_text_printf(out, "tokenizer         cannot be used: %s\n", f->why_no_tokens.text);
        return;
    }
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(f->t);
    fnd_text_printf(out, "tokenizer         %s, %u tokens", info->model, info->token_count);
    if (info->pre[0]) fnd_text_printf(out, ", pre-tokenizer %s%s", info->pre, info->pre_assumed ? " (assumed: the file has no tokenizer.ggml.pre)" : "");
    fnd_text_str(out, "\n");
    snprintf(bos, sizeof bos, ", %sput before a text%s", info->add_bos ? "" : "not ", info->add_bos_assumed ? " (assumed: the file has no tokenizer.ggml.add_bos_token)" : "");
    text_token(f->t, "BOS", info->bos, bos, out);
    text_token(f->t, "EOS", info->eos, info->add_eos ? ", put behind a text" : "", out);
}

static void json_tokenizer(const inspected *f, fnd_text *out) {
    fnd_text_str(out, "  \"tokenizer\": {\"why_not\": ");
    if (!f->t) {
        fnd_cli_json_string(out, f->why_no_tokens.text);
        fnd_text_str(out, "},\n");
        return;
    }
    const fnd_tokenizer_info *info = fnd_tokenizer_get_info(f->t);
    const struct {
        const char *name;
        int32_t id;
    } ids[] = { { "bos", info->bos }, { "eos", info->eos }, { "eot", info->eot }, { "unknown", info->unknown }, { "padding", info->padding } };
    fnd_text_str(out, "null, \"model\": ");
    fnd_cli_json_string(out, info->model);
    fnd_text_str(out, ", \"pre\": ");
    if (info->pre[0])
        fnd_cli_json_string(out, info->pre);
    else
        fnd_text_str(out, "null");
    fnd_text_printf(out, ", \"pre_assumed\": %s, \"tokens\": %u", info->pre_assumed ? "true" : "false", info->token_count);
    for (size_t i = 0; i < FND_COUNT(ids); i++) {
        fnd_text_printf(out, ", \"%s\": ", ids[i].name);
        fnd_text_printf(out, ids[i].id < 0 ? "null" : "%d", ids[i].id);
    }
    fnd_text_printf(out, ", \"add_bos\": %s, \"add_bos_assumed\": %s, \"add_eos\": %s},\n", info->add_bos ? "true" : "false", info->add_bos_assumed ? "true" : "false", info->add_eos ? "true" : "false");
}

/* ---- as text ---- */

static void text_info(const fnd_model_info *m, fnd_text *out) {
    fnd_text_printf(out, "architecture      %s\n", m->architecture);
    if (m->name[0]) fnd_text_printf(out, "name              %s\n", m->name);
    fnd_text_printf(out, "layers            %u\nwidth             %u\nhidden width      %u\n", m->layers, m->dim, m->hidden_dim);
    fnd_text_printf(out, "heads             %u, for keys and values %u, of %u\n", m->heads, m->kv_heads, m->head_dim);
    fnd_text_printf(out, "vocabulary        %u%s\n", m->vocab, m->tied_head ? ", head tied to the embedding" : "");
    fnd_text_printf(out, "context           %u", m->context_length);
    if (m->sliding_window) fnd_text_printf(out, ", not %u as the file says: there the sliding window of attention would begin", m->whole_context);
    if (m->original_context) fnd_text_printf(out, ", before scaling %u", m->original_context);
    fnd_text_printf(out, "\nrope              base %g, %s pairs", (double)m->rope_base, m->rope_pairing ? "half-split" : "adjacent");
    if (m->rope_dim != m->head_dim) fnd_text_printf(out, " of %u values", m->rope_dim);
    fnd_text_printf(out, "\nrope scaling      %s", m->rope_scaling);
    if (m->rope_factor != 1.0f) fnd_text_printf(out, " by %g", (double)m->rope_factor);
    fnd_text_str(out, "\n");
    fnd_text_printf(out, "norm epsilon      %g\n", (double)m->norm_eps);
    fnd_text_printf(out, "q, k, v biases    %s\n", m->qkv_bias ? "yes" : "no");
}

static void text_bytes(const fnd_model_info *m, fnd_text *out) {
    fnd_text_printf(out, "weights           %llu bytes\n", (unsigned long long)m->weight_bytes);
    fnd_text_printf(out, "bytes per token   %llu\n", (unsigned long long)m->bytes_per_token);
}

static void text_tensors(const fnd_gguf *g, const format_table *formats, fnd_text *out) {
    char name[32], bytes[32], shown[128];
    fnd_text_str(out, "\nformat        tensors           bytes\n");
    for (size_t i = 0; i < formats->count; i++) {
        const format_row *r = &formats->rows[i];
        fnd_text_printf(out, "%-12s  %7llu  %14s\n", format_name(r->format, r->ggml_type, name), (unsigned long long)r->tensors, bytes_text(r->format, r->bytes, "?", bytes));
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
    fnd_text_printf(out, ", \"rope_pairing\": \"%s\", \"rope_dim\": %u, \"rope_scaling\": \"%s\", \"rope_factor\": ", m->rope_pairing ? "half" : "adjacent", m->rope_dim, m->rope_scaling);
    fnd_cli_json_float(out, m->rope_factor);
    fnd_text_printf(out, ", \"original_context\": %u, \"sliding_window\": %u, \"norm_eps\": ", m->original_context, m->sliding_window);
    fnd_cli_json_float(out, m->norm_eps);
    fnd_text_printf(out, ",\n  \"tied_head\": %s, \"qkv_bias\": %s,\n", m->tied_head ? "true" : "false", m->qkv_bias ? "true" : "false");
}

static void json_bytes(const fnd_model_info *m, fnd_text *out) {
    fnd_text_printf(out, "  \"weight_bytes\": %llu, \"bytes_per_token\": %llu,\n", (unsigned long long)m->weight_bytes, (unsigned long long)m->bytes_per_token);
}

static void json_tensors(const fnd_gguf *g, const format_table *formats, fnd_text *out) {
    char name[32], bytes[32];
    fnd_text_str(out, "  \"formats\": [");
    for (size_t i = 0; i < formats->count; i++) {
        const format_row *r = &formats->rows[i];
        fnd_text_printf(out, "%s{\"format\": \"%s\", \"tensors\": %llu, \"bytes\": %s}", i ? ", " : "", format_name(r->format, r->ggml_type, name), (unsigned long long)r->tensors, bytes_text(r->format, r->bytes, "null", bytes));
    }
    fnd_text_str(out, "],\n  \"tensors\": [");
    for (size_t i = 0; i < fnd_gguf_tensor_count(g); i++) {
        const fnd_gguf_tensor *t = fnd_gguf_tensor_at(g, i);
        fnd_text_printf(out, "%s\n    {\"name\": ", i ? "," : "");
        fnd_cli_json_text(out, t->name.data, t->name.bytes);
        fnd_text_printf(out, ", \"format\": \"%s\", \"dims\": [", format_name(t->format, t->ggml_type, name));
        for (uint32_t d = 0; d < t->dim_count; d++) fnd_text_printf(out, "%s%llu", d ? ", " : "", (unsigned long long)t->dims[d]);
        fnd_text_printf(out, "], \"offset\": %llu, \"bytes\": %s}", (unsigned long long)t->offset, bytes_text(t->format, t->bytes, "null", bytes));
    }
    fnd_text_str(out, "]\n");
}

static void print_json(const inspected *f, fnd_text *out) {
    fnd_text_str(out, "{\"path\": ");
    fnd_cli_json_string(out, fnd_gguf_path(f->g));
    fnd_text_printf(out, ", \"gguf_version\": %u, \"file_bytes\": %llu, \"why_not\": ", fnd_gguf_version(f->g), (unsigned long long)fnd_gguf_file_bytes(f->g));
    if (f->why_not.text[0])
        fnd_cli_json_string(out, f->why_not.text);
    else
        fnd_text_str(out, "null");
    fnd_text_str(out, ",\n");
    if (f->has_info) json_info(&f->info, out);
    if (f->has_info && f->has_bytes) json_bytes(&f->info, out);
    json_tokenizer(f, out);
    json_metadata(f->g, out);
    json_tensors(f->g, &f->formats, out);
    fnd_text_str(out, "}\n");
}

static void print_text(const inspected *f, fnd_text *out) {
    fnd_text_printf(out, "file              %s (GGUF %u, %llu bytes)\n", fnd_gguf_path(f->g), fnd_gguf_version(f->g), (unsigned long long)fnd_gguf_file_bytes(f->g));
    if (f->why_not.text[0]) fnd_text_printf(out, "cannot be run     %s\n", f->why_not.text);
    if (f->has_info)
        text_info(&f->info, out);
    else
        text_metadata(f->g, out);
    text_tokenizer(f, out);
    if (f->has_info && f->has_bytes) text_bytes(&f->info, out);
    text_tensors(f->g, &f->formats, out);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const inspect_options *o = options;
    inspected f = { .has_info = false };
    fnd_text out = { 0 };
    (void)globals;
    FND_TRY(fnd_cli_need(&fnd_cli_inspect, "the name of a file", o->file, err));
    FND_TRY(open_file(o->file, &f, err));
    fnd_status status = look(&f, err);
    if (status == FND_OK) status = count_formats(f.g, &f.formats, err);
    if (status == FND_OK) {
        if (o->json)
            print_json(&f, &out);
        else
            print_text(&f, &out);
        status = fnd_cli_put_text(&out, err);
    }
    fnd_tokenizer_close(f.t);
    fnd_gguf_close(f.g);
    return status;
}

const fnd_cli_command fnd_cli_inspect = {
    .name = "inspect",
    .doc = "hyper-parameters, tokenizer, tensors and formats of a model file",
    .usage = "F [--json]",
    .more = "A file that is whole but cannot be run here (its architecture, a format of its tensors or its\n"
            "tokenizer is not supported) is listed too, with the reason. JSON: why_not is that reason or null.",
    .example = "  foundry inspect model.gguf",
    .options = options_list,
    .options_bytes = sizeof(inspect_options),
    .positional = "F",
    .positional_offset = offsetof(inspect_options, file),
    .run = run,
};
