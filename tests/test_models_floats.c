/* test_models_floats.c - models whose weights are floats give the same logits, to the last bit, however their
 * tokens came: a prompt at once and in pieces, on a fork, as guesses, and one of several sequences in a step. As
 * models with codes do (test_kernels_tokens.c, test_lookup.c, test_batch.c). */
#include "backend/cpu/baked.h"
#include "foundry/batch.h"
#include "foundry/generate.h"
#include "kernel_bench.h"
#include "session_bench.h"
#include "test.h"
#include "toy_model.h"

#include <stdlib.h>
#include <string.h>

enum { IDS = 90,
       SEQUENCES = 5 };

typedef struct scene {
    session_bench b;
    char label[64];
    uint32_t ids[IDS];
} scene;

static const fnd_session_desc session = { .context = 128, .batch = 64 };

/* Columns of several parts of 64, and of parts and a rest. */
static void make_model(fnd_format format, const char *path) {
    toy_model m;
    bench_seed(5);
    toy_make(&m, &(toy_desc){ .architecture = "llama", .layers = 2, .dim = 192, .hidden_dim = 352, .heads = 6, .kv_heads = 2, .context = 128, .embedding = format, .matrices = format }, path);
    toy_free(&m);
}

static bool open_scene(scene *s, const char *path, fnd_format format, const char *isa, bool baked) {
    fnd_desc device = { .backend = "cpu", .isa = isa, .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = !baked, .no_build = baked, .cache_dir = "build/test-cache" };
    *s = (scene){ .label = "" };
    snprintf(s->label, sizeof s->label, "%s %s%s", fnd_format_get(format)->name, isa ? isa : "best", baked ? " baked" : "");
    for (uint32_t i = 0; i < IDS; i++) s->ids[i] = 3 + i * i % 23 + i % 3 * 40;
    fnd_status status = fnd_open(&device, &s->b.f, &s->b.err);
    if (status == FND_OK) status = fnd_model_load(s->b.f, &(fnd_model_desc){ .path = path }, &s->b.m, &s->b.err);
    if (status == FND_OK) status = fnd_session_open(s->b.m, &session, &s->b.s, &s->b.err);
    CHECK_MSG(status == FND_OK, "%s: %s", s->label, s->b.err.text);
    if (status != FND_OK) session_bench_close(&s->b);
    return status == FND_OK;
}

static void check_logits(scene *s, fnd_session *got, const float *want, const char *what, size_t n) {
    float logits[TOY_VOCAB];
    fnd_status status = fnd_session_logits(got, logits, &s->b.err);
    CHECK_MSG(status == FND_OK && memcmp(logits, want, sizeof logits) == 0, "%s: other logits %s %zu%s", s->label, what, n, s->b.err.text);
}

/* ids[from .. end - 1], in pieces of up to `most`, none of a single token: attention splits the keys of those. */
static void eval_in_pieces(scene *s, fnd_session *to, size_t from, size_t end, uint32_t most) {
    while (from < end) {
        size_t n = 2 + bench_below(most - 1);
        if (end - from < n + 2) n = end - from;
        CHECK_OK(fnd_session_eval(to, s->ids + from, n, &s->b.err), &s->b.err);
        from += n;
    }
}

static void check_pieces(scene *s) {
    float want[TOY_VOCAB];
    fnd_session *other;
    CHECK_OK(fnd_session_eval(s->b.s, s->ids, IDS, &s->b.err), &s->b.err);
    CHECK_OK(fnd_session_logits(s->b.s, want, &s->b.err), &s->b.err);
    for (size_t run = 0; run < 4; run++) {
        CHECK_OK(fnd_session_open(s->b.m, &session, &other, &s->b.err), &s->b.err);
        eval_in_pieces(s, other, 0, IDS, run ? 12 : 3);
        check_logits(s, other, want, "in pieces, run", run);
        fnd_session_close(other);
    }
    CHECK_OK(fnd_session_fork(s->b.s, 31, &other, &s->b.err), &s->b.err);
    eval_in_pieces(s, other, 31, IDS, 9);
    check_logits(s, other, want, "on a fork at", 31);
    fnd_session_close(other);
}

