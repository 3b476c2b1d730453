/* test_models.c - toy models of every architecture, with every scaling of RoPE, fused, unfused, portable and
 * simulated, against a forward pass in f64 (toy_model.c). */
#include "backend/cpu/baked.h"
#include "base/process.h"
#include "foundry/batch.h"
#include "foundry/synth.h"
#include "kernel_bench.h"
#include "lm/batch.h"
#include "test.h"
#include "toy_model.h"

#include <math.h>
#include <stdlib.h>

/* ---- the models ---- */

static const toy_desc models[] = {
    { .architecture = "llama", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 128 },
    { .architecture = "qwen2", .layers = 3, .dim = 64, .hidden_dim = 80, .heads = 4, .kv_heads = 1, .head_dim = 32, .context = 128, .bias = true, .untied = true },
    { .architecture = "qwen2", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 2, .kv_heads = 1, .context = 128, .bias = true, .embedding = FND_Q8_0, .matrices = FND_Q8_0, .last_v = FND_F16 },
    { .architecture = "llama", .layers = 3, .dim = 256, .hidden_dim = 256, .heads = 4, .kv_heads = 2, .context = 128, .untied = true, .embedding = FND_Q4_K, .head = FND_Q6_K, .matrices = FND_Q4_K, .v = FND_Q6_K, .last_v = FND_Q4_K, .last_down = FND_Q5_K },
};
enum { MODELS = sizeof models / sizeof *models,
       IDS = 45,
       SEED = 2 }; /* with it few values lie between two codes: the reference does not find its way among many */

/* What the architectures beside those have of their own: heads that are normalised, with a head_dim that is
 * not dim / heads; joined tensors, a part of each head that RoPE leaves alone. */
static const toy_desc other_models[] = {
    { .architecture = "qwen3", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .head_dim = 32, .context = 128 },
    { .architecture = "phi3", .layers = 2, .dim = 64, .hidden_dim = 72, .heads = 2, .kv_heads = 1, .context = 128, .rope_dim = 24, .bias = true, .untied = true },
    { .architecture = "phi3", .layers = 2, .dim = 256, .hidden_dim = 256, .heads = 4, .kv_heads = 2, .context = 128, .untied = true, .embedding = FND_Q4_K, .head = FND_Q6_K, .matrices = FND_Q4_K, .down = FND_Q6_K },
};
enum { OTHERS = sizeof other_models / sizeof *other_models };

/* Every scaling of RoPE that there are files of, always beyond the original context, but for one. */
#define SHAPE .layers = 2, .dim = 64, .hidden_dim = 64, .heads = 2, .kv_heads = 1, .context = 128
static const toy_desc scalings[] = {
    { .architecture = "llama", SHAPE, .scaling = TOY_LINEAR, .factor = 3.0 },
    { .architecture = "llama", SHAPE, .scaling = TOY_LINEAR, .factor = 2.5, .scaling_untold = true },
    { .architecture = "llama", SHAPE, .scaling = TOY_YARN, .factor = 4.0, .original = 32 },
    { .architecture = "llama", SHAPE, .scaling = TOY_LLAMA3, .factor = 8.0, .original = 32 },
    { .architecture = "qwen2", SHAPE, .scaling = TOY_LINEAR, .factor = 3.0, .bias = true },
    { .architecture = "qwen2", SHAPE, .scaling = TOY_YARN, .factor = 4.0, .original = 32, .bias = true },
    { .architecture = "qwen3", SHAPE, .scaling = TOY_LINEAR, .factor = 3.0 },
    { .architecture = "qwen3", SHAPE, .scaling = TOY_YARN, .factor = 4.0, .original = 32 },
    { .architecture = "phi3", SHAPE, .scaling = TOY_LONGROPE, .original = 32 },
    { .architecture = "phi3", SHAPE, .scaling = TOY_LONGROPE, .original = 64, .rope_dim = 24, .scaling_untold = true, .session = 65 },
    { .architecture = "phi3", SHAPE, .scaling = TOY_LONGROPE, .original = 64, .session = 64 },
};
#undef SHAPE
enum { SCALINGS = sizeof scalings / sizeof *scalings };

