/* profile.c - foundry profile: where the time of a model goes. */
#include "cli/lm.h"
#include "cli/text.h"
#include "foundry/run.h"

#include <stddef.h>

typedef struct profile_options {
    const char *model, *trace, *lines;
    uint32_t prompt_tokens, tokens;
} profile_options;

#define FIELD(name) offsetof(profile_options, name)
static const fnd_cli_option options_list[] = {
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file", 0, 0 },
    { "trace", FND_CLI_NAME, "OUT", FIELD(trace), "write a Chrome trace (chrome://tracing, Perfetto)", 0, 0 },
    { "lines", FND_CLI_NAME, "OUT", FIELD(lines), "write each record as a line of JSON", 0, 0 },
    { "prompt-tokens", FND_CLI_U32, "N", FIELD(prompt_tokens), "tokens of the prompt (default: 128)", 1, 1 << 24 },
    { "tokens", FND_CLI_U32, "N", FIELD(tokens), "tokens evaluated one by one behind it (default: 32)", 1, 1 << 24 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

static fnd_status check(fnd_cli_lm *lm, void *options, fnd_error *err) {
    const profile_options *o = options;
    uint64_t most = (uint64_t)o->prompt_tokens + o->tokens;
    uint32_t limit = fnd_model_get_info(lm->m)->context_length;
    if (most > limit) return fnd_fail(err, FND_ERR_USAGE, "%llu tokens are more than this model's context of %u", (unsigned long long)most, limit);
    return FND_OK;
}

static fnd_status profile(const fnd_cli_globals *globals, fnd_cli_lm *lm, const profile_options *o, fnd_error *err) {
    fnd_cli_roofs roofs;
    FND_TRY(fnd_cli_measure_roofs(globals, lm->f, &roofs, err));
    FND_TRY(fnd_cli_lm_begin(lm, 0, err));
    fnd_profile_desc desc = { .trace_path = o->trace, .lines_path = o->lines };
    fnd_cli_put_roofs(&roofs, &desc);
    FND_TRY(fnd_cli_record(lm, o->prompt_tokens, o->tokens, &desc, err));
    FND_TRY(fnd_profile_print(lm->f, stdout, err));
    if (o->trace) fnd_cli_note("the trace is in %s", o->trace);
    return fnd_cli_flush(err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const profile_options *o = options;
    profile_options copy = *o;
    fnd_cli_lm lm = { .separate = true, .wait_for_kernels = true, .check = check, .check_ctx = &copy };
    FND_TRY(fnd_cli_need(&fnd_cli_profile, "--model", o->model, err));
    if (o->trace && o->lines && strcmp(o->trace, o->lines) == 0) return fnd_fail(err, FND_ERR_USAGE, "--trace and --lines name one file, %s: each needs its own", o->trace);
    FND_TRY(fnd_cli_check_named("the trace", o->trace, err));
    FND_TRY(fnd_cli_check_named("the lines", o->lines, err));
    FND_TRY(fnd_cli_check_writable(o->trace, err));
    FND_TRY(fnd_cli_check_writable(o->lines, err));
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = profile(globals, &lm, o, err);
    return fnd_cli_lm_close(&lm, status, err);
}

static const profile_options defaults = { .prompt_tokens = 128, .tokens = 32 };

const fnd_cli_command fnd_cli_profile = {
    .name = "profile",
    .doc = "where the time of a model goes",
    .usage = "--model F [--trace OUT] [--lines OUT] [--prompt-tokens N] [--tokens N]",
    .more = "Prints for each kernel its calls, time, MB and 10^6 operations of a call, GB/s and per cent of the\n"
            "measured read bandwidth, operations for each byte, 10^9 operations a second, and per cent of the roof over\n"
            "it, which the next column names: of the bandwidth (memory) or, where there are many operations for each\n"
            "byte, of the rate of what computes them: float products, dot products or matrix products of 8 bits or\n"
            "bf16, as measured (behind \"roofs\") for the instructions of --isa. `bench --roofline` draws it.\n"
            "% time is a row's own part of all time: of a scope, what passes between the kernels and scopes\n"
            "within it. Kernels are launched one by one to be seen, so the sum is a little more than a run needs.\n"
            "With --program persistent (or auto) they are timed within the one function that a token runs as, by a\n"
            "clock before and behind each: (barrier) is what groups exchange after the last is done. On cuda a second\n"
            "table says what each compiled kernel takes: registers, what is spilled of them, group memory.",
    .example = "  foundry profile --model model.gguf --trace trace.json",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(profile_options),
    .run = run,
};
