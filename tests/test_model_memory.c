/* test_model_memory.c - loading a model and opening a session where any allocation may fail: one sentence,
 * nothing left behind (the sanitizers see that), and the next attempt works. */
#include "base/base.h"
#include "base/memory.h"
#include "foundry/model.h"
#include "foundry/profile.h"
#include "test.h"
#include "tiny_model.h"

static const fnd_desc desc = { .backend = "cpu", .isa = "generic", .threads = 1, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" };

/* Load, open, evaluate, draw. */
static fnd_status use_model(foundry *f, fnd_error *err) {
    static const uint32_t ids[] = { 72, 101, 108, 108, 111 };
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    uint32_t id = UINT32_MAX;
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, err);
    CHECK((status == FND_OK) == (m != NULL));
    if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .context = 64 }, &s, err);
    if (status == FND_OK) status = fnd_session_eval(s, ids, FND_COUNT(ids), err);
    if (status == FND_OK) status = fnd_session_sample(s, &(fnd_sampling){ .temperature = 0 }, &id, err);
    CHECK(status != FND_OK || id < TINY_MODEL_VOCAB);
    fnd_session_close(s);
    fnd_model_free(m);
    return status;
}

static void check_failure(fnd_status status, uint64_t n, const fnd_error *err) {
    if (status == FND_OK) return; /* what failed could be done without: a note, a file of the cache */
    CHECK_MSG(status == FND_ERR_MEMORY, "allocation %llu: status %d: %s", (unsigned long long)n, status, err->text);
    CHECK_MSG(err->text[0], "allocation %llu: no sentence", (unsigned long long)n);
}

TEST(model_survives_failed_allocations) {
    foundry *f = NULL;
    fnd_error err = { 0 };
    fnd_context_info info;
    CHECK_OK(fnd_open(&desc, &f, &err), &err);
    REQUIRE(f);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    if (!info.can_build) {
        fnd_close(f, NULL);
        NEED(false, "there is no C compiler");
    }
    CHECK_OK(use_model(f, &err), &err); /* kernels are compiled */
    uint64_t before = fnd_memory_allocations();
    CHECK_OK(use_model(f, &err), &err);
    uint64_t count = fnd_memory_allocations() - before, failed = 0;
    for (uint64_t n = 1; n <= count; n++) {
        err = (fnd_error){ 0 };
        fnd_memory_fail_after(n);
        fnd_status status = use_model(f, &err);
        fnd_memory_fail_after(0);
        check_failure(status, n, &err);
        failed += status != FND_OK;
    }
    CHECK_MSG(failed > count / 2, "of %llu allocations %llu failures were told", (unsigned long long)count, (unsigned long long)failed);
    err = (fnd_error){ 0 };
    CHECK_OK(use_model(f, &err), &err);
    CHECK_OK(fnd_close(f, &err), &err);
}

/* The same from nothing, with the kernels on disk. */
static fnd_status from_nothing(fnd_error *err) {
    foundry *f = NULL;
    fnd_status status = fnd_open(&desc, &f, err);
    CHECK((status == FND_OK) == (f != NULL));
    if (status == FND_OK) status = use_model(f, err);
    if (f) fnd_close(f, NULL);
    return status;
}

TEST(model_survives_failed_allocations_from_nothing) {
    fnd_error err = { 0 };
    fnd_status first = from_nothing(&err);
    NEED(first != FND_ERR_UNSUPPORTED, "there is no C compiler");
    CHECK_OK(first, &err);
    uint64_t before = fnd_memory_allocations();
    CHECK_OK(from_nothing(&err), &err);
    uint64_t count = fnd_memory_allocations() - before;
    for (uint64_t n = 1; n <= count; n += 1 + n / 64) {
        err = (fnd_error){ 0 };
        fnd_memory_fail_after(n);
        fnd_status status = from_nothing(&err);
        fnd_memory_fail_after(0);
        check_failure(status, n, &err);
    }
    err = (fnd_error){ 0 };
    CHECK_OK(from_nothing(&err), &err);
}

/* ---- a word before the weights are read ---- */

typedef struct asked {
    uint32_t times, read; /* read: progress that was told */
} asked;

static fnd_status refuse(void *ctx, fnd_model *m, fnd_error *err) {
    CHECK(fnd_model_get_info(m)->vocab == TINY_MODEL_VOCAB && fnd_model_tokenizer(m) != NULL);
    ((asked *)ctx)->times++;
    return fnd_fail(err, FND_ERR_USAGE, "not this one");
}

static void count(void *ctx, const char *what, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    ((asked *)ctx)->read += strcmp(what, "reading weights") == 0;
}

TEST(model_asks_before_it_reads_weights) {
    foundry *f = NULL;
    fnd_error err = { 0 };
    fnd_model *m = NULL;
    asked a = { 0 };
    fnd_model_desc wanted = { .path = tiny_model(), .before_weights = refuse, .before_weights_ctx = &a, .progress = count, .progress_ctx = &a };
    CHECK_OK(fnd_open(&desc, &f, &err), &err);
    REQUIRE(f);
    CHECK(fnd_model_load(f, &wanted, &m, &err) == FND_ERR_USAGE && !m);
    CHECK_STR(err.text, "not this one");
    CHECK_MSG(a.times == 1 && a.read == 0, "asked %u times, %u times of reading before", a.times, a.read);
    CHECK(fnd_counter_get(f, FND_COUNTER_DISPATCHES) == 0);
    wanted.before_weights = NULL;
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_model_load(f, &wanted, &m, &err), &err);
    CHECK(a.times == 1 && a.read > 0);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
}