typedef struct toy {
    toy_model m;
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    uint32_t ids[IDS];
    double *want; /* [IDS, TOY_VOCAB] */
} toy;

static bool toy_open(toy *t, const toy_desc *desc, uint32_t seed) {
    fnd_error err = { 0 };
    *t = (toy){ .dir = "" };
    CHECK_OK(fnd_process_temp_dir(t->dir, &err), &err);
    if (err.status != FND_OK) return false;
    snprintf(t->path, sizeof t->path, "%s/toy.gguf", t->dir);
    bench_seed(seed);
    toy_make(&t->m, desc, t->path);
    for (size_t i = 0; i < IDS; i++) t->ids[i] = bench_below(TOY_VOCAB);
    t->want = calloc((size_t)IDS * TOY_VOCAB, sizeof(double));
    if (!t->want) abort();
    toy_logits(&t->m, t->ids, IDS, t->want);
    return true;
}

static void toy_close(toy *t) {
    toy_free(&t->m);
    free(t->want);
    fnd_process_remove_dir(t->dir);
}

/* ---- a way to run one ---- */

typedef struct way {
    const char *backend, *isa;
    bool no_fuse, baked;
    uint32_t threads;
    fnd_program_form form;
} way;

typedef struct runner {
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    fnd_error err;
    char label[96];
    bool codes; /* formats with codes multiply 8-bit activations */
} runner;

static void runner_close(runner *r) {
    fnd_session_close(r->s);
    fnd_model_free(r->m);
    CHECK_OK(fnd_close(r->f, &r->err), &r->err);
    *r = (runner){ .f = NULL };
}

static bool runner_open(runner *r, const way *w, const char *path, const fnd_session_desc *session) {
    fnd_context_info info;
    fnd_desc desc = { .backend = w->backend, .isa = w->isa, .threads = w->threads ? w->threads : 2, .quick_build = true, .wait_for_build = true, .no_baked = !w->baked, .no_build = w->baked, .cache_dir = "build/test-cache" };
    *r = (runner){ .f = NULL };
    snprintf(r->label, sizeof r->label, "%s%s%s%s%s %s", w->backend, w->isa ? " " : "", w->isa ? w->isa : "", w->no_fuse ? " unfused" : "", w->baked ? " baked" : "", fnd_program_form_name(w->form));
    fnd_status status = fnd_open(&desc, &r->f, &r->err);
    if (status == FND_OK) status = fnd_info(r->f, &info, &r->err);
    if (status == FND_OK) status = fnd_model_load(r->f, &(fnd_model_desc){ .path = path, .no_fuse = w->no_fuse, .program = w->form }, &r->m, &r->err);
    if (status == FND_OK) status = fnd_session_open(r->m, session, &r->s, &r->err);
    CHECK_MSG(status == FND_OK, "%s: %s", r->label, r->err.text);
    if (status == FND_OK)
        r->codes = info.tile_rows > 0;
    else
        runner_close(r);
    return status == FND_OK;
}

/* ---- logits ---- */

typedef struct judge {
    const toy *t;
    toy_follower *codes;  /* NULL: activations are multiplied as they are */
    size_t count, others; /* positions looked at; values that became the other code of two */
    double worst;
} judge;

/* Rounding, halves in the cache among it. */
static const double ROUNDING = 1e-3;
/* What is left where the reference has the very codes that were multiplied: values between two codes, of
 * which there are few, may have become either (toy_follow). */
static const double SAME_CODES = 2e-4;

static void judge_logits(judge *j, const float *logits) {
    size_t n = j->count++;
    double off = j->codes ? toy_follow_token(j->codes, j->t->ids[n], logits, SAME_CODES, &j->others) : toy_off_by(logits, j->t->want + n * TOY_VOCAB);
    j->worst = fmax(j->worst, off);
}

static fnd_status look(void *ctx, size_t index, const float *logits, fnd_error *err) {
    judge *j = ctx;
    (void)err;
    CHECK(index == j->count);
    judge_logits(j, logits);
    return FND_OK;
}

