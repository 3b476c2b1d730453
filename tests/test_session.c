/* test_session.c - what can be done with a context besides adding to it: continued from a prefix, cut,
 * branched, shifted, saved, loaded, and used from many threads. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "kernel_bench.h"
#include "session_bench.h"
#include "test.h"
#include "tiny_model.h"
#include "toy_model.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VOCAB = TINY_MODEL_VOCAB,
       IDS = 90 };

static void make_ids(uint32_t *ids, size_t count, uint32_t salt) {
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 37 + i * i % 11 * 5 + salt) % 256;
}

static bool same_logits(fnd_session *a, fnd_session *b) {
    float x[VOCAB], y[VOCAB];
    fnd_error err = { 0 };
    return fnd_session_logits(a, x, &err) == FND_OK && fnd_session_logits(b, y, &err) == FND_OK && memcmp(x, y, sizeof x) == 0;
}

static fnd_session_stats stats_of(const fnd_session *s) {
    fnd_session_stats stats;
    fnd_session_get_stats(s, &stats);
    return stats;
}

/* ---- prefixes ---- */

TEST(session_prompt_computes_only_what_is_new) {
    session_bench b;
    uint32_t ids[IDS], id;
    float at_prompt[VOCAB], again[VOCAB];
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 3);
    CHECK_OK(fnd_session_prompt(b.s, ids, 40, &b.err), &b.err);
    CHECK(stats_of(b.s).computed == 40 && stats_of(b.s).reused == 0);
    CHECK_OK(fnd_session_logits(b.s, at_prompt, &b.err), &b.err);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fnd_session_sample(b.s, NULL, &id, &b.err), &b.err);
        CHECK_OK(fnd_session_eval(b.s, &id, 1, &b.err), &b.err);
    }
    /* the same prompt: nothing is computed, and its logits are as they were */
    CHECK_OK(fnd_session_prompt(b.s, ids, 40, &b.err), &b.err);
    CHECK_OK(fnd_session_logits(b.s, again, &b.err), &b.err);
    CHECK(stats_of(b.s).computed == 45 && stats_of(b.s).reused == 40 && fnd_session_position(b.s) == 40);
    CHECK(memcmp(at_prompt, again, sizeof again) == 0);
    /* a longer one: 20 tokens more */
    CHECK_OK(fnd_session_prompt(b.s, ids, 60, &b.err), &b.err);
    CHECK(stats_of(b.s).computed == 65 && stats_of(b.s).reused == 80);
    /* a shorter one that did not end there: its last token again */
    CHECK_OK(fnd_session_prompt(b.s, ids, 50, &b.err), &b.err);
    CHECK(stats_of(b.s).computed == 66 && stats_of(b.s).reused == 129);
    /* another from token 10 on */
    ids[10] ^= 1;
    CHECK_OK(fnd_session_prompt(b.s, ids, 50, &b.err), &b.err);
    CHECK(stats_of(b.s).computed == 106 && stats_of(b.s).reused == 139);
    CHECK(memcmp(fnd_session_tokens(b.s), ids, 50 * sizeof *ids) == 0);
    CHECK(fnd_session_prompt(b.s, ids, 0, &b.err) == FND_ERR_USAGE);
    session_bench_close(&b);
}

TEST(session_prompt_equals_a_fresh_one) {
    session_bench b;
    uint32_t ids[IDS];
    fnd_session *fresh;
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 5);
    CHECK_OK(fnd_session_prompt(b.s, ids, 70, &b.err), &b.err);
    make_ids(ids + 33, IDS - 33, 8);
    CHECK_OK(fnd_session_prompt(b.s, ids, IDS, &b.err), &b.err);
    CHECK_OK(fnd_session_open(b.m, NULL, &fresh, &b.err), &b.err);
    CHECK_OK(fnd_session_prompt(fresh, ids, IDS, &b.err), &b.err);
    CHECK_MSG(session_apart(b.s, fresh) < 2e-2, "logits differ by %g", session_apart(b.s, fresh));
    fnd_session_close(fresh);
    session_bench_close(&b);
}

/* ---- branches ---- */

