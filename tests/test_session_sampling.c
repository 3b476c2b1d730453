/* test_session_sampling.c - the choice of tokens with all its settings, against references in f64. */
#include "kernels/sample/sample_ref.h"
#include "session_bench.h"
#include "test.h"
#include "tiny_model.h"

#include <math.h>

enum { VOCAB = TINY_MODEL_VOCAB,
       PROMPT = 50 };

static void make_prompt(uint32_t *ids) {
    for (uint32_t i = 0; i < PROMPT; i++) ids[i] = i * i % 23 + (i % 5 ? 0 : i);
}

/* What should be chosen of these logits, in a context of `ids`. */
static uint32_t expected(const float *logits, const uint32_t *ids, uint32_t position, const fnd_sampling *c) {
    double changed[VOCAB];
    float rounded[VOCAB];
    uint32_t bias_ids[8], window = c->repeat_last_n ? c->repeat_last_n : 64;
    float bias[8];
    for (size_t i = 0; i < VOCAB; i++) changed[i] = (double)logits[i];
    for (size_t i = 0; i < c->bias_count; i++) {
        bias_ids[i] = c->bias[i].id;
        bias[i] = c->bias[i].bias;
    }
    if (window > position) window = position;
    penalize_ref_desc p = { .recent = ids + position - window, .recents = window, .bias_ids = bias_ids, .bias = bias, .biases = c->bias_count };
    p.repeat = c->repeat_penalty > 0 ? (double)c->repeat_penalty : 1;
    p.presence = (double)c->presence_penalty;
    p.frequency = (double)c->frequency_penalty;
    penalize_ref(&p, changed, VOCAB);
    for (size_t i = 0; i < VOCAB; i++) rounded[i] = (float)changed[i];
    sample_ref_desc d = { .logits = rounded, .vocab = VOCAB, .top_k = c->top_k, .typical_p = (double)c->typical_p, .top_p = c->top_p > 0 ? (double)c->top_p : 1, .min_p = (double)c->min_p, .temperature = (double)c->temperature, .seed = c->seed, .position = position };
    return sample_ref(&d);
}

static const fnd_logit_bias biases[] = { { 7, -INFINITY }, { 100, 2.5f }, { 100, 0.5f }, { 12, -1 } };

static const fnd_sampling settings[] = {
    { .temperature = 0 },
    { .repeat_penalty = 1.3f },
    { .presence_penalty = 0.8f, .repeat_last_n = 10 },
    { .frequency_penalty = 0.4f, .repeat_last_n = 1000 },
    { .bias = biases, .bias_count = 4 },
    { .temperature = 0.9f, .seed = 3 },
    { .temperature = 1.2f, .top_k = 30, .typical_p = 0.6f, .seed = 5 },
    { .temperature = 1, .typical_p = 0.3f, .top_p = 0.8f, .seed = 6 },
    { .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .presence_penalty = -0.2f, .frequency_penalty = 0.1f, .repeat_last_n = 33, .bias = biases, .bias_count = 4, .seed = 1ull << 40 },
};

TEST(session_sampling_equals_the_reference) {
    session_bench b;
    uint32_t ids[PROMPT + 12];
    float logits[VOCAB], after[VOCAB];
    if (!session_bench_open(&b, NULL)) return;
    for (size_t n = 0; n < sizeof settings / sizeof *settings; n++) {
        make_prompt(ids);
        CHECK_OK(fnd_session_prompt(b.s, ids, PROMPT, &b.err), &b.err);
        for (uint32_t position = PROMPT; position < PROMPT + 12; position++) {
            uint32_t id = VOCAB;
            CHECK_OK(fnd_session_logits(b.s, logits, &b.err), &b.err);
            CHECK_OK(fnd_session_sample(b.s, &settings[n], &id, &b.err), &b.err);
            CHECK_OK(fnd_session_logits(b.s, after, &b.err), &b.err);
            CHECK(memcmp(logits, after, sizeof logits) == 0);
            uint32_t want = expected(logits, ids, position, &settings[n]);
            CHECK_MSG(id == want, "settings %zu, position %u: chose %u instead of %u", n, position, id, want);
            ids[position] = want;
            CHECK_OK(fnd_session_eval(b.s, &ids[position], 1, &b.err), &b.err);
        }
    }
    session_bench_close(&b);
}

