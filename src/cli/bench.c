/* bench.c - foundry bench: how fast a model runs here. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/bench_batch.h"
#include "cli/roofline.h"
#include "cli/text.h"
#include "cli/times.h"
#include "foundry/run.h"

#include <stddef.h>

typedef struct bench_options {
    const char *model, *roofline, *batch;
    uint32_t prompt_tokens, tokens, depth, repeat;
    bool json;
} bench_options;

#define FIELD(name) offsetof(bench_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "prompt-tokens", FND_CLI_U32, "N", FIELD(prompt_tokens), "tokens of the prompt (default: 512)", 1, 1 << 24 },
    { "tokens", FND_CLI_U32, "N", FIELD(tokens), "tokens evaluated one by one (default: 64)", 1, 1 << 24 },
    { "depth", FND_CLI_U32, "N", FIELD(depth), "tokens in the context before these (default: none)", 0, 1 << 24 },
    { "repeat", FND_CLI_U32, "N", FIELD(repeat), "rounds, of which the medians count (default: 5)", 1, 1000 },
    { "batch", FND_CLI_NAME, "N,N..", FIELD(batch), "instead: steps of so many sequences together, beside steps of one", 0, 0 },
    { "roofline", FND_CLI_NAME, "OUT", FIELD(roofline), "draw where each kernel lies under this machine's roofs, as SVG", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

typedef struct figures {
    double prefill_tok_s, decode_tok_s, read_gb_s;
} figures;

/* Any tokens, the same each time. */
static void fill_ids(uint32_t *ids, size_t count, uint32_t vocab) {
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (uint32_t)(state >> 33) % vocab;
    }
}

static fnd_status prefill(fnd_cli_lm *lm, const uint32_t *ids, uint32_t count, double *tok_s, fnd_error *err) {
    FND_TRY(fnd_session_truncate(lm->s, 0, err));
    uint64_t start = fnd_now_ns();
    FND_TRY(fnd_session_eval(lm->s, ids, count, err));
    FND_TRY(fnd_wait(lm->f, err));
    *tok_s = (double)count / fnd_cli_seconds_since(start);
    return fnd_cli_check_interrupt(err);
}

/* Behind the first `depth` of the ids. */
static fnd_status decode(fnd_cli_lm *lm, const uint32_t *ids, uint32_t depth, uint32_t count, double *tok_s, fnd_error *err) {
    FND_TRY(fnd_session_truncate(lm->s, 0, err));
    if (depth) FND_TRY(fnd_session_eval(lm->s, ids, depth, err));
    FND_TRY(fnd_wait(lm->f, err));
    uint64_t start = fnd_now_ns();
    for (uint32_t i = 0; i < count; i++) {
        FND_TRY(fnd_session_eval(lm->s, &ids[i], 1, err));
        FND_TRY(fnd_wait(lm->f, err));
        FND_TRY(fnd_cli_check_interrupt(err));
    }
    *tok_s = (double)count / fnd_cli_seconds_since(start);
    return FND_OK;
}

/* speeds: 2 * repeat */
static fnd_status rounds(fnd_cli_lm *lm, const bench_options *o, const uint32_t *ids, double *speeds, figures *out, fnd_error *err) {
    double *decodes = speeds + o->repeat, unused;
    FND_TRY(prefill(lm, ids, o->prompt_tokens, &unused, err)); /* pages, caches and clocks get warm */
    FND_TRY(decode(lm, ids, 0, 1, &unused, err));
    for (uint32_t i = 0; i < o->repeat; i++) {
        fnd_cli_progress(NULL, "measuring", i, o->repeat);
        FND_TRY(prefill(lm, ids, o->prompt_tokens, &speeds[i], err));
        FND_TRY(decode(lm, ids, o->depth, o->tokens, &decodes[i], err));
    }
    fnd_cli_progress_clear();
    out->prefill_tok_s = fnd_cli_median(speeds, o->repeat);
    out->decode_tok_s = fnd_cli_median(decodes, o->repeat);
    return FND_OK;
}

static uint32_t most_tokens(const bench_options *o) { return !o->batch && o->prompt_tokens > o->depth + o->tokens ? o->prompt_tokens : o->depth + o->tokens; }

static fnd_status check(fnd_cli_lm *lm, void *options, fnd_error *err) {
    const bench_options *o = options;
    uint32_t most = most_tokens(options) + (o->batch != NULL), limit = fnd_model_get_info(lm->m)->context_length;
    if (most > limit) return fnd_fail(err, FND_ERR_USAGE, "%u tokens are more than this model's context of %u", most, limit);
    return FND_OK;
}

