/* synth.c - foundry synth: a model with random weights. */
#include "cli/cli.h"
#include "cli/formats.h"
#include "cli/text.h"
#include "foundry/synth.h"

#include <stddef.h>

typedef struct synth_options {
    const char *arch, *size, *format, *to;
    fnd_cli_u64 seed;
    bool force, dry_run, json;
} synth_options;

#define FIELD(name) offsetof(synth_options, name)
static const fnd_cli_option options_list[] = {
    { "arch", FND_CLI_TEXT, "ARCH", FIELD(arch), "architecture: qwen2, qwen3, llama, phi3", 0, 0 },
    { "size", FND_CLI_TEXT, "SIZE", FIELD(size), "size, as below", 0, 0 },
    { "format", FND_CLI_TEXT, "FMT", FIELD(format), "of its matrices:" FND_CLI_FORMATS, 0, 0 },
    { "o", FND_CLI_TEXT, "F", FIELD(to), "the file to write", 0, 0 },
    { "seed", FND_CLI_U64, "N", FIELD(seed), "the same seed makes the same file (default: 0)", 0, 0 },
    { "force", FND_CLI_FLAG, NULL, FIELD(force), "replace a file of that name", 0, 0 },
    { "dry-run", FND_CLI_FLAG, NULL, FIELD(dry_run), "write nothing: list the tensors with their formats and sizes", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef struct listing {
    fnd_text *out;
    bool list, json;
    size_t count;
} listing;

static void list_tensor(void *ctx, const fnd_gguf_tensor *t) {
    listing *l = ctx;
    if (!l->list) return;
    if (l->json)
        fnd_cli_json_tensor(l->out, t, l->count);
    else
        fnd_text_printf(l->out, "%-30.*s  %-6s  %14llu  %llu x %llu\n", (int)t->name.bytes, t->name.data, fnd_format_get(t->format)->name, (unsigned long long)t->bytes, (unsigned long long)t->dims[0], (unsigned long long)t->dims[1]);
    l->count++;
}

/* The second interrupt ends the program; the first, the work. */
static void progress(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)ctx;
    if (!fnd_cli_interrupted) fnd_cli_progress(NULL, what, done, total);
}

static void print_report(fnd_text *out, const synth_options *o, const fnd_synth_report *r) {
    if (o->json) {
        if (o->dry_run) fnd_text_str(out, "], ");
        fnd_text_printf(out, "\"tensors\": %llu, \"weights\": %llu, \"tensor_bytes\": %llu, \"file_bytes\": %llu, \"seconds\": %.3f}\n", (unsigned long long)r->tensors, (unsigned long long)r->weights,
                        (unsigned long long)r->tensor_bytes, (unsigned long long)r->file_bytes, r->seconds);
    } else {
        fnd_text_printf(out, "%llu tensors, %.1f million weights, %.1f MB", (unsigned long long)r->tensors, 1e-6 * (double)r->weights, 1e-6 * (double)r->tensor_bytes);
        if (o->dry_run)
            fnd_text_str(out, "\n");
        else
            fnd_text_printf(out, "; %s written in %.1f s, %.0f MB/s\n", o->to, r->seconds, 1e-6 * (double)r->file_bytes / (r->seconds > 0 ? r->seconds : 1));
    }
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const synth_options *o = options;
    fnd_text out = { 0 };
    listing l = { .out = &out, .list = o->dry_run, .json = o->json };
    fnd_desc device;
    fnd_synth_report report;
    fnd_synth_desc d = { .architecture = o->arch, .size = o->size, .seed = o->seed.value, .to = o->dry_run ? NULL : o->to, .replace = o->force, .tensor = list_tensor, .progress = progress, .ctx = &l, .cancel = &fnd_cli_interrupted };
    FND_TRY(fnd_cli_need(&fnd_cli_synth, "--arch", o->arch, err));
    FND_TRY(fnd_cli_need(&fnd_cli_synth, "--size", o->size, err));
    FND_TRY(fnd_cli_need(&fnd_cli_synth, "--format", o->format, err));
    if (!o->dry_run) FND_TRY(fnd_cli_need(&fnd_cli_synth, "-o", o->to, err));
    FND_TRY(fnd_cli_check_named("a model", o->to, err));
    FND_TRY(fnd_cli_weight_format("--format", o->format, &d.format, err));
    FND_TRY(fnd_cli_desc(globals, &device, err));
    d.threads = device.threads;
    if (o->json) {
        fnd_text_str(&out, "{\"architecture\": ");
        fnd_cli_json_string(&out, o->arch);
        fnd_text_str(&out, ", \"size\": ");
        fnd_cli_json_string(&out, o->size);
        fnd_text_printf(&out, ", \"format\": \"%s\", \"seed\": %llu, %s", fnd_format_get(d.format)->name, (unsigned long long)d.seed, o->dry_run ? "\"list\": [" : "");
    } else if (o->dry_run) {
        fnd_text_str(&out, "tensor                          format           bytes  shape (row length first)\n");
    }
    fnd_status status = fnd_synth(&d, &report, err);
    fnd_cli_progress_clear();
    if (status == FND_OK) {
        print_report(&out, o, &report);
        return fnd_cli_put_text(&out, err);
    }
    fnd_text_free(&out);
    return status;
}

const fnd_cli_command fnd_cli_synth = {
    .name = "synth",
    .doc = "make a model file with random weights",
    .usage = "--arch ARCH --size SIZE --format FMT -o F [--seed N] [--force] [--dry-run] [--json]",
    .more = "A whole file of a shape that people run, with a tokenizer and a chat template, for tests and measurements;\n"
            "it says nothing sensible. Sizes: qwen2 tiny 0.5b 1.5b 3b 7b; qwen3 tiny 0.6b; llama tiny 135m 1b 8b;\n"
            "phi3 tiny mini. The head of a 4-bit model is Q6_K, of other packed ones Q8_0; rows that are no multiple of\n"
            "256 take Q5_0 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K; vectors are F32.",
    .example = "  foundry synth --arch qwen2 --size 0.5b --format q4_0 -o qwen2-0.5b-q4_0.gguf\n"
               "  foundry synth --arch llama --size 8b --format q4_k --dry-run",
    .options = options_list,
    .options_bytes = sizeof(synth_options),
    .run = run,
};