/* Sequences of other lengths, one token of each in a step, beside one session alone, token by token. */
static void check_batch(scene *s) {
    enum { STEPS = 12 };
    static float want[SEQUENCES][STEPS][TOY_VOCAB];
    fnd_batch *batch;
    CHECK_OK(fnd_batch_open(s->b.m, &(fnd_batch_desc){ .sequences = SEQUENCES, .session = session }, &batch, &s->b.err), &s->b.err);
    REQUIRE(batch);
    for (uint32_t n = 0; n < SEQUENCES; n++) {
        CHECK_OK(fnd_session_truncate(s->b.s, 0, &s->b.err), &s->b.err);
        CHECK_OK(fnd_session_eval(s->b.s, s->ids, 7 + 9 * n, &s->b.err), &s->b.err);
        CHECK_OK(fnd_session_eval(fnd_batch_session(batch, n), s->ids, 7 + 9 * n, &s->b.err), &s->b.err);
        for (uint32_t step = 0; step < STEPS; step++) {
            CHECK_OK(fnd_session_eval(s->b.s, &s->ids[7 + 9 * n + step], 1, &s->b.err), &s->b.err);
            CHECK_OK(fnd_session_logits(s->b.s, want[n][step], &s->b.err), &s->b.err);
        }
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        fnd_batch_token tokens[SEQUENCES];
        uint32_t count = 0, left = step % SEQUENCES + 1; /* of every number of rows */
        for (uint32_t n = 0; n < SEQUENCES; n++) {
            fnd_session *one = fnd_batch_session(batch, n);
            uint32_t done = (uint32_t)fnd_session_position(one) - 7 - 9 * n;
            if (count < left) tokens[count++] = (fnd_batch_token){ n, s->ids[7 + 9 * n + done] };
        }
        CHECK_OK(fnd_batch_eval(batch, tokens, count, &s->b.err), &s->b.err);
        for (uint32_t i = 0; i < count; i++) {
            fnd_session *one = fnd_batch_session(batch, tokens[i].sequence);
            uint32_t n = tokens[i].sequence;
            check_logits(s, one, want[n][(uint32_t)fnd_session_position(one) - 8 - 9 * n], "in a step of sequences,", count);
        }
    }
    fnd_batch_close(batch);
}

/* With guesses and without. */
static void check_lookup(scene *s) {
    static const fnd_logit_bias two[] = { { 7, 50 }, { 9, 50 } };
    fnd_generated answers[2];
    for (size_t i = 0; i < 2; i++) {
        fnd_generate_desc desc = { .sampling = { .bias = two, .bias_count = 2, .temperature = 5, .seed = 11 }, .max_tokens = 40, .logprobs = 3, .lookup = i == 1 };
        CHECK_OK(fnd_session_truncate(s->b.s, 0, &s->b.err), &s->b.err);
        CHECK_OK(fnd_session_eval(s->b.s, s->ids, 40, &s->b.err), &s->b.err);
        CHECK_OK(fnd_generate(s->b.s, &desc, &answers[i], &s->b.err), &s->b.err);
    }
    const fnd_generated *a = &answers[0], *b = &answers[1];
    CHECK_MSG(a->ids.count == b->ids.count && b->guessed > 0 && a->guessed == 0, "%s: %zu tokens with guesses and %zu without", s->label, b->ids.count, a->ids.count);
    if (a->ids.count == b->ids.count) {
        CHECK_MSG(memcmp(a->ids.data, b->ids.data, a->ids.count * sizeof *a->ids.data) == 0, "%s: guesses change tokens", s->label);
        CHECK_MSG(memcmp(a->logprobs, b->logprobs, a->ids.count * 4 * sizeof *a->logprobs) == 0, "%s: guesses change probabilities", s->label);
    }
    for (size_t i = 0; i < 2; i++) fnd_generated_free(&answers[i]);
}

static void check_all(fnd_format format, const char *isa, bool baked) {
    scene s;
    const char *path = session_temp("floats.gguf");
    make_model(format, path);
    if (!open_scene(&s, path, format, isa, baked)) return;
    check_pieces(&s);
    check_batch(&s);
    check_lookup(&s);
    session_bench_close(&s.b);
}

/* Compiled now: five programs. */
TEST(models_of_floats_say_the_same_however_tokens_come) { check_all(FND_F16, NULL, false); }

TEST(models_of_floats_from_the_library_say_the_same) {
    static const fnd_format formats[] = { FND_F16, FND_BF16, FND_F32 };
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    if (!fnd_baked_kernel_count) {
        fnd_test_skip("the library was built without kernels");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (levels[i].bakes == FND_CPU_BAKES_NONE || levels[i].bf16_prompts || !fnd_cpu_may_use(levels[i].needs)) continue; /* bf16 prompts are not what tokens are alone */
        bool best = levels[i].name == fnd_cpu_level_best()->name;                                                           /* with it all formats, with others one: test_kernels_tokens.c has all */
        for (size_t f = 0; f < 3; f++) {
            if (best || f == i % 3) check_all(formats[f], levels[i].name, true);
        }
    }
}
