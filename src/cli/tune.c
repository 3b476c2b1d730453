/* tune.c - foundry tune: which of the choices that leave every bit of an answer as it is are fastest here. */
#include "base/cpuinfo.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/lm.h"
#include "cli/text.h"
#include "cli/times.h"
#include "foundry/run.h"
#include "run/tuning.h"

#include <stddef.h>
#include <time.h>

typedef struct tune_options {
    const char *model;
    uint32_t prompt_tokens, tokens, repeat;
    bool dry_run, json;
} tune_options;

#define FIELD(name) offsetof(tune_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file to measure with: one as large as those that matter", 0, 0 },
    { "prompt-tokens", FND_CLI_U32, "N", FIELD(prompt_tokens), "tokens of the prompts, at most the model's context (default: 2048)", 64, 1 << 20 },
    { "tokens", FND_CLI_U32, "N", FIELD(tokens), "tokens evaluated one by one (default: 24)", 1, 1 << 16 },
    { "repeat", FND_CLI_U32, "N", FIELD(repeat), "rounds, of which the medians count (default: 5)", 1, 1000 },
    { "dry-run", FND_CLI_FLAG, NULL, FIELD(dry_run), "measure and print, but keep nothing", 0, 0 },
    { "json", FND_CLI_FLAG, NULL, FIELD(json), "print one JSON object", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* What takes the place of a default must be faster by so much, and in four rounds of five: else it is chance. */
static const double WORTH = 0.03;
/* A request that choices are judged by: a prompt, and an answer of so many tokens. */
enum { REQUEST_PROMPT = 512,
       REQUEST_ANSWER = 128,
       MOST_CHOICES = 4 };

typedef enum knob { THREADS,
                    REPACK,
                    UNIT,
                    BATCH,
                    KNOBS } knob;
static const char *const knob_names[KNOBS] = { "threads", "repack", "unit", "batch" };
/* Short prompts, told apart by what takes the unit from how many tokens on: each is on one side of one choice more. */
static const uint32_t unit_choices[] = { 48, 32, 64, 96 }, unit_prompts[] = { 40, 56, 80 };

typedef struct choice {
    uint32_t value;
    char shown[16];
    fnd_cli_lm lm;            /* of units and batches: that of the first */
    fnd_session *session;     /* lm's; of units: that of the first; of batches: its own */
    double *prompts, *tokens; /* seconds, of every round: of one token each */
    double prompt_s, token_s, request_s;
} choice;

/* Choices of one knob, the default first. */
typedef struct stage {
    knob knob;
    choice choices[MOST_CHOICES];
    uint32_t count, best;
} stage;

typedef struct tuner {
    const tune_options *o;
    fnd_cli_globals globals; /* with what was chosen so far */
    uint32_t *ids, prompt_tokens;
    stage stages[KNOBS];
    uint32_t count;
    fnd_tuning found;
} tuner;

static void add_choice(stage *s, uint32_t value, const char *shown) {
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->choices[i].value == value) return;
    }
    if (s->count == MOST_CHOICES || value == 0) return;
    choice *c = &s->choices[s->count++];
    *c = (choice){ .value = value, .lm = { .wait_for_kernels = true, .untuned = true } };
    snprintf(c->shown, sizeof c->shown, "%s", shown);
    if (!shown[0]) snprintf(c->shown, sizeof c->shown, "%u", value);
}

/* ---- measuring ---- */

static fnd_status once_short(const tuner *t, const choice *c, double *prompt_s, double *token_s, fnd_error *err) {
    uint32_t all = 0;
    fnd_tuning_try_unit(c->lm.f, c->value);
    uint64_t start = fnd_now_ns();
    for (size_t i = 0; i < FND_COUNT(unit_prompts); i++) {
        uint32_t tokens = unit_prompts[i] < t->prompt_tokens ? unit_prompts[i] : t->prompt_tokens;
        FND_TRY(fnd_session_truncate(c->session, 0, err));
        FND_TRY(fnd_session_eval(c->session, t->ids, tokens, err));
        all += tokens;
    }
    FND_TRY(fnd_wait(c->lm.f, err));
    *prompt_s = fnd_cli_seconds_since(start) / all;
    *token_s = 0;
    return fnd_cli_check_interrupt(err);
}