TEST(session_fork_goes_its_own_way) {
    session_bench b;
    uint32_t ids[IDS];
    fnd_session *fork, *early, *fresh;
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 1);
    CHECK_OK(fnd_session_eval(b.s, ids, 50, &b.err), &b.err);
    CHECK_OK(fnd_session_fork(b.s, 50, &fork, &b.err), &b.err);
    CHECK_OK(fnd_session_fork(b.s, 21, &early, &b.err), &b.err);
    CHECK(same_logits(b.s, fork) && fnd_session_position(early) == 21 && stats_of(early).computed == 0);
    float logits[VOCAB];
    CHECK(fnd_session_logits(early, logits, &b.err) == FND_ERR_USAGE);
    b.err = (fnd_error){ 0 };
    /* both go on alike: bit for bit the same; then another way */
    CHECK_OK(fnd_session_eval(b.s, ids + 50, 20, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fork, ids + 50, 20, &b.err), &b.err);
    CHECK(same_logits(b.s, fork));
    CHECK_OK(fnd_session_eval(b.s, ids + 70, 1, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fork, ids + 71, 1, &b.err), &b.err);
    CHECK(!same_logits(b.s, fork));
    /* the early branch against one that has the same keys, computed with as many tokens at once */
    CHECK_OK(fnd_session_eval(early, ids + 60, 9, &b.err), &b.err);
    CHECK_OK(fnd_session_open(b.m, NULL, &fresh, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fresh, ids, 50, &b.err), &b.err);
    CHECK_OK(fnd_session_truncate(fresh, 21, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fresh, ids + 60, 9, &b.err), &b.err);
    CHECK(same_logits(early, fresh));
    fnd_session_close(fork);
    CHECK(fnd_session_fork(b.s, 72, &fork, &b.err) == FND_ERR_USAGE && !fork);
    CHECK_HAS(b.err.text, "holds 71 tokens");
    fnd_session_close(early);
    fnd_session_close(fresh);
    session_bench_close(&b);
}

/* ---- the end of the context, and dropping ---- */

TEST(session_grows_by_doubling_up_to_its_end) {
    session_bench b;
    uint32_t ids[256];
    uint64_t first, bytes;
    if (!session_bench_open(&b, &(fnd_session_desc){ .context = 200, .batch = 32 })) return;
    make_ids(ids, 256, 7);
    CHECK_OK(fnd_session_eval(b.s, ids, 1, &b.err), &b.err);
    first = stats_of(b.s).cache_bytes;
    for (uint32_t i = 1; i < 200; i++) {
        CHECK_OK(fnd_session_eval(b.s, &ids[i], 1, &b.err), &b.err);
        bytes = stats_of(b.s).cache_bytes;
        CHECK_MSG(bytes <= fnd_max_size(first, 2 * first * (i / 16 + 1)), "%u tokens take %llu bytes", i + 1, (unsigned long long)bytes);
    }
    CHECK(fnd_session_eval(b.s, ids, 1, &b.err) == FND_ERR_LIMIT);
    CHECK_HAS(b.err.text, "the context holds 200 and 200 are in it");
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_session_shift(b.s, 4, 96, &b.err), &b.err);
    CHECK(fnd_session_position(b.s) == 104 && fnd_session_tokens(b.s)[3] == ids[3] && fnd_session_tokens(b.s)[4] == ids[100] && fnd_session_tokens(b.s)[103] == ids[199]);
    CHECK_OK(fnd_session_eval(b.s, ids, 96, &b.err), &b.err);
    CHECK(fnd_session_shift(b.s, 4, 24, &b.err) == FND_ERR_USAGE);
    b.err = (fnd_error){ 0 };
    CHECK(fnd_session_shift(b.s, 190, 16, &b.err) == FND_ERR_USAGE);
    session_bench_close(&b);
}

/* With one layer, keys and values depend on their own tokens only: what is left after dropping is what
 * evaluating it gives, but for rounding to halves once more. */
