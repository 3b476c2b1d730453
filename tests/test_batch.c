/* test_batch.c - several sequences decoded together say what each says alone; they are sessions like others;
 * and what happens to one happens to no other. Against the reference: test_models.c. */
#include "base/base.h"
#include "base/memory.h"
#include "foundry/batch.h"
#include "foundry/profile.h"
#include "session_bench.h"
#include "test.h"
#include "tiny_model.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = TINY_MODEL_VOCAB,
       REQUESTS = 13,
       PROMPT = 70 };

static void make_ids(uint32_t *ids, size_t count, uint32_t salt) {
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 31 + i * i % 7 * 5 + salt * 13) % 256;
}

static bool open_batch(session_bench *b, uint32_t sequences, uint32_t context, fnd_batch **out) {
    if (!session_bench_open(b, NULL)) return false;
    fnd_status status = fnd_batch_open(b->m, &(fnd_batch_desc){ .sequences = sequences, .session = { .context = context, .batch = 16 } }, out, &b->err);
    CHECK_MSG(status == FND_OK, "%s", b->err.text);
    if (status != FND_OK) session_bench_close(b);
    return status == FND_OK;
}

static void close_batch(session_bench *b, fnd_batch *batch) {
    fnd_batch_close(batch);
    session_bench_close(b);
}

/* ---- many prompts ---- */

typedef struct answers {
    fnd_generated of[REQUESTS];
    bool done[REQUESTS];
    char why[REQUESTS][FND_ERROR_TEXT_BYTES];
    size_t count;
    fnd_batch_stats stats;
    volatile bool cancel;
    uint64_t cancel_at; /* steps; 0: never */
} answers;

static fnd_status keep(void *ctx, size_t index, fnd_generated *result, const fnd_error *why, fnd_error *err) {
    answers *a = ctx;
    (void)err;
    CHECK(index < REQUESTS && !a->done[index]);
    a->done[index] = true;
    a->count++;
    if (why) snprintf(a->why[index], sizeof a->why[index], "%s", why->text);
    a->of[index] = *result;
    *result = (fnd_generated){ .ending = FND_ENDING_NONE };
    return FND_OK;
}

static void watch(void *ctx, const fnd_batch_stats *stats) {
    answers *a = ctx;
    CHECK(stats->done >= a->stats.done && stats->tokens >= a->stats.tokens && stats->done <= stats->requests);
    a->stats = *stats;
    if (a->cancel_at && stats->steps >= a->cancel_at) a->cancel = true;
}

static void last_stats(void *ctx, const fnd_batch_stats *stats) { *(fnd_batch_stats *)ctx = *stats; }

static void free_answers(answers *a) {
    for (size_t i = 0; i < REQUESTS; i++) fnd_generated_free(&a->of[i]);
}

static void same_answer(const fnd_generated *got, const fnd_generated *want, size_t index) {
    bool same = got->ids.count == want->ids.count && got->ending == want->ending && got->bytes == want->bytes && memcmp(got->text, want->text, got->bytes) == 0;
    for (size_t i = 0; same && i < want->ids.count; i++) same = got->ids.data[i] == want->ids.data[i];
    CHECK_MSG(same, "request %zu: %zu tokens, %s instead of %zu, %s", index, got->ids.count, fnd_ending_name(got->ending), want->ids.count, fnd_ending_name(want->ending));
    CHECK((got->logprobs != NULL) == (want->logprobs != NULL));
    for (size_t i = 0; got->logprobs && same && i < want->ids.count; i++) CHECK(fabsf(got->logprobs[3 * i].logprob - want->logprobs[3 * i].logprob) < 1e-2f);
}