/* Prefill of `many` tokens with every token's logits, then `ones` tokens one by one. */
static void check_logits(const toy *t, const way *w, size_t many, size_t ones) {
    runner r;
    float logits[TOY_VOCAB];
    if (!runner_open(&r, w, t->path, &(fnd_session_desc){ .batch = 16, .context = t->m.d.session, .kv_type = t->m.d.kv })) return;
    bool codes = (r.codes && t->m.layers[0].q.codes) || t->m.d.kv == FND_Q8_0;
    judge j = { .t = t, .codes = codes ? toy_follow(&t->m, IDS, r.codes) : NULL };
    fnd_status status = fnd_session_eval_each(r.s, t->ids, many, look, &j, &r.err);
    CHECK_MSG(status == FND_OK && j.count == many, "%s: %s", r.label, r.err.text);
    for (size_t i = many; i < many + ones && status == FND_OK; i++) {
        status = fnd_session_eval(r.s, &t->ids[i], 1, &r.err);
        if (status == FND_OK) status = fnd_session_logits(r.s, logits, &r.err);
        CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
        judge_logits(&j, logits);
    }
    CHECK_MSG(j.worst <= (codes ? SAME_CODES : ROUNDING) && j.others <= j.count, "%s %s: logits are off by up to %g of the largest, with %zu other codes", r.label, t->m.d.architecture, j.worst, j.others);
    if (getenv("FOUNDRY_TEST_VERBOSE")) printf("     %s %s: off by %g, %zu other codes\n", t->m.d.architecture, r.label, j.worst, j.others);
    if (codes) toy_follow_end(j.codes);
    CHECK(fnd_session_position(r.s) == many + ones);
    runner_close(&r);
}

/* Sequences of one batch, each the same ids from another place on, by steps of all that have some left, in
 * changing order: every row against the reference. */
static void check_batch(const toy *t, const way *w, size_t sequences, size_t longest) {
    runner r;
    fnd_batch *b;
    judge j[FND_BATCH_SEQUENCES];
    float logits[TOY_VOCAB];
    size_t left = sequences;
    if (!runner_open(&r, w, t->path, NULL)) return;
    bool codes = (r.codes && t->m.layers[0].q.codes) || t->m.d.kv == FND_Q8_0;
    fnd_batch_desc desc = { .sequences = (uint32_t)sequences, .session = { .batch = 16, .context = t->m.d.session, .kv_type = t->m.d.kv } };
    fnd_status status = fnd_batch_open(r.m, &desc, &b, &r.err);
    CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
    if (status != FND_OK) {
        runner_close(&r);
        return;
    }
    for (size_t i = 0; i < sequences; i++) {
        j[i] = (judge){ .t = t, .codes = codes ? toy_follow(&t->m, IDS, r.codes) : NULL };
        status = fnd_session_eval_each(fnd_batch_session(b, (uint32_t)i), t->ids, longest * (i + 1) / (sequences + 1) + 1, look, &j[i], &r.err);
        CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
    }
    for (size_t step = 0; left && status == FND_OK; step++) {
        fnd_batch_token tokens[FND_BATCH_SEQUENCES];
        size_t count = 0;
        for (size_t k = 0; k < sequences; k++) {
            uint32_t n = (uint32_t)(sequences - 1 - (k + step) % sequences);
            bool waits = step % 4 == 3 && k == 0; /* one row fewer */
            if (j[n].count < longest && !waits) tokens[count++] = (fnd_batch_token){ n, t->ids[j[n].count] };
        }
        if (!count) continue;
        status = fnd_batch_eval(b, tokens, count, &r.err);
        for (size_t i = 0; i < count && status == FND_OK; i++) {
            judge *of = &j[tokens[i].sequence];
            status = fnd_session_logits(fnd_batch_session(b, tokens[i].sequence), logits, &r.err);
            judge_logits(of, logits);
            left -= of->count == longest;
        }
        CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
    }
    for (size_t i = 0; i < sequences; i++) {
        CHECK_MSG(j[i].worst <= (codes ? SAME_CODES : ROUNDING) && j[i].others <= j[i].count, "%s %s: logits of sequence %zu of %zu are off by up to %g of the largest, with %zu other codes", r.label, t->m.d.architecture, i, sequences, j[i].worst, j[i].others);
        if (codes) toy_follow_end(j[i].codes);
    }
    fnd_batch_close(b);
    runner_close(&r);
}

