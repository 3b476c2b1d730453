/* Guesses at the next tokens. */
#include "lm/lookup.h"
#include "foundry/generate.h"
#include "session_bench.h"
#include "test.h"
#include "tiny_model.h"

#include <string.h>

static uint32_t guess(const fnd_lookup *l, const uint32_t *tokens, uint32_t count, uint32_t most, uint32_t *out) {
    for (uint32_t i = 0; i < 16; i++) out[i] = 999;
    return fnd_lookup_guess(l, tokens, count, most, out);
}

TEST(lookup_guesses_what_followed_the_longest_match) {
    fnd_lookup l = { 0 };
    uint32_t out[16];
    const uint32_t text[] = { 1, 2, 3, 40, 41, 9, 2, 3, 50, 51, 1, 2, 3 };
    CHECK(guess(&l, text, 13, 2, out) == 2 && out[0] == 40 && out[1] == 41 && out[2] == 999); /* 1 2 3, not the later 2 3 */
    CHECK(guess(&l, text + 1, 12, 2, out) == 2 && out[0] == 50 && out[1] == 51);              /* of two equal ones the later */
    CHECK(guess(&l, text, 6, 4, out) == 0);
    CHECK(guess(&l, text, 1, 4, out) == 0 && guess(&l, text, 0, 4, out) == 0 && guess(&l, text, 13, 0, out) == 0);
    const uint32_t single[] = { 7, 1, 7 };
    CHECK(guess(&l, single, 3, 4, out) == 0); /* one token says little */
    const uint32_t same[] = { 5, 5, 5 };
    CHECK(guess(&l, same, 3, 4, out) == 4 && out[0] == 5 && out[3] == 5); /* beyond the end, it goes on as guessed */
    const uint32_t turns[] = { 1, 2, 1, 2, 1 };
    CHECK(guess(&l, turns, 5, 5, out) == 5 && out[0] == 2 && out[1] == 1 && out[4] == 2);
}

TEST(lookup_wants_more_after_misses) {
    fnd_lookup l = { 0 };
    uint32_t out[16];
    const uint32_t text[] = { 1, 2, 3, 4, 9, 1, 2, 3 };
    CHECK(guess(&l, text + 1, 7, 1, out) == 1);
    for (int i = 0; i < 4; i++) fnd_lookup_learn(&l, false);
    CHECK(guess(&l, text + 1, 7, 1, out) == 0);
    CHECK(l.hit == 0);
    fnd_lookup_learn(&l, true);
    CHECK(l.hit == 1);
    CHECK(guess(&l, text + 1, 7, 1, out) == 1 && out[0] == 4);
    for (int i = 0; i < 1000; i++) fnd_lookup_learn(&l, false);
    uint32_t lines[40];
    for (uint32_t i = 0; i < 40; i++) lines[i] = i % 20;
    CHECK(guess(&l, lines, 40, 4, out) == 4 && out[0] == 0 && out[3] == 3); /* a long match always counts */
}

/* ---- answers ---- */

static fnd_generated answer(session_bench *b, const fnd_sampling *sampling, uint32_t tokens, bool lookup) {
    fnd_generated g = { 0 };
    uint32_t prompt[40];
    for (uint32_t i = 0; i < 40; i++) prompt[i] = 3 + i % 13;
    fnd_generate_desc desc = { .sampling = *sampling, .max_tokens = tokens, .logprobs = 3, .lookup = lookup };
    CHECK_OK(fnd_session_prompt(b->s, prompt, 40, &b->err), &b->err);
    CHECK_OK(fnd_generate(b->s, &desc, &g, &b->err), &b->err);
    return g;
}

static void open_at(session_bench *b, const char *backend, const char *isa, fnd_format kv_type) {
    fnd_desc device = { .backend = backend, .isa = isa, .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" };
    *b = (session_bench){ .f = NULL };
    fnd_status status = fnd_open(&device, &b->f, &b->err);
    if (status == FND_OK) status = fnd_model_load(b->f, &(fnd_model_desc){ .path = tiny_model() }, &b->m, &b->err);
    if (status == FND_OK) status = fnd_session_open(b->m, &(fnd_session_desc){ .kv_type = kv_type }, &b->s, &b->err);
    CHECK_MSG(status == FND_OK, "%s", b->err.text);
}

/* With guesses and without: the same tokens, the same logits, to the last bit. Several answers in one session,
 * so that what was guessed for one is nothing to the next. */
static void check_answers(const char *backend, const char *isa, fnd_format kv_type, uint32_t tokens) {
    static const fnd_logit_bias one[] = { { 7, 50 } }, two[] = { { 7, 50 }, { 9, 50 } };
    static const fnd_sampling ways[] = { { 0 }, { .bias = one, .bias_count = 1 }, { .bias = two, .bias_count = 2, .temperature = 5, .seed = 11 }, { .repeat_penalty = 1.05f, .temperature = 0.5f, .top_p = 0.6f, .seed = 4 } };
    session_bench plain, guessing;
    uint64_t right = 0, guessed = 0;
    open_at(&plain, backend, isa, kv_type);
    open_at(&guessing, backend, isa, kv_type);
    REQUIRE(plain.s && guessing.s);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        fnd_generated a = answer(&plain, &ways[i], tokens, false), b = answer(&guessing, &ways[i], tokens, true);
        CHECK(a.ids.count == b.ids.count && a.ending == b.ending && a.guessed == 0);
        CHECK_MSG(memcmp(a.ids.data, b.ids.data, a.ids.count * sizeof *a.ids.data) == 0, "%s %zu", backend, i);
        CHECK_MSG(memcmp(a.logprobs, b.logprobs, a.ids.count * 4 * sizeof *a.logprobs) == 0, "%s %zu", backend, i);
        CHECK(b.guessed_right <= b.guessed);
        CHECK(fnd_session_position(plain.s) == fnd_session_position(guessing.s));
        right += b.guessed_right;
        guessed += b.guessed;
        fnd_generated_free(&a);
        fnd_generated_free(&b);
    }
    CHECK_MSG(right > tokens / 2 && guessed > right, "%llu of %llu", (unsigned long long)right, (unsigned long long)guessed);
    session_bench_close(&plain);
    session_bench_close(&guessing);
}

TEST(lookup_changes_no_answer) {
    check_answers("cpu", NULL, FND_F16, 60);
    check_answers("cpu", "generic", FND_F32, 60);
    check_answers("cpu", "v3", FND_Q8_0, 60);
}
TEST(lookup_changes_no_answer_on_sim) { check_answers("sim", NULL, FND_F16, 9); }