/* Prompts of all lengths; greedy, drawn, penalised, biased, stopped, with probabilities, at the context's end. */
static void describe(uint32_t i, fnd_generate_desc *d, uint32_t *ids, size_t *count) {
    static const char *const stops[] = { "z", "q" };
    static const fnd_logit_bias bias[] = { { 65, 4.0f }, { 66, -INFINITY } };
    *count = 1 + i * 29 % PROMPT;
    make_ids(ids, *count, i % 5); /* some begin alike: what is there already is not computed again */
    *d = (fnd_generate_desc){ .max_tokens = 3 + i * 7 % 20 };
    if (i % 4 == 1) d->sampling = (fnd_sampling){ .temperature = 0.9f, .top_k = 40, .seed = i };
    if (i % 4 == 2) d->sampling = (fnd_sampling){ .repeat_penalty = 1.3f, .frequency_penalty = 0.2f, .bias = bias, .bias_count = 2 };
    if (i % 5 == 3) d->logprobs = 2;
    if (i % 6 == 4) d->stops = stops, d->stop_count = 2;
    if (i == 7) d->max_tokens = 0;
    if (i == 8) *d = (fnd_generate_desc){ .max_tokens = 200, .context_shift = true, .keep = 4 };
}

/* Settings that fnd_generate refuses, a batch refuses too: for the request that has them. */
TEST(batch_refuses_what_cannot_be_kept) {
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[] = { 1, 2, 3 };
    fnd_generate_desc fine = { .max_tokens = 2, .context_shift = true, .keep = 128 - FND_SHIFT_STEP - 1 }, wrong = { .max_tokens = 2, .context_shift = true, .keep = fine.keep + 1 };
    answers a = { .count = 0 };
    if (!open_batch(&b, 2, 128, &batch)) return;
    fnd_batch_request requests[] = { { .ids = ids, .count = 3, .desc = &fine }, { .ids = ids, .count = 3, .desc = &wrong } };
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = 2, .done = keep, .ctx = &a }, &b.err), &b.err);
    CHECK(a.count == 2 && a.of[0].ids.count == 2 && !a.why[0][0] && a.of[1].ids.count == 0);
    CHECK_HAS(a.why[1], "112 tokens cannot be kept: a context of 128, of which 16 at a time are dropped, can keep 111");
    fnd_session *alone = fnd_batch_session(batch, 0);
    fnd_generated out;
    CHECK(fnd_generate(alone, &wrong, &out, &b.err) == FND_ERR_USAGE);
    CHECK_STR(b.err.text, a.why[1]);
    free_answers(&a);
    close_batch(&b, batch);
}

TEST(batch_answers_as_each_alone) {
    session_bench b;
    fnd_batch *batch;
    fnd_generate_desc descs[REQUESTS];
    fnd_batch_request requests[REQUESTS];
    uint32_t ids[REQUESTS][PROMPT];
    answers a = { .count = 0 };
    if (!open_batch(&b, 4, 128, &batch)) return;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        requests[i] = (fnd_batch_request){ .ids = ids[i], .desc = &descs[i] };
        describe(i, &descs[i], ids[i], &requests[i].count);
    }
    fnd_batch_job job = { .requests = requests, .count = REQUESTS, .done = keep, .progress = watch, .ctx = &a };
    CHECK_OK(fnd_batch_generate(batch, &job, &b.err), &b.err);
    CHECK(a.count == REQUESTS && a.stats.done == REQUESTS && a.stats.failed == 0 && a.stats.steps > 0 && a.stats.steps < a.stats.tokens);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        fnd_session *alone;
        fnd_generated want;
        CHECK_OK(fnd_session_open(b.m, &(fnd_session_desc){ .context = 128, .batch = 16 }, &alone, &b.err), &b.err);
        CHECK_OK(fnd_session_prompt(alone, ids[i], requests[i].count, &b.err), &b.err);
        CHECK_OK(fnd_generate(alone, &descs[i], &want, &b.err), &b.err);
        same_answer(&a.of[i], &want, i);
        CHECK(a.of[i].prompt_tokens == requests[i].count);
        fnd_generated_free(&want);
        fnd_session_close(alone);
    }
    CHECK(a.of[7].ending == FND_ENDING_CONTEXT && a.of[8].dropped > 0);
    free_answers(&a);
    close_batch(&b, batch);
}