static const way cpu_ways[] = {
    { .backend = "cpu" },
    { .backend = "cpu", .no_fuse = true },
    { .backend = "cpu", .isa = "generic" },
    { .backend = "cpu", .isa = "generic", .no_fuse = true },
};

TEST(models_match_the_reference_on_cpu) {
    for (size_t i = 0; i < MODELS; i++) {
        toy t;
        if (!toy_open(&t, &models[i], (uint32_t)(SEED + i))) return;
        for (size_t w = 0; w < sizeof cpu_ways / sizeof *cpu_ways; w++) {
            if (i % 2 && cpu_ways[w].no_fuse) continue; /* compiling many small kernels takes its time */
            check_logits(&t, &cpu_ways[w], 33, IDS - 33);
        }
        toy_close(&t);
    }
}

/* Compiling takes its time: nothing twice that the scalings below run too. */
TEST(models_of_other_architectures_match_the_reference) {
    static const way cpu = { .backend = "cpu" }, plain = { .backend = "cpu", .isa = "generic", .no_fuse = true }, sim = { .backend = "sim" }, metal = { .backend = "sim", .isa = "metal" };
    for (size_t i = 0; i < OTHERS; i++) {
        toy t;
        if (!toy_open(&t, &other_models[i], (uint32_t)i + 11)) return;
        if (i != 1) check_logits(&t, &cpu, 33, IDS - 33);
        if (i != 2) check_logits(&t, &plain, 33, IDS - 33);
        if (i != 2) check_logits(&t, &sim, 5, 2);
        if (i == 2) check_logits(&t, &metal, 18, 2);
        toy_close(&t);
    }
}

static bool open_for_batch(toy *t, size_t i) {
    toy_desc desc = i < MODELS ? models[i] : other_models[i - MODELS];
    if (i == 1 || i == MODELS) desc.kv = i == 1 ? FND_Q8_0 : FND_F32;
    return toy_open(t, &desc, (uint32_t)i + 1);
}

/* Several sequences in one step: every architecture, every way, and caches of every format. */
TEST(models_batches_match_the_reference) {
    static const way ways[] = { { .backend = "cpu" }, { .backend = "cpu", .isa = "generic" } }, sim = { .backend = "sim" };
    static const way unfused = { .backend = "cpu", .isa = "generic", .no_fuse = true };
    for (size_t i = 0; i < MODELS + OTHERS; i++) {
        toy t;
        if (!open_for_batch(&t, i)) return;
        check_batch(&t, &ways[i % 2], i % 3 == 0 ? 3 : i % 3 == 1 ? 9
                                                                  : 2,
                    IDS - 5);
        if (i == 0 || i == MODELS) check_batch(&t, &unfused, 3, IDS - 20);
        if (i == 1 || i == MODELS) check_batch(&t, &sim, 3, 8);
        toy_close(&t);
    }
}

/* With the kernels in the library. */
TEST(models_from_the_library_match_the_reference) {
    static const way best = { .backend = "cpu", .baked = true }, plain = { .backend = "cpu", .isa = "generic", .baked = true };
    NEED(fnd_baked_kernel_count > 0, "no kernels are compiled into this build");
    for (size_t i = 0; i < MODELS + OTHERS; i++) {
        toy t;
        if (!toy_open(&t, i < MODELS ? &models[i] : &other_models[i - MODELS], (uint32_t)(i < MODELS ? SEED + i : i - MODELS + 11))) return;
        check_logits(&t, &best, 33, IDS - 33);
        if (i < MODELS) check_logits(&t, &plain, 33, IDS - 33);
        toy_close(&t);
    }
    for (size_t i = 2; i <= MODELS; i += MODELS - 2) {
        toy t;
        if (!open_for_batch(&t, i)) return;
        check_batch(&t, &best, 3, IDS - 20);
        toy_close(&t);
    }
}

