/* emit.c - foundry emit: the text that a kernel, or a whole program of a model, is compiled from. */
#include "cli/lm.h"
#include "compose/print.h"
#include "compose/shipped.h"
#include "run/program.h"

#include <stddef.h>

typedef struct emit_options {
    const char *kernel, *policy, *user, *program, *model;
    uint32_t tokens;
    bool flat;
} emit_options;

#define FIELD(name) offsetof(emit_options, name)
static const fnd_cli_option options_list[] = {
    { "kernel", FND_CLI_NAME, "K", FIELD(kernel), "which kernel; `foundry kernels` lists them", 0, 0 },
    { "policy", FND_CLI_NAME, "P,..", FIELD(policy), "formats of its weights in order, the last for all that follow (default: f32)", 0, 0 },
    { "user", FND_CLI_NAME, "DIR", FIELD(user), "a folder of kernel texts of your own, whose kernels and policies there are too", 0, 0 },
    { "program", FND_CLI_NAME, "decode|prefill|head", FIELD(program), "a program of the model instead, as one function", 0, 0 },
    { "model", FND_CLI_NAME, "F", FIELD(model), "model file, for --program", 0, 0 },
    { "tokens", FND_CLI_U32, "N", FIELD(tokens), "tokens computed together (default: 1)", 1, 64 },
    { "flat", FND_CLI_FLAG, NULL, FIELD(flat), "with everything it includes: what the compiler reads", 0, 0 },
    { NULL, FND_CLI_FLAG, NULL, 0, NULL, 0, 0 },
};
#undef FIELD

/* Names of machines that texts are written for, also of those that this program cannot open. */
static const struct {
    const char *name, *suffix;
} machines[] = { { "cpu", ".cpu" }, { "cuda", ".cuda" }, { "metal", ".metal" }, { "sim", "" } };

static fnd_status find_suffix(const fnd_cli_globals *g, const char **suffix, fnd_error *err) {
    char shown[80];
    const char *name = g->backend ? g->backend : "cpu";
    for (size_t i = 0; i < FND_COUNT(machines); i++) {
        if (strcmp(machines[i].name, name) != 0) continue;
        *suffix = g->isa && strcmp(g->isa, "generic") == 0 ? "" : machines[i].suffix;
        return FND_OK;
    }
    return fnd_fail(err, FND_ERR_USAGE, "--backend is cpu, cuda, metal or sim, not '%s'", fnd_span_quote((fnd_span){ name, strlen(name) }, shown, sizeof shown));
}

static fnd_status unknown_policy(const fnd_catalog *catalog, fnd_span word, fnd_error *err) {
    char shown[80], known[256] = "";
    for (size_t i = 0; i < fnd_catalog_policy_count(catalog); i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", fnd_catalog_policy_at(catalog, i)->name);
    }
    return fnd_fail(err, FND_ERR_USAGE, "there is no policy '%s'; there are: %s", fnd_span_quote(word, shown, sizeof shown), known);
}

/* The formats of the weights from "q5_0,q8_0". */
static fnd_status set_policies(const fnd_catalog *catalog, const char *policies, fnd_variant *v, fnd_error *err) {
    uint32_t weights = 0;
    const fnd_policy *policy = NULL;
    const char *at = policies;
    for (uint32_t i = 0; i < v->kernel->arg_count; i++) {
        if (v->kernel->args[i].kind != FND_ARG_WEIGHT) continue;
        weights++;
        if (!policies) continue;
        if (at) {
            char name[FND_NAME_BYTES];
            size_t bytes = strcspn(at, ",");
            snprintf(name, sizeof name, "%.*s", (int)fnd_min_size(bytes, sizeof name), at);
            policy = fnd_catalog_policy(catalog, name);
            if (!policy) return unknown_policy(catalog, (fnd_span){ at, bytes }, err);
            at = at[bytes] ? at + bytes + 1 : NULL;
        }
        v->formats[i] = policy->format;
    }
    if (weights && at) return fnd_fail(err, FND_ERR_USAGE, "--policy names more formats than %s has weights (%u)", v->kernel->name, weights);
    if (!weights && policies) fnd_cli_note("%s has no weights: --policy changes nothing", v->kernel->name);
    return FND_OK;
}

static fnd_status find_kernel(const fnd_catalog *catalog, const char *name, fnd_kernel_desc *out, fnd_error *err) {
    char shown[80];
    fnd_nearest near = { .word = name, .bytes = strlen(name) };
    const fnd_declared_kernel *declared = fnd_catalog_kernel(catalog, name);
    if (declared) {
        *out = declared->desc;
        return FND_OK;
    }
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        if (strcmp(fnd_shipped_name(i), name) == 0) return fnd_shipped_stages(i, out, err);
        fnd_nearest_try(&near, fnd_shipped_name(i));
    }
    for (size_t i = 0; i < fnd_catalog_kernel_count(catalog); i++) fnd_nearest_try(&near, fnd_catalog_kernel_at(catalog, i)->name);
    return fnd_fail(err, FND_ERR_USAGE, "there is no kernel '%s'%s; `foundry kernels` lists them", fnd_span_quote((fnd_span){ name, near.bytes }, shown, sizeof shown), fnd_nearest_text(&near, ""));
}