TEST(batch_goes_on_when_one_fails) {
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[PROMPT], wrong[] = { 1, VOCAB };
    fnd_generate_desc desc = { .max_tokens = 5 }, hot = { .max_tokens = 5, .sampling = { .temperature = -1 } };
    answers a = { .count = 0 };
    make_ids(ids, PROMPT, 1);
    if (!open_batch(&b, 2, 64, &batch)) return;
    fnd_batch_request requests[] = { { ids, 9, &desc }, { ids, PROMPT, &desc }, { wrong, 2, &desc }, { ids, 0, &desc }, { ids, 7, &hot }, { ids, 20, &desc } };
    fnd_batch_job job = { .requests = requests, .count = 6, .done = keep, .progress = watch, .ctx = &a };
    CHECK_OK(fnd_batch_generate(batch, &job, &b.err), &b.err);
    CHECK(a.count == 6 && a.stats.failed == 4 && a.stats.done == 6);
    CHECK(a.of[0].ids.count == 5 && a.of[5].ids.count == 5 && !a.why[0][0] && !a.why[5][0]);
    CHECK_HAS(a.why[1], "the prompt has 70 tokens, but the context holds 64");
    CHECK_HAS(a.why[2], "token 270 is not in the vocabulary of 270");
    CHECK_HAS(a.why[3], "the prompt has no tokens");
    CHECK_HAS(a.why[4], "temperature");
    for (size_t i = 1; i < 5; i++) CHECK(!a.of[i].text && !a.of[i].ids.count);
    free_answers(&a);
    close_batch(&b, batch);
}

/* A failure of the callee ends the job with it. */
static fnd_status refuse(void *ctx, size_t index, fnd_generated *result, const fnd_error *why, fnd_error *err) {
    (void)ctx, (void)index, (void)result, (void)why;
    return fnd_fail(err, FND_ERR_FILE, "there is no room for an answer");
}

TEST(batch_can_be_ended) {
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[PROMPT];
    fnd_generate_desc desc = { .max_tokens = 0 }, brief = { .max_tokens = 2 };
    answers a = { .cancel_at = 9 };
    make_ids(ids, PROMPT, 2);
    if (!open_batch(&b, 2, 128, &batch)) return;
    fnd_batch_request requests[] = { { ids, 9, &brief }, { ids, 12, &desc }, { ids, 5, &desc }, { ids, 20, &desc } };
    fnd_batch_job job = { .requests = requests, .count = 4, .done = keep, .progress = watch, .ctx = &a, .cancel = &a.cancel };
    CHECK(fnd_batch_generate(batch, &job, &b.err) == FND_ERR_CANCELLED);
    CHECK_HAS(b.err.text, "interrupted: 1 of 4 prompts are answered");
    CHECK(a.done[0] && a.done[1] && a.done[2] && !a.done[3]);
    CHECK(a.of[0].ending == FND_ENDING_TOKENS && a.of[1].ending == FND_ENDING_CANCELLED && a.of[2].ending == FND_ENDING_CANCELLED && a.of[1].ids.count > 5);
    b.err = (fnd_error){ 0 };
    job = (fnd_batch_job){ .requests = requests, .count = 4, .done = refuse };
    CHECK(fnd_batch_generate(batch, &job, &b.err) == FND_ERR_FILE);
    CHECK_HAS(b.err.text, "no room for an answer");
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = 1 }, &b.err), &b.err); /* it can still be used */
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .count = 0 }, &b.err), &b.err);
    free_answers(&a);
    close_batch(&b, batch);
}

/* A prompt goes where most of it is. */
TEST(batch_reuses_what_prompts_have_in_common) {
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[6][PROMPT];
    fnd_generate_desc desc = { .max_tokens = 3 };
    fnd_batch_request requests[6];
    answers a = { .count = 0 };
    if (!open_batch(&b, 2, 128, &batch)) return;
    for (uint32_t i = 0; i < 6; i++) {
        make_ids(ids[i], PROMPT, i % 2); /* two beginnings, in turn */
        make_ids(ids[i] + 50, PROMPT - 50, i + 3);
        requests[i] = (fnd_batch_request){ ids[i], PROMPT, &desc };
    }
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = 6, .done = keep, .progress = watch, .ctx = &a }, &b.err), &b.err);
    CHECK_MSG(a.stats.reused == 4 * 50, "%llu tokens were reused", (unsigned long long)a.stats.reused);
    CHECK(a.stats.prompt_tokens == 6 * PROMPT && a.of[5].prompt_reused >= 50);
    free_answers(&a);
    close_batch(&b, batch);
}