/* Caches of every format. */
TEST(models_keep_keys_and_values_in_every_format) {
    static const way ways[] = { { .backend = "cpu" }, { .backend = "cpu", .isa = "generic" }, { .backend = "sim" } };
    for (size_t i = 0; i < 2; i++) {
        toy t;
        if (!toy_open(&t, &(toy_desc){ .architecture = "qwen2", .layers = 2, .dim = 64, .hidden_dim = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .context = 128, .bias = true, .kv = i ? FND_Q8_0 : FND_F32 }, (uint32_t)i + 91)) return;
        for (size_t w = 0; w < 3; w++) check_logits(&t, &ways[w], w < 2 ? 33 : 18, w < 2 ? IDS - 33 : 2);
        toy_close(&t);
    }
}

TEST(models_refuse_formats_of_keys_and_values) {
    toy t;
    runner r;
    fnd_session *s;
    if (!toy_open(&t, &(toy_desc){ .architecture = "llama", .layers = 1, .dim = 64, .hidden_dim = 64, .heads = 4, .kv_heads = 2, .context = 64 }, 95)) return;
    if (runner_open(&r, &(way){ .backend = "cpu", .isa = "generic" }, t.path, NULL)) {
        CHECK(fnd_session_open(r.m, &(fnd_session_desc){ .kv_type = FND_Q4_K }, &s, &r.err) == FND_ERR_UNSUPPORTED && !s);
        CHECK_HAS(r.err.text, "keys and values cannot be kept as q4_k; they can as f16, f32 or q8_0");
        r.err = (fnd_error){ 0 };
        CHECK(fnd_session_open(r.m, &(fnd_session_desc){ .kv_type = FND_Q8_0 }, &s, &r.err) == FND_ERR_UNSUPPORTED && !s);
        CHECK_HAS(r.err.text, "heads of 16 values cannot be kept as q8_0, which has blocks of 32");
        r.err = (fnd_error){ 0 };
        runner_close(&r);
    }
    toy_close(&t);
}

TEST(models_scale_rope) {
    for (size_t i = 0; i < SCALINGS; i++) {
        toy t;
        if (!toy_open(&t, &scalings[i], (uint32_t)i + 51)) return;
        check_logits(&t, &(way){ .backend = "cpu", .isa = "generic" }, 38, IDS - 38);
        toy_close(&t);
    }
}

/* Keys in a file are rotated: they are of no use with other frequencies. */
TEST(models_keep_the_frequencies_of_saved_sessions) {
    static const toy_desc desc = { .architecture = "phi3", .layers = 1, .dim = 64, .hidden_dim = 64, .heads = 2, .kv_heads = 1, .context = 128, .scaling = TOY_LONGROPE, .original = 64 };
    toy t;
    runner r;
    fnd_session *other;
    char file[FND_PROCESS_PATH_BYTES + 16];
    if (!toy_open(&t, &desc, 61)) return;
    snprintf(file, sizeof file, "%s/session", t.dir);
    if (runner_open(&r, &(way){ .backend = "cpu", .isa = "generic" }, t.path, &(fnd_session_desc){ .batch = 16, .context = 65 })) {
        CHECK_OK(fnd_session_eval(r.s, t.ids, 20, &r.err), &r.err);
        CHECK_OK(fnd_session_save(r.s, file, (fnd_span){ NULL, 0 }, &r.err), &r.err);
        CHECK_OK(fnd_session_load(r.s, file, NULL, NULL, &r.err), &r.err);
        CHECK_OK(fnd_session_open(r.m, &(fnd_session_desc){ .batch = 16, .context = 64 }, &other, &r.err), &r.err);
        CHECK(fnd_session_load(other, file, NULL, NULL, &r.err) == FND_ERR_TYPE);
        CHECK_HAS(r.err.text, "the long frequencies of this model's RoPE; a context of 64 takes the others");
        r.err = (fnd_error){ 0 };
        fnd_session_close(other);
        runner_close(&r);
    }
    toy_close(&t);
}

TEST(models_match_the_reference_on_sim) {
    for (size_t i = 0; i < MODELS; i++) {
        toy t;
        if (!toy_open(&t, &models[i], (uint32_t)i + 1)) return;
        check_logits(&t, &(way){ .backend = "sim" }, 18, 2);
        if (i < 2) check_logits(&t, &(way){ .backend = "sim", .no_fuse = true }, 5, 1);
        toy_close(&t);
    }
}

/* Prompts of several sequences read in one pass, or in as many as they have room in: what comes behind each. Where
 * activations become codes, the reference does not know which: what the same device says of each prompt alone. */
