/* test_program_stages.c - calls that are timed within a program that is one function. */
#include "base/base.h"
#include "foundry/model.h"
#include "foundry/profile.h"
#include "foundry/run.h"
#include "lm/session.h"
#include "run/context.h"
#include "run/program.h"
#include "test.h"
#include "tiny_model.h"

enum { LAYERS = 2,
       TOKENS = 3 };

typedef struct staged {
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    fnd_error err;
    float logits[TINY_MODEL_VOCAB];
} staged;

static void staged_open(staged *x, bool stages, uint32_t threads) {
    *x = (staged){ .f = NULL };
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .threads = threads, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" }, &x->f, &x->err), &x->err);
    CHECK_OK(fnd_model_load(x->f, &(fnd_model_desc){ .path = tiny_model(), .stages = stages }, &x->m, &x->err), &x->err);
    CHECK_OK(fnd_session_open(x->m, NULL, &x->s, &x->err), &x->err);
}

/* The same tokens, one by one. */
static void staged_decode(staged *x) {
    static const uint32_t ids[TOKENS] = { 5, 200, 31 };
    for (int i = 0; i < TOKENS; i++) CHECK_OK(fnd_session_eval(x->s, &ids[i], 1, &x->err), &x->err);
    CHECK_OK(fnd_session_logits(x->s, x->logits, &x->err), &x->err);
}

static void staged_close(staged *x) {
    fnd_session_close(x->s);
    fnd_model_free(x->m);
    CHECK_OK(fnd_close(x->f, &x->err), &x->err);
}

static uint64_t calls_of(const fnd_profile_row *rows, size_t count, const char *kernel) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].kernel, kernel) == 0) return rows[i].calls;
    }
    return 0;
}

/* Every call once in each token, its bytes with it, barriers beside; answers as without. */
TEST(program_stages_are_seen_one_by_one) {
    static staged with, without;
    fnd_profile_row rows[32];
    fnd_profile_totals totals;
    for (uint32_t threads = 1; threads <= 2; threads++) {
        staged_open(&without, false, threads);
        staged_decode(&without);
        staged_open(&with, true, threads);
        fnd_program_info info, plain;
        fnd_program_get_info(with.s->decode, &info);
        fnd_program_get_info(without.s->decode, &plain);
        CHECK(info.launches == 1 && strstr(info.text, "FND_CALL_BEGINS(t);") && !strstr(plain.text, "FND_CALL_BEGINS") && !strstr(plain.text, "STAMPS"));
        uint64_t start = fnd_now_ns();
        CHECK_OK(fnd_profile_start(with.f, NULL, &with.err), &with.err);
        staged_decode(&with);
        CHECK_OK(fnd_profile_stop(with.f, &with.err), &with.err);
        uint64_t passed = fnd_now_ns() - start;
        CHECK(memcmp(with.logits, without.logits, sizeof with.logits) == 0);
        size_t count = fnd_profile_rows(with.f, rows, FND_COUNT(rows));
        REQUIRE(count <= FND_COUNT(rows));
        CHECK(calls_of(rows, count, "embed") == TOKENS && calls_of(rows, count, "norm_head") == TOKENS);
        CHECK(calls_of(rows, count, "attention_decode") == TOKENS * LAYERS && calls_of(rows, count, "linear_residual") == TOKENS * LAYERS && calls_of(rows, count, "norm_gate_up") == TOKENS * LAYERS);
        CHECK(calls_of(rows, count, "(barrier)") == (uint64_t)TOKENS * info.barriers);
        CHECK(calls_of(rows, count, "decode") == 0);
        fnd_profile_get_totals(with.f, &totals);
        CHECK(totals.dispatch_ns > 0 && totals.dispatch_ns <= passed);
        CHECK(totals.bytes_read > info.bytes_read && totals.ops > 0);
        staged_decode(&with); /* nobody looks on */
        staged_close(&with);
        staged_close(&without);
    }
}

/* Clocks of every group, in the order of the calls. */
TEST(program_stages_are_in_order) {
    static staged x;
    staged_open(&x, true, 2);
    staged_decode(&x);
    const fnd_program *p = x.s->decode;
    static uint64_t stamps[2][2 * (2 + 8 * LAYERS) + 2];
    uint32_t count = 2 * p->call_count + 2;
    REQUIRE(p->stages && count <= FND_COUNT(stamps[0]));
    for (uint32_t g = 0; g < x.f->info.groups; g++) {
        CHECK_OK(fnd_tensor_read(x.f, &p->stamps.t, 8ull * count * g, stamps[g], 8ull * count, &x.err), &x.err);
        CHECK(stamps[g][0] > 0);
        for (uint32_t i = 1; i < count; i++) CHECK_MSG(stamps[g][i] >= stamps[g][i - 1], "group %u: clock %u", g, i);
    }
    staged_close(&x);
}
