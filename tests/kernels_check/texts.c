/* texts.c - every kernel in its variants, many to a text, for every machine. */
#include "check.h"

#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "compose/print.h"
#include "compose/shipped.h"

#include <stdio.h>

enum { MAX_TEXTS = CHECK_MAX_TEXTS,
       MAX_KERNELS = 64,
       MAX_VARIANTS = 512 /* of a text */ };

/* Formats that real files mix inside one layer, by the order of a kernel's weights. */
static const fnd_format mixes[][3] = {
    { FND_Q4_K, FND_Q4_K, FND_Q6_K },
    { FND_Q4_0, FND_Q8_0, FND_Q5_1 },
    { FND_F16, FND_Q4_1, FND_BF16 },
};

/* How the kernels of a text are compiled. */
typedef struct choice {
    char name[CHECK_NAME_BYTES];
    fnd_format weights[3];
    fnd_format act;
    uint32_t tokens;
    bool only_weights; /* leave kernels out that have no weight: they would be the same text again */
    bool folded;       /* numbers and dimensions are constants */
    bool all;          /* shipped kernels too, where a user's are checked */
} choice;

typedef struct writer {
    const char *dir;
    fnd_catalog *catalog;
    fnd_composition_room kernels[MAX_KERNELS];
    size_t kernel_count, first; /* first: of a user's kernels */
    size_t shipped_policies;
    bool user; /* only what a user declared */
    check_texts *out;
    fnd_error *err;
} writer;

/* Values that a model may have, so that folded texts are texts that could be. */
static uint64_t usual_value(const char *dim) {
    static const struct {
        const char *name;
        uint64_t value;
    } usual[] = { { "dim", 896 }, { "rows", 4864 }, { "vocab", 151936 }, { "heads", 14 }, { "kv_heads", 2 }, { "head_dim", 64 }, { "q_dim", 896 }, { "pairs", 32 }, { "width", 66 }, { "splits", 8 } };
    for (size_t i = 0; i < FND_COUNT(usual); i++) {
        if (strcmp(usual[i].name, dim) == 0) return usual[i].value;
    }
    return 128;
}

static void fold(fnd_variant *v) {
    const fnd_composition *k = v->kernel;
    const float one_and_half = 1.5f;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        if (k->args[i].kind != FND_ARG_VAL) continue;
        v->arg_folded[i] = true;
        v->arg_bits[i] = 1;
        if (strcmp(k->args[i].type, "f32") == 0) memcpy(&v->arg_bits[i], &one_and_half, sizeof one_and_half);
    }
    for (uint32_t i = 0; i < k->dims.count; i++) {
        v->dim_folded[i] = true;
        v->dim_value[i] = usual_value(k->dims.name[i]);
    }
}

/* False: the kernel is not part of this choice. */
static bool choose(const fnd_composition *k, const choice *c, fnd_variant *v) {
    uint32_t weights = 0;
    fnd_variant_init(k, v);
    v->tokens = c->tokens;
    for (uint32_t i = 0; i < k->arg_count; i++) {
        const fnd_arg *arg = &k->args[i];
        bool rounds_once = arg->kind != FND_ARG_IN && k->form != FND_FORM_ROWS; /* such results are not Q8_0 */
        if (arg->kind == FND_ARG_WEIGHT)
            v->formats[i] = c->weights[weights++ % FND_COUNT(c->weights)];
        else if (fnd_arg_is_cache(arg) && c->act != FND_BF16)
            v->formats[i] = c->act;
        else if (fnd_arg_is_act(arg) && !(rounds_once && c->act == FND_Q8_0))
            v->formats[i] = c->act;
    }
    if (c->folded) fold(v);
    return weights || !c->only_weights;
}

static fnd_status write_file(writer *w, const char *suffix, const choice *c, uint32_t kernels, const fnd_text *flat) {
    check_text *text = &w->out->list[w->out->count];
    if (w->out->count == MAX_TEXTS) return fnd_fail(w->err, FND_ERR_LIMIT, "more than %d texts", MAX_TEXTS);
    *text = (check_text){ .kernels = kernels, .thorough = c->folded, .decode = c->folded && !w->user, .known_stores = 16, .known_loads = 16 }; /* attention_batch for 7.5: 12 and 12 */
    snprintf(text->name, sizeof text->name, "%s", c->name);
    snprintf(text->suffix, sizeof text->suffix, "%s", suffix);
    snprintf(text->path, sizeof text->path, "%s/%s%s.txt", w->dir, c->name, suffix);
    for (char *at = text->path + strlen(w->dir); *at; at++) {
        if (*at == ' ') *at = '-';
    }
    w->out->count++;
    return fnd_file_write(text->path, flat->data, flat->bytes, w->err);
}