static void check_prompts(const toy *t, const way *w) {
    enum { PROMPTS = 4 };
    static const uint32_t counts[PROMPTS] = { 9, 1, 23, 2 };
    runner r;
    fnd_batch *b;
    fnd_batch_unread prompts[PROMPTS];
    float logits[TOY_VOCAB], alone[PROMPTS][TOY_VOCAB];
    double want[TOY_VOCAB];
    if (!runner_open(&r, w, t->path, &(fnd_session_desc){ .batch = 16, .context = 64 })) return;
    bool codes = r.codes && t->m.layers[0].q.codes;
    for (uint32_t i = 0; i < PROMPTS && codes; i++) {
        CHECK_OK(fnd_session_truncate(r.s, 0, &r.err), &r.err);
        CHECK_OK(fnd_session_eval(r.s, t->ids, counts[i], &r.err), &r.err);
        CHECK_OK(fnd_session_logits(r.s, alone[i], &r.err), &r.err);
    }
    fnd_status status = fnd_batch_open(r.m, &(fnd_batch_desc){ .sequences = PROMPTS, .session = { .batch = 16, .context = 64 } }, &b, &r.err);
    for (uint32_t i = 0; i < PROMPTS; i++) prompts[i] = (fnd_batch_unread){ i, t->ids, counts[i] };
    if (status == FND_OK) status = fnd_batch_read(b, prompts, PROMPTS, &r.err);
    for (uint32_t i = 0; i < PROMPTS && status == FND_OK; i++) {
        judge j = { .t = t, .count = counts[i] - 1 };
        status = fnd_session_logits(fnd_batch_session(b, i), logits, &r.err);
        for (size_t k = 0; k < TOY_VOCAB && codes; k++) want[k] = alone[i][k];
        if (codes)
            j.worst = toy_off_by(logits, want);
        else
            judge_logits(&j, logits);
        CHECK_MSG(j.worst <= ROUNDING, "%s %s: logits behind prompt %u are off by up to %g of the largest", r.label, t->m.d.architecture, i, j.worst);
    }
    CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
    fnd_batch_close(b);
    runner_close(&r);
}

/* Every PARTS-th of all: parts are tested side by side. */
enum { PARTS = 4 };
static void check_on_gpu(size_t part) {
    const char *gpu = getenv("FOUNDRY_TEST_GPU");
    NEED(gpu && gpu[0], "FOUNDRY_TEST_GPU names no backend");
    for (size_t i = part; i < MODELS + OTHERS; i += PARTS) {
        toy t;
        if (!toy_open(&t, i < MODELS ? &models[i] : &other_models[i - MODELS], (uint32_t)i + 1)) return;
        check_logits(&t, &(way){ .backend = gpu }, 33, IDS - 33);
        check_logits(&t, &(way){ .backend = gpu, .no_fuse = true }, 33, IDS - 33);
        check_logits(&t, &(way){ .backend = gpu, .form = FND_PROGRAM_LAUNCH }, 33, IDS - 33);
        if (strcmp(gpu, "cuda") == 0) check_logits(&t, &(way){ .backend = gpu, .form = FND_PROGRAM_GRAPH }, 33, IDS - 33);
        check_batch(&t, &(way){ .backend = gpu }, 5, IDS - 5);
        check_prompts(&t, &(way){ .backend = gpu });
        toy_close(&t);
    }
}
TEST(models_match_the_reference_on_gpu_1_of_4) { check_on_gpu(0); }
TEST(models_match_the_reference_on_gpu_2_of_4) { check_on_gpu(1); }
TEST(models_match_the_reference_on_gpu_3_of_4) { check_on_gpu(2); }
TEST(models_match_the_reference_on_gpu_4_of_4) { check_on_gpu(3); }

/* Whatever synth makes is among the models of the tests above. */
TEST(models_of_every_architecture_are_tested) {
    const char *architecture, *size;
    for (size_t i = 0; fnd_synth_at(i, &architecture, &size); i++) {
        bool there = false;
        for (size_t k = 0; k < MODELS + OTHERS; k++) there |= strcmp(architecture, k < MODELS ? models[k].architecture : other_models[k - MODELS].architecture) == 0;
        CHECK_MSG(there, "no toy model is a %s", architecture);
    }
}