static fnd_status once(const tuner *t, const stage *s, const choice *c, double *prompt_s, double *token_s, fnd_error *err) {
    if (s->knob == UNIT) return once_short(t, c, prompt_s, token_s, err);
    uint32_t most = t->prompt_tokens, tokens = t->o->tokens < most ? t->o->tokens : most;
    FND_TRY(fnd_session_truncate(c->session, 0, err));
    uint64_t start = fnd_now_ns();
    FND_TRY(fnd_session_eval(c->session, t->ids, most, err));
    FND_TRY(fnd_wait(c->lm.f, err));
    *prompt_s = fnd_cli_seconds_since(start) / most;
    FND_TRY(fnd_session_truncate(c->session, most - tokens, err));
    start = fnd_now_ns();
    for (uint32_t i = 0; i < tokens; i++) {
        FND_TRY(fnd_session_eval(c->session, &t->ids[i], 1, err));
        FND_TRY(fnd_cli_check_interrupt(err));
    }
    FND_TRY(fnd_wait(c->lm.f, err));
    *token_s = fnd_cli_seconds_since(start) / tokens;
    return fnd_cli_check_interrupt(err);
}

/* The time of a request in a round, or, with the medians, at all. What is for prompts is told apart by these alone. */
static double request_s(const stage *s, double prompt_s, double token_s) { return REQUEST_PROMPT * prompt_s + (s->knob >= UNIT ? 0 : REQUEST_ANSWER * token_s); }

/* In how many rounds is it faster than the default? */
static uint32_t rounds_won(const stage *s, const choice *c, uint32_t rounds) {
    uint32_t won = 0;
    const choice *first = &s->choices[0];
    for (uint32_t i = 0; i < rounds; i++) won += request_s(s, c->prompts[i], c->tokens[i]) < request_s(s, first->prompts[i], first->tokens[i]);
    return won;
}

static void choose(stage *s, uint32_t rounds) {
    bool worth[MOST_CHOICES] = { true };
    for (uint32_t i = 1; i < s->count; i++) worth[i] = 5 * rounds_won(s, &s->choices[i], rounds) >= 4 * rounds;
    for (uint32_t i = 0; i < s->count; i++) { /* sorts the rounds */
        choice *c = &s->choices[i];
        c->prompt_s = fnd_cli_median(c->prompts, rounds);
        c->token_s = fnd_cli_median(c->tokens, rounds);
        c->request_s = request_s(s, c->prompt_s, c->token_s);
        bool better = c->request_s < s->choices[s->best].request_s && c->request_s < (1 - WORTH) * s->choices[0].request_s;
        if (i && worth[i] && better) s->best = i;
    }
}

/* All choices in turn, so that what else the machine does disturbs all alike. */
static fnd_status measure(const tuner *t, stage *s, fnd_error *err) {
    double unused[2];
    uint32_t rounds = t->o->repeat;
    for (uint32_t i = 0; i < s->count; i++) FND_TRY(once(t, s, &s->choices[i], &unused[0], &unused[1], err)); /* pages, caches, clocks */
    for (uint32_t round = 0; round < rounds; round++) {
        fnd_cli_progress(NULL, knob_names[s->knob], round, rounds);
        for (uint32_t i = 0; i < s->count; i++) FND_TRY(once(t, s, &s->choices[i], &s->choices[i].prompts[round], &s->choices[i].tokens[round], err));
    }
    fnd_cli_progress_clear();
    choose(s, rounds);
    return FND_OK;
}

/* ---- the knobs, one behind the other ---- */

static fnd_status check_model(fnd_cli_lm *lm, void *ctx, fnd_error *err) {
    tuner *t = ctx;
    (void)err;
    uint32_t limit = fnd_model_get_info(lm->m)->context_length;
    t->prompt_tokens = t->o->prompt_tokens < limit ? t->o->prompt_tokens : limit;
    return FND_OK;
}

static fnd_status open_choice(tuner *t, stage *s, choice *c, fnd_error *err) {
    fnd_cli_globals globals = t->globals;
    size_t rounds = t->o->repeat;
    c->prompts = fnd_alloc_zeroed(rounds, sizeof *c->prompts);
    c->tokens = fnd_alloc_zeroed(rounds, sizeof *c->tokens);
    if (!c->prompts || !c->tokens) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %zu rounds", rounds);
    if (s->knob == BATCH) {
        const choice *first = &s->choices[0];
        fnd_session_desc desc = { .batch = c->value, .kv_type = first->lm.kv_type, .progress = fnd_cli_progress, .cancel = &fnd_cli_interrupted };
        if (c != first) {
            c->lm.f = first->lm.f;
            return fnd_session_open(first->lm.m, &desc, &c->session, err);
        }
    }
    if (s->knob == THREADS) globals.threads = c->value;
    if (s->knob == REPACK) globals.repack = c->shown;
    if (s->knob == UNIT && c != &s->choices[0]) {
        c->lm.f = s->choices[0].lm.f;
        c->session = s->choices[0].session;
        return FND_OK;
    }
    c->lm.check = check_model;
    c->lm.check_ctx = t;
    FND_TRY(fnd_cli_lm_open(&globals, t->o->model, &c->lm, err));
    FND_TRY(fnd_cli_lm_begin(&c->lm, 0, err));
    c->session = c->lm.s;
    return FND_OK;
}