/* What becomes one text. */
typedef struct bundle {
    fnd_variant variants[MAX_VARIANTS];
    const fnd_variant *list[MAX_VARIANTS];
    uint32_t count;
} bundle;

static fnd_status add_choice(const writer *w, const choice *c, bundle *b) {
    for (size_t i = c->all ? 0 : w->first; i < w->kernel_count; i++) {
        if (b->count == MAX_VARIANTS) return fnd_fail(w->err, FND_ERR_LIMIT, "more than %d kernels in a text", MAX_VARIANTS);
        if (!choose(&w->kernels[i].composition, c, &b->variants[b->count])) continue;
        b->list[b->count] = &b->variants[b->count];
        b->count++;
    }
    return FND_OK;
}

static fnd_status write_bundle(writer *w, const char *suffix, const choice *c, const bundle *b) {
    if (b->count == 0) return FND_OK;
    fnd_text text = { 0 }, flat = { 0 };
    fnd_status status = fnd_print_head(w->catalog, b->list, b->count, &text, w->err);
    for (uint32_t i = 0; i < b->count && status == FND_OK; i++) fnd_print_kernel(b->list[i], &text);
    const char *fits = fnd_common_suffix(w->catalog, suffix, b->list, b->count);
    if (status == FND_OK) status = fnd_sources_flatten(fnd_catalog_sources(w->catalog), fits, c->name, fnd_text_get(&text), &flat, w->err);
    if (status == FND_OK) status = write_file(w, suffix, c, b->count, &flat);
    fnd_text_free(&text);
    fnd_text_free(&flat);
    return status;
}

static fnd_status write_choice(writer *w, const char *suffix, const choice *c) {
    static bundle b;
    b.count = 0;
    FND_TRY(add_choice(w, c, &b));
    return write_bundle(w, suffix, c, &b);
}

static choice of_policy(const writer *w, size_t p, uint32_t tokens) {
    const fnd_policy *policy = fnd_catalog_policy_at(w->catalog, p);
    choice c = { .weights = { policy->format, policy->format, policy->format }, .act = FND_F32, .tokens = tokens, .only_weights = true, .all = p >= w->shipped_policies };
    snprintf(c.name, sizeof c.name, "%s tokens %u", policy->name, tokens);
    return c;
}

/* Compilers read their headers of vectors longer than a policy's kernels: policies that have texts for them
 * are compiled together, those that multiply codes and the others. Alone, tests compile them when they run. */
static fnd_status write_vector_policies(writer *w, uint32_t tokens) {
    static bundle together[2], one;
    together[0].count = together[1].count = 0;
    for (size_t p = 0; p < fnd_catalog_policy_count(w->catalog); p++) {
        choice c = of_policy(w, p, tokens);
        const fnd_format_info *info = fnd_format_get(c.weights[0]);
        bundle *with = &together[info && info->block_weights > 1];
        one.count = 0;
        FND_TRY(add_choice(w, &c, &one));
        if (!info || !fnd_common_suffix(w->catalog, ".cpu", one.list, one.count)[0]) {
            FND_TRY(write_bundle(w, ".cpu", &c, &one));
            continue;
        }
        uint32_t first = with->count;
        FND_TRY(add_choice(w, &c, with));
        for (uint32_t i = first; i < with->count; i++) {
            size_t end = strlen(with->variants[i].name); /* kernels of one name have numbers, as in programs */
            snprintf(with->variants[i].name + end, sizeof with->variants[i].name - end, "_%zu", p);
        }
    }
    for (int codes = 0; codes < 2; codes++) {
        choice c = { .tokens = tokens };
        snprintf(c.name, sizeof c.name, "%s tokens %u", codes ? "formats of codes" : "formats of floats", tokens);
        FND_TRY(write_bundle(w, ".cpu", &c, &together[codes]));
    }
    return FND_OK;
}