static void shift_equals_fresh(const toy_desc *d, const char *backend) {
    toy_model toy;
    session_bench b;
    fnd_session *fresh;
    uint32_t ids[80], left[80];
    char path[300];
    snprintf(path, sizeof path, "%s", session_temp("one-layer.gguf"));
    bench_seed(11);
    toy_make(&toy, d, path);
    toy_free(&toy);
    if (!session_bench_open_at(&b, path, backend, NULL)) return;
    make_ids(ids, 80, 2);
    memcpy(left, ids, 7 * sizeof *ids);
    memcpy(left + 7, ids + 39, 33 * sizeof *ids);
    CHECK_OK(fnd_session_eval(b.s, ids, 72, &b.err), &b.err);
    CHECK_OK(fnd_session_shift(b.s, 7, 16, &b.err), &b.err);
    CHECK_OK(fnd_session_shift(b.s, 7, 16, &b.err), &b.err);
    CHECK(fnd_session_position(b.s) == 40 && memcmp(fnd_session_tokens(b.s), left, 40 * sizeof *left) == 0);
    CHECK_OK(fnd_session_open(b.m, NULL, &fresh, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(fresh, left, 40, &b.err), &b.err);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(fnd_session_eval(b.s, ids + 72 + i, 1, &b.err), &b.err);
        CHECK_OK(fnd_session_eval(fresh, ids + 72 + i, 1, &b.err), &b.err);
        CHECK_MSG(session_apart(b.s, fresh) < 4e-3, "%s %s: logits differ by %g", backend, d->architecture, session_apart(b.s, fresh));
    }
    fnd_session_close(fresh);
    session_bench_close(&b);
}

TEST(session_shift_equals_evaluating_what_is_left) {
    const toy_desc pairs = { .architecture = "llama", .layers = 1, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 128 };
    const toy_desc halves = { .architecture = "qwen2", .layers = 1, .dim = 64, .hidden_dim = 96, .heads = 2, .kv_heads = 1, .context = 128, .bias = true };
    shift_equals_fresh(&pairs, "cpu");
    shift_equals_fresh(&halves, "cpu");
    shift_equals_fresh(&halves, "sim");
}

/* ---- files ---- */

/* Without the fsync of fnd_file_write: hundreds of them. */
static void write_bytes(const char *path, const char *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

static char *read_whole(const char *path, size_t *bytes) {
    char *data;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(path, 1 << 26, &data, bytes, &err), &err);
    return data;
}

TEST(session_saved_and_loaded_goes_on_bit_for_bit) {
    session_bench b;
    uint32_t ids[IDS];
    fnd_session *other;
    char *note;
    size_t note_bytes;
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 4);
    CHECK_OK(fnd_session_eval(b.s, ids, 53, &b.err), &b.err);
    CHECK_OK(fnd_session_save(b.s, session_temp("a.session"), (fnd_span){ "a\0note", 6 }, &b.err), &b.err);
    struct stat st;
    CHECK(stat(session_temp("a.session"), &st) == 0 && (st.st_mode & 0777) == 0600); /* it is a conversation */
    CHECK_OK(fnd_session_open(b.m, NULL, &other, &b.err), &b.err);
    CHECK_OK(fnd_session_eval(other, ids + 60, 20, &b.err), &b.err);
    CHECK_OK(fnd_session_load(other, session_temp("a.session"), &note, &note_bytes, &b.err), &b.err);
    CHECK(note && note_bytes == 6 && memcmp(note, "a\0note", 6) == 0);
    fnd_text_release(note);
    CHECK(fnd_session_position(other) == 53 && memcmp(fnd_session_tokens(other), ids, 53 * sizeof *ids) == 0);
    CHECK(same_logits(b.s, other));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fnd_session_eval(b.s, ids + 53 + i, 1, &b.err), &b.err);
        CHECK_OK(fnd_session_eval(other, ids + 53 + i, 1, &b.err), &b.err);
        CHECK(same_logits(b.s, other));
    }
    /* an empty one, over the other */
    CHECK_OK(fnd_session_truncate(b.s, 0, &b.err), &b.err);
    CHECK_OK(fnd_session_save(b.s, session_temp("a.session"), (fnd_span){ 0 }, &b.err), &b.err);
    CHECK_OK(fnd_session_load(other, session_temp("a.session"), NULL, NULL, &b.err), &b.err);
    CHECK(fnd_session_position(other) == 0 && fnd_session_logits(other, (float[VOCAB]){ 0 }, &b.err) == FND_ERR_USAGE);
    b.err = (fnd_error){ 0 };
    CHECK(fnd_session_save(b.s, "no/such/folder/x", (fnd_span){ 0 }, &b.err) == FND_ERR_FILE);
    fnd_session_close(other);
    session_bench_close(&b);
}