/* The logits behind the prompt have the very bits that they have alone: the first probability of each answer. */
static void same_bits_as_alone(session_bench *b, const answers *a, const fnd_batch_request *requests, size_t count, fnd_format kv_type) {
    for (size_t i = 0; i < count; i++) {
        fnd_session *alone;
        fnd_generated want;
        CHECK_OK(fnd_session_open(b->m, &(fnd_session_desc){ .context = 128, .batch = 16, .kv_type = kv_type }, &alone, &b->err), &b->err);
        CHECK_OK(fnd_session_prompt(alone, requests[i].ids, requests[i].count, &b->err), &b->err);
        CHECK_OK(fnd_generate(alone, requests[i].desc, &want, &b->err), &b->err);
        same_answer(&a->of[i], &want, i);
        CHECK_MSG(memcmp(a->of[i].logprobs, want.logprobs, 3 * sizeof *want.logprobs) == 0, "request %zu: %a instead of %a", i, (double)a->of[i].logprobs->logprob, (double)want.logprobs->logprob);
        fnd_generated_free(&want);
        fnd_session_close(alone);
    }
}

enum { ALIKE = 8,
       COMMON = 37 }; /* in the middle of a block of 16 */

/* Prompts that begin with the same COMMON tokens; 3 is 2 but for its last token, 5 is 4, 6 is a beginning of 4. */
static void make_alike(uint32_t ids[ALIKE][PROMPT], const fnd_generate_desc *desc, fnd_batch_request *requests) {
    for (uint32_t i = 0; i < ALIKE; i++) {
        uint32_t like = i == 3 || i == 5 ? i - 1 : i == 6 ? 4
                                                          : i;
        make_ids(ids[i], PROMPT, 1);
        make_ids(ids[i] + COMMON, PROMPT - COMMON, like + 3);
        requests[i] = (fnd_batch_request){ ids[i], i == 6 ? 60 : PROMPT, desc };
    }
    ids[3][PROMPT - 1] ^= 1;
}

/* What prompts begin with alike is computed once for all sequences, not for each, and to the same bits. */
TEST(batch_computes_a_common_beginning_once) {
    static const fnd_format kv_types[] = { FND_F16, FND_Q8_0 };
    for (size_t n = 0; n < FND_COUNT(kv_types); n++) {
        session_bench b;
        fnd_batch *batch;
        uint32_t ids[ALIKE][PROMPT];
        fnd_generate_desc desc = { .max_tokens = 4, .logprobs = 2 };
        fnd_batch_request requests[ALIKE];
        answers a = { .count = 0 };
        uint64_t computed = 0, want = PROMPT + 4 * (PROMPT - COMMON) + 1 + 0 + 1;
        if (!session_bench_open(&b, NULL)) return;
        CHECK_OK(fnd_batch_open(b.m, &(fnd_batch_desc){ .sequences = ALIKE, .session = { .context = 128, .batch = 16, .kv_type = kv_types[n] } }, &batch, &b.err), &b.err);
        make_alike(ids, &desc, requests);
        CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = ALIKE, .done = keep, .progress = watch, .ctx = &a }, &b.err), &b.err);
        CHECK_MSG(a.stats.prompt_tokens == 7 * PROMPT + 60 && a.stats.prompt_tokens - a.stats.reused == want, "%llu of %llu tokens were reused", (unsigned long long)a.stats.reused, (unsigned long long)a.stats.prompt_tokens);
        for (uint32_t i = 0; i < ALIKE; i++) {
            fnd_session_stats s;
            fnd_session_get_stats(fnd_batch_session(batch, i), &s);
            computed += s.computed;
        }
        CHECK_MSG(computed == want + ALIKE * 3, "%llu tokens were computed", (unsigned long long)computed);
        same_bits_as_alone(&b, &a, requests, ALIKE, kv_types[n]);
        free_answers(&a);
        close_batch(&b, batch);
    }
}