static fnd_status measure(fnd_cli_lm *lm, const bench_options *o, figures *out, fnd_error *err) {
    uint32_t most = most_tokens(o);
    const fnd_model_info *info = fnd_model_get_info(lm->m);
    FND_TRY(fnd_cli_lm_begin(lm, 0, err));
    uint32_t *ids = fnd_alloc_zeroed(most, sizeof *ids);
    double *speeds = fnd_alloc_zeroed(2 * (size_t)o->repeat, sizeof *speeds);
    fnd_status status = FND_OK;
    if (!ids || !speeds) {
        status = fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u ids", most);
    } else {
        fill_ids(ids, most, info->vocab);
        status = rounds(lm, o, ids, speeds, out, err);
    }
    fnd_free_memory(ids);
    fnd_free_memory(speeds);
    return status;
}

static void json_figure(fnd_text *out, const char *name, double value, bool known) {
    fnd_text_printf(out, ",\n \"%s\": ", name);
    if (known)
        fnd_cli_json_number(out, value);
    else
        fnd_text_str(out, "null");
}

/* Weights, and on an average the keys and values of the tokens before. */
static double bytes_per_token(const fnd_cli_lm *lm, const bench_options *o) {
    const fnd_model_info *m = fnd_model_get_info(lm->m);
    const fnd_format_info *kv = fnd_format_get(lm->kv_type);
    double row = 2.0 * m->layers * m->kv_heads * m->head_dim * kv->block_bytes / kv->block_weights;
    return (double)m->bytes_per_token + row * (o->depth + (o->tokens + 1) / 2.0);
}

static fnd_status print(const fnd_cli_lm *lm, const bench_options *o, const figures *r, fnd_error *err) {
    fnd_context_info device;
    fnd_text out = { 0 };
    double bytes = bytes_per_token(lm, o), gb_s = r->decode_tok_s * bytes * 1e-9;
    bool known = r->read_gb_s > 0;
    double percent = known ? 100 * gb_s / r->read_gb_s : 0;
    FND_TRY(fnd_info(lm->f, &device, err));
    if (o->json) {
        fnd_text_str(&out, "{\"model\": ");
        fnd_cli_json_string(&out, o->model);
        fnd_text_printf(&out, ", \"backend\": \"%s\", \"device\": ", device.backend);
        fnd_cli_json_string(&out, device.device);
        fnd_text_printf(&out, ", \"groups\": %u,\n \"prompt_tokens\": %u, \"tokens\": %u, \"depth\": %u, \"repeat\": %u, \"bytes_per_token\": %.0f", device.groups, o->prompt_tokens, o->tokens, o->depth, o->repeat, bytes);
        json_figure(&out, "prefill_tok_s", r->prefill_tok_s, true);
        json_figure(&out, "decode_tok_s", r->decode_tok_s, true);
        json_figure(&out, "decode_gb_s", gb_s, true);
        json_figure(&out, "read_gb_s", r->read_gb_s, known);
        json_figure(&out, "read_percent", percent, known);
        json_figure(&out, "load_s", lm->load_seconds + lm->open_seconds, true);
        fnd_text_str(&out, "}\n");
    } else {
        fnd_text_printf(&out, "%s\n%s\nprefill  %10.1f tok/s  (%u token%s)\n", o->model, device.device, r->prefill_tok_s, o->prompt_tokens, fnd_plural(o->prompt_tokens));
        fnd_text_printf(&out, "decode   %10.1f tok/s  (%u token%s behind %u), %.1f GB/s", r->decode_tok_s, o->tokens, fnd_plural(o->tokens), o->depth, gb_s);
        if (known) fnd_text_printf(&out, ": %.0f %% of the %.1f GB/s that this machine reads", percent, r->read_gb_s);
        fnd_text_str(&out, "\n");
    }
    return fnd_cli_put_text(&out, err);
}

/* ---- the roofline ---- */

static fnd_status measure_roofs(const fnd_cli_globals *globals, fnd_cli_lm *lm, const bench_options *o, fnd_cli_roofs *out, fnd_error *err) {
    if (!o->roofline) return fnd_cli_bandwidth(lm->f, &out->read_gb_s, err);
    FND_TRY(fnd_cli_measure_roofs(globals, lm->f, out, err));
    if (out->read_gb_s > 0) return FND_OK;
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "--roofline: the roofs of this device are not measured, only those of processors (--backend cpu)");
}