static fnd_status print(fnd_catalog *catalog, const emit_options *o, const char *suffix, fnd_text *out, fnd_error *err) {
    fnd_kernel_desc desc;
    fnd_composition_room room;
    fnd_variant v;
    const fnd_variant *list[] = { &v };
    FND_TRY(find_kernel(catalog, o->kernel, &desc, err));
    FND_TRY(fnd_compose(catalog, &desc, &room, err));
    fnd_variant_init(&room.composition, &v);
    v.tokens = o->tokens;
    FND_TRY(set_policies(catalog, o->policy, &v, err));
    fnd_text composed = { 0 };
    fnd_status status = fnd_print_alone(catalog, &v, &composed, err);
    if (status == FND_OK && o->flat)
        status = fnd_sources_flatten(fnd_catalog_sources(catalog), fnd_common_suffix(catalog, suffix, list, 1), v.name, fnd_text_get(&composed), out, err);
    else if (status == FND_OK)
        fnd_text_add(out, fnd_text_get(&composed), composed.bytes);
    fnd_text_free(&composed);
    return status;
}

static fnd_status emit_kernel(const fnd_cli_globals *globals, const emit_options *o, fnd_text *out, fnd_error *err) {
    const char *suffix = "";
    fnd_desc desc;
    fnd_catalog *catalog;
    FND_TRY(find_suffix(globals, &suffix, err));
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    FND_TRY(fnd_catalog_open(desc.kernel_dir, &catalog, err));
    fnd_status status = o->user ? fnd_catalog_add_folder(catalog, o->user, err) : FND_OK;
    if (status == FND_OK) status = print(catalog, o, suffix, out, err);
    fnd_catalog_close(catalog);
    return status;
}

static fnd_status check_program(fnd_cli_lm *lm, void *name, fnd_error *err) {
    static const char *const names[] = { "decode", "prefill", "head" };
    char shown[80];
    (void)lm;
    for (size_t i = 0; i < FND_COUNT(names); i++) {
        if (strcmp(names[i], name) == 0) return FND_OK;
    }
    return fnd_fail(err, FND_ERR_USAGE, "--program is decode, prefill or head, not '%s'", fnd_span_quote((fnd_span){ name, strlen(name) }, shown, sizeof shown));
}

static fnd_status emit_program(const fnd_cli_globals *globals, const emit_options *o, fnd_text *out, fnd_error *err) {
    char name[FND_NAME_BYTES];
    fnd_cli_lm lm = { .quick = true, .check = check_program, .check_ctx = name };
    snprintf(name, sizeof name, "%s", o->program);
    if (o->kernel || o->policy || o->user) return fnd_fail(err, FND_ERR_USAGE, "--program prints the kernels of a model in the model's formats: it takes no --kernel, --policy or --user");
    if (!o->model) return fnd_fail(err, FND_ERR_USAGE, "emit --program needs --model");
    FND_TRY(check_program(&lm, name, err));
    fnd_status status = fnd_cli_lm_open(globals, o->model, &lm, err);
    if (status == FND_OK) status = fnd_cli_lm_begin(&lm, 0, err);
    if (status == FND_OK) status = fnd_program_print(fnd_session_program(lm.s, name), o->flat, out, err);
    return fnd_cli_lm_close(&lm, status, err);
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const emit_options *o = options;
    fnd_text out = { 0 };
    if (!o->program && o->model) return fnd_fail(err, FND_ERR_USAGE, "--model is for --program: the text of a kernel does not depend on a model");
    if (!o->program && !o->kernel) return fnd_fail(err, FND_ERR_USAGE, "emit needs --kernel, or --program and --model; `foundry emit --help` shows how");
    fnd_status status = o->program ? emit_program(globals, o, &out, err) : emit_kernel(globals, o, &out, err);
    if (status == FND_OK) return fnd_cli_put_text(&out, err);
    fnd_text_free(&out);
    return status;
}

static const emit_options defaults = { .tokens = 1 };

const fnd_cli_command fnd_cli_emit = {
    .name = "emit",
    .doc = "the composed text of a kernel, or of a model's program",
    .usage = "--kernel K [--policy P[,P2..]] [--backend cpu|cuda|metal|sim] [--tokens N] [--flat] [--user DIR]\n"
             "       foundry emit --program P --model F [--backend NAME] [--no-fuse] [--flat]",
    .more = "The text of a kernel is the same for every machine; with --flat it shows which machine's own files\n"
            "are taken. A program is printed for the device that would run it, with the model's constants in it.",
    .example = "  foundry emit --kernel norm_qkv --policy q5_0,q5_0,q8_0 --backend cuda\n"
               "  foundry emit --kernel capped --user examples\n"
               "  foundry emit --program decode --model model.gguf",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(emit_options),
    .machines = "cpu|cuda|metal|sim",
    .run = run,
};