/* A prompt that goes on where an answer was: what decoding left behind is not what reading leaves, so it is read. */
TEST(batch_reads_what_was_decoded_before) {
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[PROMPT];
    fnd_generate_desc desc = { .max_tokens = 12, .logprobs = 2 };
    answers a = { .count = 0 }, again = { .count = 0 };
    if (!open_batch(&b, 2, 128, &batch)) return;
    make_ids(ids, 30, 4);
    fnd_batch_request one = { ids, 30, &desc };
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = &one, .count = 1, .done = keep, .ctx = &a }, &b.err), &b.err);
    size_t answered = a.of[0].ids.count;
    CHECK(answered > 4);
    memcpy(ids + 30, a.of[0].ids.data, answered * sizeof *ids);
    one.count = 30 + answered;
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = &one, .count = 1, .done = keep, .ctx = &again }, &b.err), &b.err);
    CHECK_MSG(again.of[0].prompt_reused == 30, "%u tokens were reused", again.of[0].prompt_reused);
    same_bits_as_alone(&b, &again, &one, 1, FND_F16);
    free_answers(&a);
    free_answers(&again);
    close_batch(&b, batch);
}

/* ---- its work, counted ---- */

enum { MANY = 16,
       EACH = 24 };

static fnd_profile_totals profiled(session_bench *b, bool begin) {
    fnd_profile_totals totals = { 0 };
    CHECK_OK(begin ? fnd_profile_start(b->f, NULL, &b->err) : fnd_profile_stop(b->f, &b->err), &b->err);
    if (!begin) fnd_profile_get_totals(b->f, &totals);
    CHECK(totals.lost == 0);
    return totals;
}

/* What a batch of 8 is for: the same answers for a third of the bytes that are read, as the argument lists count them, or
 * less, in a third of the runs. What that is in time, bench/results has. */
TEST(batch_of_8_reads_a_third_of_the_bytes) {
    session_bench b;
    fnd_batch *batch;
    fnd_session *alone;
    uint32_t ids[MANY][4];
    fnd_generate_desc desc = { .max_tokens = EACH };
    fnd_batch_request requests[MANY];
    fnd_batch_stats stats = { 0 };
    if (!open_batch(&b, 8, 64, &batch)) return;
    CHECK_OK(fnd_session_open(b.m, &(fnd_session_desc){ .context = 64, .batch = 16 }, &alone, &b.err), &b.err);
    profiled(&b, true);
    for (uint32_t i = 0; i < MANY; i++) {
        fnd_generated answer;
        make_ids(ids[i], 4, i);
        requests[i] = (fnd_batch_request){ ids[i], 4, &desc };
        CHECK_OK(fnd_session_prompt(alone, ids[i], 4, &b.err), &b.err);
        CHECK_OK(fnd_generate(alone, &desc, &answer, &b.err), &b.err);
        CHECK(answer.ids.count == EACH);
        fnd_generated_free(&answer);
    }
    fnd_profile_totals one_by_one = profiled(&b, false);
    profiled(&b, true);
    CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = MANY, .progress = last_stats, .ctx = &stats }, &b.err), &b.err);
    fnd_profile_totals together = profiled(&b, false);
    CHECK_MSG(stats.tokens == MANY * EACH && stats.steps == MANY / 8 * (EACH - 1), "%llu tokens in %llu steps", (unsigned long long)stats.tokens, (unsigned long long)stats.steps);
    CHECK_MSG(together.bytes_read > 0 && 3 * together.bytes_read <= one_by_one.bytes_read, "%llu bytes read instead of %llu", (unsigned long long)together.bytes_read, (unsigned long long)one_by_one.bytes_read);
    CHECK_MSG(together.records > 0 && 3 * together.records <= one_by_one.records, "%llu runs instead of %llu", (unsigned long long)together.records, (unsigned long long)one_by_one.records);
    fnd_session_close(alone);
    close_batch(&b, batch);
}

/* Prompts that have nothing in common are read in one pass where they fit into one: 8 of 9 tokens take 7 passes less. The
 * rest of the bytes are the head's, which each prompt has for itself. */