static fnd_status close_stage(stage *s, fnd_status status, fnd_error *err) {
    for (uint32_t i = s->count; i-- > 0;) {
        choice *c = &s->choices[i];
        if (s->knob >= UNIT && i) {
            if (s->knob == BATCH) fnd_session_close(c->session);
            c->lm = (fnd_cli_lm){ 0 };
        } else {
            status = fnd_cli_lm_close(&c->lm, status, err);
        }
        c->session = NULL;
        fnd_free_memory(c->prompts);
        fnd_free_memory(c->tokens);
        c->prompts = c->tokens = NULL;
    }
    return status;
}

static fnd_status make_ids(tuner *t, uint32_t vocab, fnd_error *err) {
    if (t->ids) return FND_OK;
    t->ids = fnd_alloc_zeroed(t->prompt_tokens, sizeof *t->ids);
    if (!t->ids) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u ids", t->prompt_tokens);
    for (uint32_t i = 0; i < t->prompt_tokens; i++) t->ids[i] = (uint32_t)((uint64_t)i * 7919 % vocab);
    return FND_OK;
}

static fnd_status run_stage(tuner *t, stage *s, fnd_error *err) {
    fnd_status status = FND_OK;
    for (uint32_t i = 0; i < s->count && status == FND_OK; i++) {
        status = open_choice(t, s, &s->choices[i], err);
        if (status == FND_OK && i == 0) status = make_ids(t, fnd_model_get_info(s->choices[0].lm.m)->vocab, err);
    }
    if (status == FND_OK) status = measure(t, s, err);
    t->count++;
    return close_stage(s, status, err);
}

static fnd_status tune_threads(tuner *t, fnd_error *err) {
    stage *s = &t->stages[t->count];
    uint32_t cores = fnd_cpu_cores();
    s->knob = THREADS;
    if (t->globals.threads || cores == 1) return FND_OK;
    add_choice(s, cores, "");
    add_choice(s, cores > 3 ? cores - 1 : 0, "");
    add_choice(s, (cores + 1) / 2, "");
    FND_TRY(run_stage(t, s, err));
    t->globals.threads = s->choices[s->best].value;
    t->found.threads = s->best ? t->globals.threads : 0;
    return FND_OK;
}

static fnd_status tune_layout(tuner *t, const fnd_cpu_level *level, fnd_error *err) {
    stage *s = &t->stages[t->count];
    s->knob = REPACK;
    if (t->globals.repack || !level->vec || level->bf16_prompts) return FND_OK;
    add_choice(s, FND_REPACK_ON, "on");
    add_choice(s, FND_REPACK_OFF, "off");
    FND_TRY(run_stage(t, s, err));
    t->globals.repack = s->choices[s->best].value == FND_REPACK_ON ? "on" : "off";
    t->found.repack = s->best ? s->choices[s->best].value : 0;
    return FND_OK;
}

/* Where 8-bit products have a matrix unit, and weights the layout that it takes. */
static fnd_status tune_unit(tuner *t, const fnd_cpu_level *level, fnd_error *err) {
    stage *s = &t->stages[t->count];
    bool rows = t->globals.repack && strcmp(t->globals.repack, "off") == 0;
    s->knob = UNIT;
    if (t->globals.unit_from || rows || !(level->needs >> FND_CPU_amx_int8 & 1)) return FND_OK;
    for (size_t i = 0; i < FND_COUNT(unit_choices); i++) add_choice(s, unit_choices[i], "");
    FND_TRY(run_stage(t, s, err));
    t->globals.unit_from = s->choices[s->best].value;
    t->found.unit_from = s->best ? t->globals.unit_from : 0;
    return FND_OK;
}

static fnd_status tune_batch(tuner *t, fnd_error *err) {
    stage *s = &t->stages[t->count];
    s->knob = BATCH;
    for (uint32_t batch = 256; batch <= 2048; batch *= 2) add_choice(s, batch, "");
    FND_TRY(run_stage(t, s, err));
    t->found.batch = s->best ? s->choices[s->best].value : 0;
    return FND_OK;
}

/* ---- what came out ---- */

static void print_stage(const stage *s, bool json, fnd_text *out) {
    if (json) fnd_text_printf(out, ",\n \"%s\": [", knob_names[s->knob]);
    for (uint32_t i = 0; i < s->count; i++) {
        const choice *c = &s->choices[i];
        char then[48] = "null"; /* nothing but prompts tells the choices apart */
        if (c->token_s > 0) snprintf(then, sizeof then, json ? "%.6g" : ", then %8.1f tok/s", 1 / c->token_s);
        if (json)
            fnd_text_printf(out, "%s\n  {\"value\": \"%s\", \"prefill_tok_s\": %.6g, \"decode_tok_s\": %s, \"chosen\": %s}", i ? "," : "", c->shown, 1 / c->prompt_s, then, i == s->best ? "true" : "false");
        else
            fnd_text_printf(out, "%c %-8s%-6s prompt %9.1f tok/s%s\n", i == s->best ? '*' : ' ', i ? "" : knob_names[s->knob], c->shown, 1 / c->prompt_s, c->token_s > 0 ? then : "");
    }
    if (json) fnd_text_str(out, "\n ]");
}

