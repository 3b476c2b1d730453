/* quantize.c - foundry quantize: a model's weights into another format. */
#include "cli/cli.h"
#include "cli/formats.h"
#include "cli/text.h"
#include "foundry/quantize.h"

#include <stddef.h>

typedef struct quantize_options {
    const char *from, *to, *format;
    fnd_cli_list keep;
    bool force, dry_run, json;
} quantize_options;

#define FIELD(name) offsetof(quantize_options, name)
static const fnd_cli_option options_list[] = {
    { "format", FND_CLI_TEXT, "FMT", FIELD(format), "of its matrices:" FND_CLI_FORMATS, 0, 0 },
    { "keep", FND_CLI_LIST, "PATTERN=FMT", FIELD(keep), "matrices with names like this get that format; again for more, the last that matches counts", 0, 0 },
    { "force", FND_CLI_FLAG, NULL, FIELD(force), "replace a file of that name", 0, 0 },
    { "dry-run", FND_CLI_FLAG, NULL, FIELD(dry_run), "write nothing: say what would become what", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef struct listing {
    fnd_text out;
    bool json, dry_run;
    size_t count;
} listing;

static void json_errors(fnd_text *out, double rmse, double relative, double worst) {
    fnd_text_str(out, ", \"rmse\": ");
    fnd_cli_json_number(out, rmse);
    fnd_text_str(out, ", \"relative\": ");
    fnd_cli_json_number(out, relative);
    fnd_text_str(out, ", \"worst\": ");
    fnd_cli_json_number(out, worst);
}

static void list_tensor(void *ctx, const fnd_quantize_tensor *t) {
    listing *l = ctx;
    char name[96];
    const char *from = fnd_format_get(t->from)->name, *to = fnd_format_get(t->to)->name;
    if (l->json) {
        fnd_text_printf(&l->out, "%s\n    {\"name\": ", l->count ? "," : "");
        fnd_cli_json_text(&l->out, t->name.data, t->name.bytes);
        fnd_text_printf(&l->out, ", \"from\": \"%s\", \"to\": \"%s\", \"weights\": %llu, \"bytes\": %llu", from, to, (unsigned long long)t->weights, (unsigned long long)t->bytes);
        if (!l->dry_run) json_errors(&l->out, t->rmse, t->relative, t->worst);
        fnd_text_str(&l->out, "}");
    } else {
        if (l->count == 0) fnd_text_printf(&l->out, "tensor                          from    to              bytes%s\n", l->dry_run ? "" : "        rmse   relative       worst");
        fnd_text_printf(&l->out, "%-30s  %-6s  %-6s  %12llu", fnd_span_quote(t->name, name, sizeof name), from, to, (unsigned long long)t->bytes);
        if (!l->dry_run) fnd_text_printf(&l->out, "  %10.4g  %8.4f %%  %10.4g", t->rmse, 100 * t->relative, t->worst);
        fnd_text_str(&l->out, "\n");
    }
    l->count++;
}

/* A second interrupt ends the program; the first, the work. */
static void progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)ctx;
    if (!fnd_cli_interrupted) fnd_cli_progress(NULL, what, done, total);
}

/* PATTERN=FMT into its parts; texts[] holds the patterns. */
static fnd_status parse_keep(const char *item, char pattern[256], fnd_quantize_keep *keep, fnd_error *err) {
    char shown[80];
    const char *equals = strrchr(item, '=');
    size_t bytes = equals ? (size_t)(equals - item) : 0;
    if (bytes == 0 || bytes >= 256) {
        return fnd_fail(err, FND_ERR_USAGE, "--keep needs PATTERN=FORMAT, such as 'blk.*.ffn_down.weight=q6_k', not '%s'", fnd_span_quote((fnd_span){ item, strlen(item) }, shown, sizeof shown));
    }
    memcpy(pattern, item, bytes);
    pattern[bytes] = '\0';
    keep->pattern = pattern;
    return fnd_cli_weight_format("--keep", equals + 1, &keep->format, err);
}