static fnd_status draw(fnd_cli_lm *lm, const bench_options *o, const fnd_cli_roofs *roofs, fnd_error *err) {
    fnd_context_info device;
    fnd_profile_totals totals;
    fnd_text svg = { 0 };
    FND_TRY(fnd_info(lm->f, &device, err));
    fnd_profile_get_totals(lm->f, &totals);
    size_t count = fnd_profile_rows(lm->f, NULL, 0);
    fnd_profile_row *rows = fnd_alloc_zeroed(count, sizeof *rows);
    if (!rows) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a profile of %zu rows", count);
    count = fnd_min_size(count, fnd_profile_rows(lm->f, rows, count));
    fnd_cli_roofline_draw(&(fnd_cli_roofline){ o->model, device.device, roofs, rows, count, &totals }, &svg);
    fnd_free_memory(rows);
    fnd_status status = fnd_text_check(&svg, err);
    if (status == FND_OK) status = fnd_file_write(o->roofline, fnd_text_get(&svg), svg.bytes, err);
    fnd_text_free(&svg);
    if (status == FND_OK) fnd_cli_note("the roofline is in %s", o->roofline);
    return status;
}

/* Once more, with each kernel a launch of its own. */
static fnd_status roofline(const fnd_cli_globals *globals, const bench_options *o, const fnd_cli_roofs *roofs, fnd_error *err) {
    fnd_cli_lm lm = { .separate = true, .wait_for_kernels = true };
    fnd_profile_desc desc = { 0 };
    fnd_cli_put_roofs(roofs, &desc);
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = fnd_cli_lm_begin(&lm, 0, err);
    if (status == FND_OK) status = fnd_cli_record(&lm, o->prompt_tokens, o->tokens, &desc, err);
    if (status == FND_OK) status = draw(&lm, o, roofs, err);
    return fnd_cli_lm_close(&lm, status, err);
}

static fnd_status batches(const fnd_cli_globals *globals, const bench_options *o, fnd_error *err) {
    bench_options copy = *o;
    fnd_cli_lm lm = { .wait_for_kernels = true, .check = check, .check_ctx = &copy };
    fnd_cli_bench_batch b = { .model = o->model, .tokens = o->tokens, .depth = o->depth, .repeat = o->repeat, .json = o->json };
    if (o->roofline) return fnd_fail(err, FND_ERR_USAGE, "bench takes --batch or --roofline, not both");
    FND_TRY(fnd_cli_bench_sizes(o->batch, &b, err));
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = fnd_cli_bench_batches(&lm, &b, err);
    return fnd_cli_lm_close(&lm, status, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const bench_options *o = options;
    bench_options copy = *o;
    fnd_cli_lm lm = { .wait_for_kernels = true, .check = check, .check_ctx = &copy };
    fnd_cli_roofs roofs = { 0 };
    figures r = { 0 };
    FND_TRY(fnd_cli_need(&fnd_cli_bench, "--model", o->model, err));
    if (o->batch) return batches(globals, o, err);
    FND_TRY(fnd_cli_check_named("the roofline", o->roofline, err));
    FND_TRY(fnd_cli_check_writable(o->roofline, err));
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = measure_roofs(globals, &lm, o, &roofs, err);
    r.read_gb_s = roofs.read_gb_s;
    if (status == FND_OK) status = measure(&lm, o, &r, err);
    if (status == FND_OK) status = print(&lm, o, &r, err);
    status = fnd_cli_lm_close(&lm, status, err);
    return status == FND_OK && o->roofline ? roofline(globals, o, &roofs, err) : status;
}

static const bench_options defaults = { .prompt_tokens = 512, .tokens = 64, .repeat = 5 };

const fnd_cli_command fnd_cli_bench = {
    .name = "bench",
    .doc = "how fast a model runs here",
    .usage = "--model F [--prompt-tokens N] [--tokens N] [--depth N] [--repeat N] [--roofline OUT | --batch N,N..] [--json]",
    .more = "Prefill is a prompt from nothing, decode single tokens behind --depth others, after one round that\n"
            "does not count; its GB/s are those of the weights, keys and values. JSON: prefill_tok_s, decode_tok_s, decode_gb_s, read_gb_s (the measured read\n"
            "bandwidth of this machine with these threads; null where it says nothing), read_percent. --roofline\n"
            "measures the roofs (bandwidth; float, dot and matrix products) and each kernel by itself, and draws them\n"
            "with each kernel's bytes, operations and share of the roof of what it computes with.\n"
            "--batch: one token of each of N sequences in a step, the sizes taking turns; medians of all steps.",
    .example = "  foundry bench --model model.gguf --threads 1 --json\n"
               "  foundry bench --model model.gguf --roofline roofline.svg\n"
               "  foundry bench --model model.gguf --batch 2,4,8,16",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(bench_options),
    .run = run,
};