/* The session is as it was, and the sentence names the file. */
static void check_refused(session_bench *b, fnd_session *s, const char *path, fnd_status want, const char *says) {
    uint32_t before = fnd_session_position(s);
    char *note;
    size_t bytes;
    fnd_status got = fnd_session_load(s, path, &note, &bytes, &b->err);
    CHECK_MSG(got == want, "status %d instead of %d: %s", got, want, b->err.text);
    CHECK_HAS(b->err.text, says);
    CHECK_HAS(b->err.text, path);
    CHECK(!note && fnd_session_position(s) == before);
    b->err = (fnd_error){ 0 };
}

TEST(session_files_cut_or_damaged_are_refused) {
    session_bench b;
    uint32_t ids[IDS];
    size_t bytes;
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 6);
    CHECK_OK(fnd_session_eval(b.s, ids, 20, &b.err), &b.err);
    const char *path = session_temp("whole.session"), *bad = session_temp("bad.session");
    CHECK_OK(fnd_session_save(b.s, path, (fnd_span){ "note", 4 }, &b.err), &b.err);
    char *data = read_whole(path, &bytes);
    for (size_t cut = 0; cut < bytes; cut += cut < 400 || cut + 40 > bytes ? 1 : 997) {
        write_bytes(bad, data, cut);
        check_refused(&b, b.s, bad, FND_ERR_FORMAT, cut < 8 ? "no session file" : "cut short");
    }
    for (size_t at = 0; at < bytes; at += at < 220 || at + 20 > bytes ? 1 : 1501) {
        data[at] ^= 0x10;
        write_bytes(bad, data, bytes);
        if (at < 8) check_refused(&b, b.s, bad, FND_ERR_FORMAT, "no session file");
        if (at >= 8 && at < 12) check_refused(&b, b.s, bad, FND_ERR_UNSUPPORTED, "version");
        if (at >= 12) check_refused(&b, b.s, bad, FND_ERR_FORMAT, "damaged");
        data[at] ^= 0x10;
    }
    char *longer = fnd_alloc_resized(NULL, bytes + 1, 1);
    REQUIRE(longer);
    memcpy(longer, data, bytes);
    longer[bytes] = 0;
    write_bytes(bad, longer, bytes + 1);
    check_refused(&b, b.s, bad, FND_ERR_FORMAT, "damaged");
    check_refused(&b, b.s, "no-such-session", FND_ERR_FILE, "cannot open");
    fnd_free_memory(longer);
    fnd_free_memory(data);
    session_bench_close(&b);
}

TEST(session_files_of_others_are_refused) {
    session_bench b, other;
    uint32_t ids[IDS];
    fnd_session *small;
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 6);
    CHECK_OK(fnd_session_eval(b.s, ids, 60, &b.err), &b.err);
    const char *path = session_temp("tiny.session");
    CHECK_OK(fnd_session_save(b.s, path, (fnd_span){ 0 }, &b.err), &b.err);
    CHECK_OK(fnd_session_open(b.m, &(fnd_session_desc){ .context = 59 }, &small, &b.err), &b.err);
    check_refused(&b, small, path, FND_ERR_LIMIT, "holds 60 tokens, but the context holds 59");
    fnd_session_close(small);
    CHECK_OK(fnd_session_open(b.m, &(fnd_session_desc){ .kv_type = FND_F32 }, &small, &b.err), &b.err);
    check_refused(&b, small, path, FND_ERR_TYPE, "holds keys and values as f16, but this session keeps them as f32");
    fnd_session_close(small);
    tiny_model_save(session_temp("another.gguf"), 640);
    if (session_bench_open_at(&other, session_temp("another.gguf"), "cpu", NULL)) {
        check_refused(&other, other.s, path, FND_ERR_TYPE, "another model (tiny ");
        session_bench_close(&other);
    }
    session_bench_close(&b);
}

/* ---- memory that is not there ---- */

typedef fnd_status deed(session_bench *b);