static fnd_status print(const tuner *t, const char *path, fnd_error *err) {
    fnd_text out = { 0 };
    bool json = t->o->json;
    if (json) {
        fnd_text_str(&out, "{\"model\": ");
        fnd_cli_json_string(&out, t->o->model);
        fnd_text_str(&out, ", \"kept\": ");
        if (path) fnd_cli_json_string(&out, path);
        if (!path) fnd_text_str(&out, "null");
    }
    for (uint32_t i = 0; i < t->count; i++) print_stage(&t->stages[i], json, &out);
    if (json) fnd_text_str(&out, "}\n");
    if (!json && path) fnd_text_printf(&out, "kept in %s; used from now on\n", path);
    return fnd_cli_put_text(&out, err);
}

static void note_measured(tuner *t) {
    char day[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    const char *name = strrchr(t->o->model, '/');
    if (gmtime_r(&now, &tm)) strftime(day, sizeof day, "%Y-%m-%d", &tm);
    snprintf(t->found.measured, sizeof t->found.measured, "%s with %.100s", day, name ? name + 1 : t->o->model);
}

/* Times say little while others use the machine. */
static void note_load(void) {
    double load;
    uint32_t cores = fnd_cpu_cores();
    if (getloadavg(&load, 1) == 1 && load > 0.5 * cores + 0.5) fnd_cli_note("%.1f others want the %u core%s of this machine: what is measured now may not be what is fastest when it is quiet", load, cores, fnd_plural(cores));
}

static fnd_status tune(tuner *t, const fnd_desc *desc, fnd_error *err) {
    const fnd_cpu_level *level;
    char path[FND_PATH_BYTES + 64];
    bool there = fnd_tuning_path(desc, path, sizeof path);
    if (!there && !t->o->dry_run) return fnd_fail(err, FND_ERR_USAGE, "what is tuned is kept in the cache's folder, for the processor (cpu) and the built-in texts; there is none here: see --cache-dir, or --dry-run");
    FND_TRY(fnd_cpu_level_find(desc->isa, &level, err));
    if (!t->o->dry_run) FND_TRY(fnd_make_dirs(desc->cache_dir ? desc->cache_dir : desc->default_cache_dir, err));
    if (!t->o->dry_run) FND_TRY(fnd_cli_check_writable(path, err)); /* not when all is measured */
    note_load();
    FND_TRY(tune_threads(t, err));
    FND_TRY(tune_layout(t, level, err));
    FND_TRY(tune_unit(t, level, err));
    FND_TRY(tune_batch(t, err));
    note_measured(t);
    if (!t->o->dry_run) FND_TRY(fnd_tuning_write(desc, &t->found, err));
    return print(t, t->o->dry_run ? NULL : path, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    fnd_desc desc;
    tuner t = { .o = options, .globals = *globals };
    FND_TRY(fnd_cli_need(&fnd_cli_tune, "--model", t.o->model, err));
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    if (desc.backend && strcmp(desc.backend, "cpu") != 0) return fnd_fail(err, FND_ERR_USAGE, "tune is for the processor: --backend %s has nothing to choose", desc.backend);
    t.globals.threads = desc.threads;
    fnd_status status = tune(&t, &desc, err);
    fnd_free_memory(t.ids);
    return status;
}

static const tune_options defaults = { .prompt_tokens = 2048, .tokens = 24, .repeat = 5 };

const fnd_cli_command fnd_cli_tune = {
    .name = "tune",
    .doc = "measure what is fastest on this machine, and use it from then on",
    .usage = "--model F [--prompt-tokens N] [--tokens N] [--repeat N] [--dry-run] [--json]",
    .more = "How many threads, weights repacked or as in the file, from how many tokens on a matrix unit serves, and\n"
            "how many tokens of a prompt at once: choices that leave every bit of an answer as it is. All are\n"
            "measured in turn; one that is not 3 % faster than what is the default, and in four rounds of five, does\n"
            "not take its place. The result is kept with the compiled kernels, for this processor, number of cores,\n"
            "level of instructions and build, and used where no option says otherwise.",
    .example = "  foundry tune --model model.gguf\n"
               "  foundry tune --model model.gguf --threads 4 --dry-run",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(tune_options),
    .run = run,
};