/* ---- the same tokens, whatever the chunks and threads ---- */

/* The prompt in random chunks, then greedy tokens. */
static void generate(const toy *t, const way *w, bool chunks, uint32_t *out, size_t count) {
    runner r;
    if (!runner_open(&r, w, t->path, &(fnd_session_desc){ .batch = chunks ? 16 : 64 })) return;
    fnd_status status = FND_OK;
    for (size_t done = 0, n; done < IDS && status == FND_OK; done += n) {
        n = chunks ? 1 + bench_below(20) : IDS;
        if (n > IDS - done) n = IDS - done;
        status = fnd_session_eval(r.s, t->ids + done, n, &r.err);
    }
    for (size_t i = 0; i < count && status == FND_OK; i++) {
        status = fnd_session_sample(r.s, &(fnd_sampling){ 0 }, &out[i], &r.err);
        if (status == FND_OK) status = fnd_session_eval(r.s, &out[i], 1, &r.err);
    }
    CHECK_MSG(status == FND_OK, "%s: %s", r.label, r.err.text);
    runner_close(&r);
}

TEST(models_choose_the_same_tokens_in_any_chunks) {
    enum { TOKENS = 40 };
    for (size_t i = 0; i < MODELS; i++) {
        toy t;
        uint32_t want[TOKENS], got[TOKENS];
        if (!toy_open(&t, &models[i], (uint32_t)i + 1)) return;
        generate(&t, &(way){ .backend = "cpu", .threads = 2 }, false, want, TOKENS);
        for (uint32_t run = 0; run < 6; run++) {
            memset(got, 0xff, sizeof got);
            generate(&t, &(way){ .backend = "cpu", .threads = 1 + run % 2 }, true, got, TOKENS);
            for (size_t k = 0; k < TOKENS; k++) CHECK_MSG(got[k] == want[k], "model %zu, run %u, %u threads: token %zu is %u instead of %u", i, run, 1 + run % 2, k, got[k], want[k]);
        }
        toy_close(&t);
    }
}

TEST(models_choose_the_same_tokens_with_any_threads) {
    enum { TOKENS = 40 };
    for (size_t i = 0; i < MODELS; i++) {
        toy t;
        uint32_t want[TOKENS] = { 0 }, got[TOKENS] = { 1 };
        if (!toy_open(&t, &models[i], (uint32_t)i + 1)) return;
        generate(&t, &(way){ .backend = "cpu", .threads = 1 }, false, want, TOKENS);
        generate(&t, &(way){ .backend = "cpu", .threads = 3 }, false, got, TOKENS);
        CHECK_MSG(memcmp(want, got, sizeof want) == 0, "model %zu", i);
        toy_close(&t);
    }
}

/* ---- limits and misuse ---- */

static void check_refused(runner *r, fnd_status got, fnd_status want, const char *says) {
    CHECK_MSG(got == want, "status %d instead of %d: %s", got, want, r->err.text);
    CHECK_HAS(r->err.text, says);
    r->err = (fnd_error){ 0 };
}