static fnd_status do_save(session_bench *b) { return fnd_session_save(b->s, session_temp("scarce.session"), (fnd_span){ "note", 4 }, &b->err); }
static fnd_status do_load(session_bench *b) {
    char *note;
    size_t bytes;
    FND_TRY(fnd_session_load(b->s, session_temp("scarce.session"), &note, &bytes, &b->err));
    fnd_text_release(note);
    return FND_OK;
}
static fnd_status do_choose(session_bench *b) {
    uint32_t id;
    const fnd_logit_bias bias = { 3, 1 };
    return fnd_session_sample(b->s, &(fnd_sampling){ .temperature = 1, .typical_p = 0.9f, .repeat_penalty = 1.1f, .bias = &bias, .bias_count = 1 }, &id, &b->err);
}
static fnd_status do_shift(session_bench *b) { return fnd_session_shift(b->s, 2, 16, &b->err); }
static fnd_status do_fork(session_bench *b) {
    fnd_session *fork;
    FND_TRY(fnd_session_fork(b->s, 30, &fork, &b->err));
    fnd_session_close(fork);
    return FND_OK;
}

/* Whichever allocation fails, it is told, and the next try works. */
TEST(session_survives_missing_memory) {
    static deed *const deeds[] = { do_save, do_load, do_choose, do_shift, do_fork };
    session_bench b;
    uint32_t ids[IDS];
    if (!session_bench_open(&b, NULL)) return;
    make_ids(ids, IDS, 9);
    CHECK_OK(fnd_session_prompt(b.s, ids, IDS, &b.err), &b.err);
    for (size_t i = 0; i < FND_COUNT(deeds); i++) {
        uint64_t before = fnd_memory_allocations();
        fnd_status status = FND_ERR_MEMORY;
        for (uint64_t n = 1; status != FND_OK && n < 2000; n += n < 40 ? 1 : 37) {
            fnd_memory_fail_after(n);
            status = deeds[i](&b);
            fnd_memory_fail_after(0);
            CHECK_MSG(status == FND_OK || b.err.text[0], "deed %zu, allocation %llu", i, (unsigned long long)n);
            b.err = (fnd_error){ 0 };
        }
        CHECK_MSG(deeds[i](&b) == FND_OK && fnd_memory_allocations() > before, "deed %zu: %s", i, b.err.text);
    }
    session_bench_close(&b);
}

/* ---- threads ---- */

enum { THREADS = 4,
       TOKENS = 24 };

typedef struct worker {
    fnd_model *m;
    uint32_t number, out[TOKENS];
    fnd_status status;
    fnd_error err;
} worker;

static fnd_status converse(worker *w) {
    fnd_session *s;
    uint32_t ids[IDS];
    make_ids(ids, IDS, w->number);
    FND_TRY(fnd_session_open(w->m, &(fnd_session_desc){ .batch = 16 }, &s, &w->err));
    fnd_status status = fnd_session_prompt(s, ids, 20 + 7 * w->number, &w->err);
    for (size_t i = 0; i < TOKENS && status == FND_OK; i++) {
        fnd_sampling c = { .temperature = w->number % 2 ? 1.0f : 0.0f, .top_k = 40, .seed = w->number, .repeat_penalty = w->number > 1 ? 1.2f : 0.0f };
        status = fnd_session_sample(s, &c, &w->out[i], &w->err);
        if (status == FND_OK) status = fnd_session_eval(s, &w->out[i], 1, &w->err);
    }
    fnd_session_close(s);
    return status;
}

static void *work(void *ctx) {
    worker *w = ctx;
    w->status = converse(w);
    return NULL;
}

TEST(session_many_threads_share_a_model) {
    session_bench b;
    worker alone[THREADS] = { 0 }, together[THREADS] = { 0 };
    pthread_t threads[THREADS];
    if (!session_bench_open(&b, NULL)) return;
    for (uint32_t i = 0; i < THREADS; i++) {
        alone[i] = together[i] = (worker){ .m = b.m, .number = i };
        work(&alone[i]);
        CHECK_MSG(alone[i].status == FND_OK, "%s", alone[i].err.text);
    }
    for (uint32_t i = 0; i < THREADS; i++) REQUIRE(pthread_create(&threads[i], NULL, work, &together[i]) == 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_MSG(together[i].status == FND_OK, "%s", together[i].err.text);
        CHECK_MSG(memcmp(alone[i].out, together[i].out, sizeof alone[i].out) == 0, "thread %u chose other tokens than alone", i);
    }
    session_bench_close(&b);
}