TEST(batch_reads_prompts_together) {
    enum { SHORT = 9 };
    session_bench b;
    fnd_batch *batch;
    uint32_t ids[ALIKE][SHORT];
    fnd_generate_desc desc = { .max_tokens = 1, .logprobs = 2 };
    fnd_batch_request requests[ALIKE];
    fnd_profile_totals totals[2];
    answers a = { .count = 0 };
    if (!session_bench_open(&b, NULL)) return;
    for (uint32_t i = 0; i < ALIKE; i++) {
        make_ids(ids[i], SHORT, i);
        requests[i] = (fnd_batch_request){ ids[i], SHORT, &desc };
    }
    for (int together = 0; together < 2; together++) {
        if (together) free_answers(&a);
        a = (answers){ .count = 0 };
        CHECK_OK(fnd_batch_open(b.m, &(fnd_batch_desc){ .sequences = together ? ALIKE : 1, .session = { .context = 128, .batch = 80 } }, &batch, &b.err), &b.err);
        profiled(&b, true);
        CHECK_OK(fnd_batch_generate(batch, &(fnd_batch_job){ .requests = requests, .count = ALIKE, .done = keep, .ctx = &a }, &b.err), &b.err);
        totals[together] = profiled(&b, false);
        if (!together) fnd_batch_close(batch);
    }
    CHECK_MSG(3 * totals[1].bytes_read <= 2 * totals[0].bytes_read, "%llu bytes read instead of %llu", (unsigned long long)totals[1].bytes_read, (unsigned long long)totals[0].bytes_read);
    CHECK_MSG(totals[0].records - totals[1].records == ALIKE - 1, "%llu runs instead of %llu", (unsigned long long)totals[1].records, (unsigned long long)totals[0].records);
    same_bits_as_alone(&b, &a, requests, ALIKE, FND_F16);
    free_answers(&a);
    close_batch(&b, batch);
}

/* ---- its sequences are sessions ---- */

static bool same_logits(fnd_session *s, const float *want) {
    float got[VOCAB];
    fnd_error err = { 0 };
    return fnd_session_logits(s, got, &err) == FND_OK && memcmp(got, want, sizeof got) == 0;
}

