/* emit.c - foundry emit: the text a kernel is compiled from. */
#include "cli/cli.h"
#include "compose/print.h"
#include "compose/shipped.h"

#include <stddef.h>

typedef struct emit_options {
    const char *kernel, *policy;
    uint32_t tokens;
    bool flat;
} emit_options;

#define FIELD(name) offsetof(emit_options, name)
static const fnd_cli_option options_list[] = {
    { "kernel", FND_CLI_NAME, "K", FIELD(kernel), "which kernel; `foundry kernels` lists them", 0, 0 },
    { "policy", FND_CLI_NAME, "P,..", FIELD(policy), "formats of its weights in order, the last for all that follow (default: f32)", 0, 0 },
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

static fnd_status print(fnd_catalog *catalog, const emit_options *o, const char *suffix, fnd_text *out, fnd_error *err) {
    fnd_kernel_desc desc;
    fnd_composition composition;
    fnd_variant v;
    const fnd_variant *list[] = { &v };
    FND_TRY(fnd_shipped_find(o->kernel, &desc, err));
    FND_TRY(fnd_compose(catalog, &desc, &composition, err));
    fnd_variant_init(&composition, &v);
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

static fnd_status check_kernel(const char *name, fnd_error *err) {
    char shown[80];
    fnd_cli_nearest near = { .word = name, .bytes = strlen(name) };
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        if (strcmp(fnd_shipped_name(i), name) == 0) return FND_OK;
        fnd_cli_nearest_try(&near, fnd_shipped_name(i));
    }
    return fnd_fail(err, FND_ERR_USAGE, "there is no kernel '%s'%s; `foundry kernels` lists them", fnd_span_quote((fnd_span){ name, near.bytes }, shown, sizeof shown), fnd_cli_nearest_text(&near, ""));
}

static fnd_status run(const fnd_cli_globals *globals, const void *options, fnd_error *err) {
    const emit_options *o = options;
    const char *suffix = "";
    fnd_desc desc;
    fnd_catalog *catalog;
    fnd_text out = { 0 };
    FND_TRY(fnd_cli_need(&fnd_cli_emit, "--kernel", o->kernel, err));
    FND_TRY(check_kernel(o->kernel, err));
    FND_TRY(find_suffix(globals, &suffix, err));
    FND_TRY(fnd_cli_desc(globals, &desc, err));
    FND_TRY(fnd_catalog_open(desc.kernel_dir, &catalog, err));
    fnd_status status = print(catalog, o, suffix, &out, err);
    fnd_catalog_close(catalog);
    if (status == FND_OK) return fnd_cli_put_text(&out, err);
    fnd_text_free(&out);
    return status;
}

static const emit_options defaults = { .tokens = 1 };

const fnd_cli_command fnd_cli_emit = {
    .name = "emit",
    .doc = "the composed text of a kernel",
    .usage = "--kernel K [--policy P[,P2..]] [--backend cpu|cuda|metal|sim] [--tokens N] [--flat]",
    .more = "The text is the same for every machine; with --flat it shows which machine's own files are taken.",
    .example = "  foundry emit --kernel norm_qkv --policy q5_0,q5_0,q8_0 --backend cuda",
    .options = options_list,
    .defaults = &defaults,
    .options_bytes = sizeof(emit_options),
    .backend_words = "machine: cpu (default), cuda, metal, sim",
    .run = run,
};