static fnd_status write_machine(writer *w, const char *suffix) {
    static const fnd_format acts[] = { FND_F32, FND_F16, FND_BF16, FND_Q8_0 };
    for (size_t a = 0; a < FND_COUNT(acts); a++) {
        choice c = { .weights = { FND_Q8_0, FND_Q8_0, FND_Q8_0 }, .act = acts[a], .tokens = 1 };
        snprintf(c.name, sizeof c.name, "activations %s", fnd_format_get(acts[a])->name);
        FND_TRY(write_choice(w, suffix, &c));
    }
    choice folded = { .name = "constants", .weights = { FND_Q4_1, FND_Q4_1, FND_Q4_1 }, .act = FND_F32, .tokens = 1, .folded = true };
    FND_TRY(write_choice(w, suffix, &folded));
    for (uint32_t tokens = 1; tokens <= 8; tokens += 7) {
        for (size_t p = 0; p < fnd_catalog_policy_count(w->catalog) && strcmp(suffix, ".cpu") != 0; p++) {
            choice c = of_policy(w, p, tokens);
            FND_TRY(write_choice(w, suffix, &c));
        }
        if (strcmp(suffix, ".cpu") == 0) FND_TRY(write_vector_policies(w, tokens));
        for (size_t m = 0; m < FND_COUNT(mixes); m++) {
            choice c = { .act = FND_F16, .tokens = tokens, .only_weights = true };
            memcpy(c.weights, mixes[m], sizeof c.weights);
            snprintf(c.name, sizeof c.name, "mix %zu tokens %u", m + 1, tokens);
            FND_TRY(write_choice(w, suffix, &c));
        }
    }
    return FND_OK;
}

/* A kernel that does not compose is reported and left out. */
static fnd_status compose_one(writer *w, const fnd_kernel_desc *desc) {
    fnd_error err = { 0 };
    if (w->kernel_count == MAX_KERNELS) return fnd_fail(w->err, FND_ERR_LIMIT, "more than %d kernels", MAX_KERNELS);
    if (fnd_compose(w->catalog, desc, &w->kernels[w->kernel_count], &err) == FND_OK) {
        w->kernel_count++;
    } else {
        printf("FAIL %s\n", err.text);
        w->out->not_composed++;
    }
    return FND_OK;
}

static fnd_status compose_all(writer *w) {
    for (size_t i = 0; i < fnd_shipped_count(); i++) {
        fnd_kernel_desc desc;
        FND_TRY(fnd_shipped_stages(i, &desc, w->err));
        FND_TRY(compose_one(w, &desc));
    }
    if (w->user) w->first = w->kernel_count;
    for (size_t i = 0; i < fnd_catalog_kernel_count(w->catalog); i++) FND_TRY(compose_one(w, &fnd_catalog_kernel_at(w->catalog, i)->desc));
    return FND_OK;
}

fnd_status check_texts_write(const char *dir, const char *user, check_texts *out, fnd_error *err) {
    static const char *const machines[] = { "", ".cpu", ".cuda", ".metal" }; /* "": also the simulator's */
    static writer w;
    w = (writer){ .dir = dir, .out = out, .err = err, .user = user != NULL };
    *out = (check_texts){ .list = fnd_alloc_zeroed(MAX_TEXTS, sizeof *out->list) };
    if (!out->list) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    FND_TRY(fnd_catalog_open(NULL, &w.catalog, err));
    w.shipped_policies = fnd_catalog_policy_count(w.catalog);
    fnd_status status = user ? fnd_catalog_add_folder(w.catalog, user, err) : FND_OK;
    if (status == FND_OK) status = compose_all(&w);
    for (size_t i = 0; i < FND_COUNT(machines) && status == FND_OK; i++) status = write_machine(&w, machines[i]);
    bool stages_only = status == FND_OK && out->count == 0 && out->not_composed == 0;
    if (stages_only) status = fnd_fail(err, FND_ERR_USAGE, "the texts in %s declare no kernel (FND_COMPOUND) and no policy: there is nothing to compose", user);
    fnd_catalog_close(w.catalog);
    return status;
}