TEST(models_refuse_what_does_not_fit) {
    toy t;
    runner r;
    float logits[TOY_VOCAB];
    uint32_t wrong[3] = { 1, TOY_VOCAB, 2 }, id;
    fnd_session *s;
    if (!toy_open(&t, &models[0], 1)) return;
    if (runner_open(&r, &(way){ .backend = "cpu" }, t.path, &(fnd_session_desc){ .context = 40, .batch = 16 })) {
        CHECK(fnd_session_context(r.s) == 40);
        check_refused(&r, fnd_session_logits(r.s, logits, &r.err), FND_ERR_USAGE, "no token was evaluated");
        check_refused(&r, fnd_session_sample(r.s, &(fnd_sampling){ 0 }, &id, &r.err), FND_ERR_USAGE, "no token was evaluated");
        check_refused(&r, fnd_session_eval(r.s, t.ids, 0, &r.err), FND_ERR_USAGE, "no tokens");
        check_refused(&r, fnd_session_eval(r.s, wrong, 3, &r.err), FND_ERR_USAGE, "270");
        check_refused(&r, fnd_session_eval(r.s, t.ids, 41, &r.err), FND_ERR_LIMIT, "context holds 40");
        CHECK(fnd_session_position(r.s) == 0);
        CHECK_OK(fnd_session_eval(r.s, t.ids, 39, &r.err), &r.err);
        check_refused(&r, fnd_session_eval(r.s, t.ids, 2, &r.err), FND_ERR_LIMIT, "39 are in it");
        CHECK_OK(fnd_session_eval(r.s, t.ids + 39, 1, &r.err), &r.err);
        check_refused(&r, fnd_session_eval(r.s, t.ids, 1, &r.err), FND_ERR_LIMIT, "40 are in it");
        CHECK_OK(fnd_session_logits(r.s, logits, &r.err), &r.err);
        CHECK(toy_off_by(logits, t.want + 39 * TOY_VOCAB) <= ROUNDING);
        check_refused(&r, fnd_session_open(r.m, &(fnd_session_desc){ .context = 129 }, &s, &r.err), FND_ERR_LIMIT, "129");
        CHECK(s == NULL);
        runner_close(&r);
    }
    toy_close(&t);
}

/* Forgetting tokens and evaluating them again leads to the same logits, whatever came in between. */
TEST(models_truncate) {
    toy t;
    runner r;
    float logits[TOY_VOCAB];
    uint32_t others[30];
    for (size_t i = 0; i < 30; i++) others[i] = (uint32_t)i;
    if (!toy_open(&t, &models[1], 2)) return;
    if (runner_open(&r, &(way){ .backend = "cpu" }, t.path, &(fnd_session_desc){ .batch = 16 })) {
        CHECK_OK(fnd_session_eval(r.s, t.ids, 20, &r.err), &r.err);
        CHECK_OK(fnd_session_eval(r.s, others, 30, &r.err), &r.err);
        check_refused(&r, fnd_session_truncate(r.s, 51, &r.err), FND_ERR_USAGE, "51");
        CHECK_OK(fnd_session_truncate(r.s, 20, &r.err), &r.err);
        check_refused(&r, fnd_session_logits(r.s, logits, &r.err), FND_ERR_USAGE, "");
        CHECK(fnd_session_position(r.s) == 20);
        CHECK_OK(fnd_session_eval(r.s, t.ids + 20, IDS - 20, &r.err), &r.err);
        CHECK_OK(fnd_session_logits(r.s, logits, &r.err), &r.err);
        CHECK(toy_off_by(logits, t.want + (IDS - 1) * TOY_VOCAB) <= ROUNDING);
        CHECK_OK(fnd_session_truncate(r.s, 0, &r.err), &r.err);
        CHECK_OK(fnd_session_eval(r.s, t.ids, 1, &r.err), &r.err);
        CHECK_OK(fnd_session_logits(r.s, logits, &r.err), &r.err);
        CHECK(toy_off_by(logits, t.want) <= ROUNDING);
        runner_close(&r);
    }
    toy_close(&t);
}

/* Two conversations with one model do not see each other. */
TEST(models_have_sessions_of_their_own) {
    toy t;
    runner r;
    fnd_session *other;
    float logits[TOY_VOCAB];
    if (!toy_open(&t, &models[2], 3)) return;
    if (runner_open(&r, &(way){ .backend = "cpu", .isa = "generic" }, t.path, &(fnd_session_desc){ .batch = 16 })) {
        CHECK_OK(fnd_session_open(r.m, &(fnd_session_desc){ .batch = 32 }, &other, &r.err), &r.err);
        for (size_t i = 0; i < IDS && other; i++) {
            CHECK_OK(fnd_session_eval(r.s, &t.ids[i], 1, &r.err), &r.err);
            CHECK_OK(fnd_session_eval(other, &t.ids[IDS - 1 - i], 1, &r.err), &r.err);
        }
        CHECK_OK(fnd_session_logits(r.s, logits, &r.err), &r.err);
        CHECK(toy_off_by(logits, t.want + (IDS - 1) * TOY_VOCAB) <= ROUNDING);
        fnd_session_close(other);
        runner_close(&r);
    }
    toy_close(&t);
}