TEST(batch_sequences_are_sessions) {
    session_bench b;
    fnd_batch *batch;
    fnd_session *s[3], *fork, *other;
    uint32_t ids[PROMPT], id;
    float logits[VOCAB];
    make_ids(ids, PROMPT, 3);
    if (!open_batch(&b, 3, 96, &batch)) return;
    CHECK(fnd_batch_sequences(batch) == 3 && !fnd_batch_session(batch, 3));
    for (uint32_t i = 0; i < 3; i++) {
        s[i] = fnd_batch_session(batch, i);
        CHECK_OK(fnd_session_prompt(s[i], ids, 20 + 5 * i, &b.err), &b.err);
    }
    CHECK_OK(fnd_batch_eval(batch, (fnd_batch_token[]){ { 2, 7 }, { 0, 8 } }, 2, &b.err), &b.err);
    CHECK(fnd_session_position(s[0]) == 21 && fnd_session_position(s[1]) == 25 && fnd_session_position(s[2]) == 31 && fnd_session_tokens(s[0])[20] == 8);
    CHECK_OK(fnd_session_logits(s[0], logits, &b.err), &b.err);
    /* a copy, a file and a later step of the others leave its logits as they are */
    CHECK_OK(fnd_session_fork(s[0], 21, &fork, &b.err), &b.err);
    CHECK(same_logits(fork, logits));
    CHECK_OK(fnd_session_save(s[0], session_temp("batch"), (fnd_span){ NULL, 0 }, &b.err), &b.err);
    CHECK_OK(fnd_batch_eval(batch, (fnd_batch_token[]){ { 1, 3 }, { 2, 4 } }, 2, &b.err), &b.err);
    CHECK(same_logits(s[0], logits) && !same_logits(s[1], logits));
    CHECK_OK(fnd_session_load(s[1], session_temp("batch"), NULL, NULL, &b.err), &b.err);
    CHECK(same_logits(s[1], logits) && fnd_session_position(s[1]) == 21);
    /* all three go on alike: in a step, alone, and apart */
    CHECK_OK(fnd_batch_eval(batch, (fnd_batch_token[]){ { 0, 9 }, { 1, 9 } }, 2, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fork, &(uint32_t){ 9 }, 1, &b.err), &b.err);
    CHECK(session_apart(s[0], s[1]) == 0 && session_apart(s[0], fork) < 2e-2);
    /* back to the end of the prompt, whose logits were kept; then drawn, which needs them in the session */
    CHECK_OK(fnd_session_prompt(s[2], ids, 30, &b.err), &b.err);
    CHECK_OK(fnd_session_open(b.m, &(fnd_session_desc){ .context = 96, .batch = 16 }, &other, &b.err), &b.err);
    CHECK_OK(fnd_session_prompt(other, ids, 30, &b.err), &b.err);
    CHECK(session_apart(s[2], other) == 0);
    CHECK_OK(fnd_batch_eval(batch, (fnd_batch_token[]){ { 0, 9 }, { 2, 11 } }, 2, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(other, &(uint32_t){ 11 }, 1, &b.err), &b.err);
    for (int i = 0; i < 3; i++) {
        fnd_sampling how = i == 0 ? (fnd_sampling){ .temperature = 0 } : i == 1 ? (fnd_sampling){ .temperature = 1, .seed = 5 }
                                                                                : (fnd_sampling){ .presence_penalty = 3 };
        uint32_t want;
        CHECK_OK(fnd_session_sample(other, &how, &want, &b.err), &b.err);
        CHECK_OK(fnd_session_sample(s[2], &how, &id, &b.err), &b.err);
        CHECK_MSG(id == want, "sampling %d: %u instead of %u", i, id, want);
    }
    CHECK_OK(fnd_session_shift(s[2], 2, 16, &b.err), &b.err);
    CHECK(fnd_session_position(s[2]) == 15);
    fnd_session_close(fork);
    fnd_session_close(other);
    close_batch(&b, batch);
}

static void check_refused(fnd_batch *batch, session_bench *b, const fnd_batch_token *tokens, size_t count, fnd_status want, const char *says) {
    uint32_t position = fnd_session_position(fnd_batch_session(batch, 0));
    CHECK(fnd_batch_eval(batch, tokens, count, &b->err) == want);
    CHECK_HAS(b->err.text, says);
    CHECK(fnd_session_position(fnd_batch_session(batch, 0)) == position);
    b->err = (fnd_error){ 0 };
}

TEST(batch_refuses_what_makes_no_sense) {
    session_bench b;
    fnd_batch *batch, *none;
    uint32_t ids[16];
    make_ids(ids, 16, 1);
    if (!open_batch(&b, 2, 16, &batch)) return;
    CHECK_OK(fnd_session_eval(fnd_batch_session(batch, 1), ids, 16, &b.err), &b.err);
    check_refused(batch, &b, NULL, 0, FND_ERR_USAGE, "there are no tokens to evaluate");
    check_refused(batch, &b, (fnd_batch_token[]){ { 0, 1 }, { 2, 1 } }, 2, FND_ERR_USAGE, "there is no sequence 2 in a batch of 2");
    check_refused(batch, &b, (fnd_batch_token[]){ { 0, 1 }, { 0, 2 } }, 2, FND_ERR_USAGE, "sequence 0 stands in the step twice");
    check_refused(batch, &b, (fnd_batch_token[]){ { 0, VOCAB } }, 1, FND_ERR_USAGE, "token 270 is not in the vocabulary");
    check_refused(batch, &b, (fnd_batch_token[]){ { 0, 1 }, { 1, 1 } }, 2, FND_ERR_LIMIT, "the context holds 16 and 16 are in it");
    CHECK(fnd_batch_open(b.m, &(fnd_batch_desc){ .sequences = 65 }, &none, &b.err) == FND_ERR_USAGE && !none);
    CHECK_HAS(b.err.text, "at most 64");
    b.err = (fnd_error){ 0 };
    CHECK(fnd_batch_open(b.m, &(fnd_batch_desc){ .session = { .context = 4096 } }, &none, &b.err) == FND_ERR_LIMIT && !none);
    fnd_batch_close(NULL);
    close_batch(&b, batch);
}