static void print_report(listing *l, const quantize_options *o, const fnd_quantize_report *r) {
    fnd_text *out = &l->out;
    if (o->json) {
        fnd_text_printf(out, "],\n  \"weights\": %llu, \"bytes_before\": %llu, \"bytes_after\": %llu, \"file_bytes\": %llu", (unsigned long long)r->weights, (unsigned long long)r->bytes_before, (unsigned long long)r->bytes_after,
                        (unsigned long long)r->file_bytes);
        if (!o->dry_run) json_errors(out, r->rmse, r->relative, r->worst);
        fnd_text_printf(out, ", \"seconds\": %.3f}\n", r->seconds);
        return;
    }
    fnd_text_printf(out, "%llu tensors: %.1f MB become %.1f MB", (unsigned long long)r->tensors, 1e-6 * (double)r->bytes_before, 1e-6 * (double)r->bytes_after);
    if (!o->dry_run) fnd_text_printf(out, "; rmse %.4g (%.4f %%), worst %.4g; %.1f s", r->rmse, 100 * r->relative, r->worst, r->seconds);
    fnd_text_str(out, "\n");
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const quantize_options *o = options;
    listing l = { .json = o->json, .dry_run = o->dry_run };
    fnd_desc device;
    fnd_quantize_report report;
    fnd_quantize_keep keep[FND_CLI_LIST_ITEMS];
    char patterns[FND_CLI_LIST_ITEMS][256];
    fnd_quantize_desc d = { .from = o->from, .to = o->dry_run ? NULL : o->to, .keep = keep, .keep_count = o->keep.count, .replace = o->force, .tensor = list_tensor, .progress = progress, .ctx = &l, .cancel = &fnd_cli_interrupted };
    FND_TRY(fnd_cli_need(&fnd_cli_quantize, "the file to read", o->from, err));
    if (!o->dry_run) FND_TRY(fnd_cli_need(&fnd_cli_quantize, "the file to write", o->to, err));
    FND_TRY(fnd_cli_need(&fnd_cli_quantize, "--format", o->format, err));
    FND_TRY(fnd_cli_check_named("a model", o->to, err));
    FND_TRY(fnd_cli_weight_format("--format", o->format, &d.format, err));
    for (uint32_t i = 0; i < o->keep.count; i++) FND_TRY(parse_keep(o->keep.items[i], patterns[i], &keep[i], err));
    FND_TRY(fnd_cli_desc(globals, &device, err));
    d.threads = device.threads;
    if (o->json) fnd_text_printf(&l.out, "{\"format\": \"%s\", \"tensors\": [", fnd_format_get(d.format)->name);
    fnd_status status = fnd_quantize(&d, &report, err);
    fnd_cli_progress_clear();
    if (status == FND_OK) {
        print_report(&l, o, &report);
        return fnd_cli_put_text(&l.out, err);
    }
    fnd_text_free(&l.out);
    return status;
}

const fnd_cli_command fnd_cli_quantize = {
    .name = "quantize",
    .doc = "write a model's weights in another format",
    .usage = "IN OUT --format FMT [--keep PATTERN=FMT]... [--force] [--dry-run] [--json]",
    .more = "From any format into any. Prints what became of each tensor, with the root of the mean square error, the same\n"
            "relative to the weights, and the largest error. Vectors become F32. The head of a 4-bit model is Q6_K, of\n"
            "other packed ones Q8_0; rows that are no multiple of 256 take Q5_0 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K.\n"
            "--keep overrides that for the matrices its pattern (* ? [...]) matches.",
    .example = "  foundry quantize model-f16.gguf model-q4_k.gguf --format q4_k\n"
               "  foundry quantize model-f16.gguf mixed.gguf --format q4_k --keep 'blk.*.ffn_down.weight=q6_k' --keep 'output.weight=q8_0'",
    .options = options_list,
    .options_bytes = sizeof(quantize_options),
    .positional = "IN",
    .positional_offset = offsetof(quantize_options, from),
    .second = "OUT",
    .second_offset = offsetof(quantize_options, to),
    .run = run,
};