/* The same seed chooses the same tokens, another seed others. */
TEST(session_sampling_repeats_with_its_seed) {
    session_bench b;
    uint32_t ids[PROMPT], chosen[3][20];
    if (!session_bench_open(&b, NULL)) return;
    make_prompt(ids);
    for (size_t run = 0; run < 3; run++) {
        const fnd_sampling c = { .temperature = 1, .seed = run == 1 ? 5 : 4 };
        CHECK_OK(fnd_session_prompt(b.s, ids, PROMPT, &b.err), &b.err);
        for (size_t i = 0; i < 20; i++) {
            CHECK_OK(fnd_session_sample(b.s, &c, &chosen[run][i], &b.err), &b.err);
            CHECK_OK(fnd_session_eval(b.s, &chosen[run][i], 1, &b.err), &b.err);
        }
    }
    CHECK(memcmp(chosen[0], chosen[2], sizeof chosen[0]) == 0);
    CHECK(memcmp(chosen[0], chosen[1], sizeof chosen[0]) != 0);
    session_bench_close(&b);
}

TEST(session_logprobs_are_those_of_the_model) {
    session_bench b;
    uint32_t ids[PROMPT];
    float logits[VOCAB];
    fnd_logprob all[VOCAB + 1];
    double sum = 0, total = 0;
    if (!session_bench_open(&b, NULL)) return;
    make_prompt(ids);
    CHECK_OK(fnd_session_prompt(b.s, ids, PROMPT, &b.err), &b.err);
    CHECK_OK(fnd_session_logits(b.s, logits, &b.err), &b.err);
    for (size_t i = 0; i < VOCAB; i++) total += exp((double)logits[i]);
    for (uint32_t count = 0; count <= VOCAB; count += count < 5 ? 1 : 53) {
        CHECK_OK(fnd_session_logprobs(b.s, 17, all, count, &b.err), &b.err);
        CHECK(all[0].id == 17 && fabs((double)all[0].logprob - ((double)logits[17] - log(total))) < 1e-5);
        for (uint32_t i = 1; i <= count; i++) {
            CHECK(fabs((double)all[i].logprob - ((double)logits[all[i].id] - log(total))) < 1e-5);
            CHECK(i == 1 || all[i].logprob <= all[i - 1].logprob);
        }
    }
    CHECK_OK(fnd_session_logprobs(b.s, 17, all, VOCAB, &b.err), &b.err);
    for (size_t i = 1; i <= VOCAB; i++) sum += exp((double)all[i].logprob);
    CHECK(fabs(sum - 1) < 1e-5);
    CHECK(fnd_session_logprobs(b.s, VOCAB, all, 1, &b.err) == FND_ERR_USAGE);
    session_bench_close(&b);
}

TEST(session_sampling_refuses_nonsense) {
    static const fnd_logit_bias unknown = { VOCAB, 1 }, nan = { 1, NAN }, always = { 1, INFINITY };
    static const struct {
        fnd_sampling c;
        const char *says;
    } wrong[] = {
        { { .temperature = -1 }, "temperature" },
        { { .temperature = NAN }, "temperature" },
        { { .top_p = 1.5f }, "top_p" },
        { { .min_p = -0.1f }, "min_p" },
        { { .typical_p = 2 }, "typical_p" },
        { { .repeat_penalty = -1 }, "repeat_penalty" },
        { { .presence_penalty = INFINITY }, "presence_penalty" },
        { { .frequency_penalty = NAN }, "frequency_penalty" },
        { { .bias = &unknown, .bias_count = 1 }, "token 270" },
        { { .bias = &nan, .bias_count = 1 }, "bias of token 1" },
        { { .bias = &always, .bias_count = 1 }, "bias of token 1" },
    };
    session_bench b;
    uint32_t ids[PROMPT], id;
    if (!session_bench_open(&b, NULL)) return;
    make_prompt(ids);
    CHECK_OK(fnd_session_prompt(b.s, ids, PROMPT, &b.err), &b.err);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(fnd_session_sample(b.s, &wrong[i].c, &id, &b.err) == FND_ERR_USAGE);
        CHECK_HAS(b.err.text, wrong[i].says);
        b.err = (fnd_error){ 0 };
    }
    session_bench_close(&b);
}
