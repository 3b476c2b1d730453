/* test_programs.c - programs: the same results as their calls one by one, the barriers they need and no
 * fewer, variables, misuse, and nothing allocated while they run. */
#include "base/memory.h"
#include "base/process.h"
#include "fake_backend.h"
#include "kernel_bench.h"
#include "lm/session.h"
#include "run/program.h"
#include "test.h"
#include "toy_model.h"

#include <math.h>
#include <stdlib.h>

/* ---- a user's program: embedding, three layers of two kinds, a head ---- */

enum { VOCAB = 40,
       DIM = 64,
       HIDDEN = 96,
       LAYERS = 3,
       TOKENS = 9 };

typedef struct user {
    kernel_bench b;
    bench_tensor *table, *ids, *gamma, *x[LAYERS + 1], *hidden, *gate[LAYERS], *up[LAYERS], *down[LAYERS], *head, *y;
    fnd_program *p; /* NULL: calls run at once */
    fnd_error err;
} user;

static bool user_open(user *u, const bench_device *device) {
    static const fnd_format formats[LAYERS] = { FND_Q8_0, FND_F32, FND_Q8_0 };
    char name[32];
    *u = (user){ .p = NULL };
    if (!bench_open(&u->b, device)) return false;
    uint32_t ids[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) ids[i] = bench_below(VOCAB);
    u->ids = bench_in_copy(&u->b, "ids", FND_U32, fnd_shape1(TOKENS), ids);
    u->table = bench_in(&u->b, "table", FND_F16, fnd_shape2(VOCAB, DIM));
    u->gamma = bench_in(&u->b, "gamma", FND_F32, fnd_shape1(DIM));
    u->hidden = bench_out(&u->b, "hidden", FND_F32, fnd_shape2(TOKENS, HIDDEN));
    for (size_t i = 0; i <= LAYERS; i++) {
        snprintf(name, sizeof name, "x%zu", i);
        u->x[i] = bench_out(&u->b, name, FND_F32, fnd_shape2(TOKENS, DIM));
        if (i == LAYERS) break;
        u->gate[i] = bench_weight(&u->b, "gate", formats[i], HIDDEN, DIM);
        u->up[i] = bench_weight(&u->b, "up", formats[i], HIDDEN, DIM);
        u->down[i] = bench_weight(&u->b, "down", formats[i], DIM, HIDDEN);
    }
    u->head = bench_weight(&u->b, "head", FND_Q8_0, VOCAB, DIM);
    u->y = bench_out(&u->b, "y", FND_F32, fnd_shape2(TOKENS, VOCAB));
    return true;
}

static fnd_status user_call(user *u, const char *kernel, const fnd_binding *b, size_t count) {
    fnd_kernel *k;
    fnd_status status = fnd_kernel_get(u->b.f, kernel, &k, &u->err);
    if (status != FND_OK) return status;
    return u->p ? fnd_program_call(u->p, k, b, count, &u->err) : fnd_run(u->b.f, k, b, count, &u->err);
}
#define CALL(u, kernel, ...) \
    do { \
        const fnd_binding bound_[] = { __VA_ARGS__ }; \
        fnd_status status_ = user_call(u, kernel, bound_, sizeof bound_ / sizeof *bound_); \
        CHECK_MSG(status_ == FND_OK, "%s %s: %s", (u)->b.label, kernel, (u)->err.text); \
    } while (0)

/* The calls, at once or into u->p. Layers are read and written in turn, not in place. */
static void user_calls(user *u) {
    CALL(u, "embed", fnd_bind_in("w", &u->table->t), fnd_bind_in("ids", &u->ids->t), fnd_bind_out("y", &u->x[0]->t));
    for (int i = 0; i < LAYERS; i++) {
        if (u->p) CHECK_OK(fnd_program_layer(u->p, i, &u->err), &u->err);
        CALL(u, "norm_gate_up", fnd_bind_in("x", &u->x[i]->t), fnd_bind_in("gamma", &u->gamma->t), fnd_bind_f32("eps", 1e-5f), fnd_bind_in("w_gate", &u->gate[i]->t),
             fnd_bind_in("w_up", &u->up[i]->t), fnd_bind_out("y", &u->hidden->t));
        CALL(u, "linear_residual", fnd_bind_in("x", &u->hidden->t), fnd_bind_in("w", &u->down[i]->t), fnd_bind_in("residual", &u->x[i]->t), fnd_bind_out("y", &u->x[i + 1]->t));
    }
    if (u->p) CHECK_OK(fnd_program_layer(u->p, -1, &u->err), &u->err);
    CALL(u, "norm_head", fnd_bind_in("x", &u->x[LAYERS]->t), fnd_bind_in("gamma", &u->gamma->t), fnd_bind_f32("eps", 1e-5f), fnd_bind_in("w", &u->head->t), fnd_bind_out("y", &u->y->t));
}

static bool user_program(user *u, const fnd_program_desc *desc) {
    CHECK_OK(fnd_program_begin(u->b.f, desc, &u->p, &u->err), &u->err);
    if (!u->p) return false;
    user_calls(u);
    fnd_status status = fnd_program_finish(u->p, &u->err);
    CHECK_MSG(status == FND_OK, "%s: %s", u->b.label, u->err.text);
    return status == FND_OK;
}

static fnd_status user_run(user *u) {
    fnd_status status = fnd_program_run(u->p, &u->err);
    return status == FND_OK ? fnd_wait(u->b.f, &u->err) : status;
}

static void user_close(user *u) {
    fnd_program_free(u->p);
    bench_close(&u->b);
}

static float *floats_of(user *u, const bench_tensor *x) {
    float *v = calloc(x->count, sizeof *v);
    if (!v) abort();
    CHECK_OK(fnd_tensor_read(u->b.f, &x->t, 0, v, x->count * sizeof *v, &u->err), &u->err);
    return v;
}

/* Poison what the last run wrote. */
static void user_forget(user *u) {
    const bench_tensor *written[LAYERS + 3] = { u->hidden, u->y };
    for (size_t i = 0; i <= LAYERS; i++) written[2 + i] = u->x[i];
    for (size_t i = 0; i < LAYERS + 3; i++) {
        fnd_tensor t = written[i]->t;
        CHECK_OK(fnd_tensor_write(u->b.f, &t, 0, written[i]->bytes + BENCH_GUARD, written[i]->data_bytes, &u->err), &u->err);
    }
}

static void check_equal(user *u, const float *want, size_t count, const char *what) {
    float *got = floats_of(u, u->y);
    size_t wrong = count;
    for (size_t i = count; i-- > 0;) {
        if (!(fabsf(got[i] - want[i]) <= 1e-5f * (1.0f + fabsf(want[i])))) wrong = i;
    }
    CHECK_MSG(wrong == count, "%s %s: y[%zu] is %g instead of %g", u->b.label, what, wrong, wrong < count ? (double)got[wrong] : 0.0, wrong < count ? (double)want[wrong] : 0.0);
    free(got);
}

TEST(programs_do_what_their_calls_do) {
    for (size_t d = 0; d < bench_device_count(); d++) {
        user u;
        bench_seed(11);
        if (!user_open(&u, bench_device_at(d))) return;
        user_calls(&u);
        CHECK_OK(fnd_wait(u.b.f, &u.err), &u.err);
        float *want = floats_of(&u, u.y);
        for (int form = FND_PROGRAM_AUTO; form < FND_PROGRAM_FORMS; form++) {
            fnd_error none = { 0 };
            if (fnd_program_form_check(u.b.f, (fnd_program_form)form, &none) != FND_OK) continue;
            user_forget(&u);
            if (!user_program(&u, &(fnd_program_desc){ .name = "user", .form = (fnd_program_form)form })) break;
            fnd_program_info info;
            fnd_program_get_info(u.p, &info);
            CHECK_MSG((form == FND_PROGRAM_AUTO || (int)info.form == form) && info.launches == (info.form == FND_PROGRAM_PERSISTENT ? 1 : info.calls), "%s: form %d, %u launches", u.b.label, (int)info.form, info.launches);
            CHECK_MSG(info.calls == 2 + 2 * LAYERS && info.layers == LAYERS && info.barriers == 1 + 2 * LAYERS, "%s: %u calls, %u layers, %u barriers", u.b.label, info.calls, info.layers, info.barriers);
            for (int run = 0; run < 2; run++) CHECK_MSG(user_run(&u) == FND_OK, "%s: %s", u.b.label, u.err.text);
            check_equal(&u, want, u.y->count, fnd_program_form_name((fnd_program_form)form));
            bench_check(&u.b, "program");
            fnd_program_free(u.p);
            u.p = NULL;
        }
        free(want);
        user_close(&u);
    }
}

/* ---- barriers ---- */

/* The race that a missing barrier leaves: one group touches what another wrote or will write. */
static void check_race(fnd_status status, const fnd_error *err, const char *what, uint32_t n) {
    bool seen = status == FND_ERR_DEVICE && strstr(err->text, "race on") && strstr(err->text, "in the same launch");
    CHECK_MSG(seen, "%s without barrier %u: status %d, %s", what, n, status, err->text);
}

TEST(programs_need_every_barrier) {
    user u;
    bench_seed(12);
    if (!user_open(&u, &(bench_device){ "sim", NULL, false })) return;
    for (uint32_t n = 1; n <= 1 + 2 * LAYERS; n++) {
        if (!user_program(&u, &(fnd_program_desc){ .name = "user", .drop_barrier = n })) break;
        check_race(user_run(&u), &u.err, "user's program", n);
        u.err = (fnd_error){ 0 };
        fnd_program_free(u.p);
        u.p = NULL;
    }
    user_close(&u);
}

static fnd_status add(fnd_program *p, const fnd_tensor *x, const fnd_tensor *residual, fnd_tensor *y, fnd_error *err) {
    fnd_kernel *k;
    fnd_status status = fnd_kernel_get(p->f, "add", &k, err);
    const fnd_binding b[] = { fnd_bind_in("x", x), fnd_bind_in("residual", residual), fnd_bind_out("y", y) };
    return status == FND_OK ? fnd_program_call(p, k, b, 3, err) : status;
}

/* Reads after writes, writes after reads and writes after writes wait; what does not touch runs together. */
TEST(programs_derive_barriers) {
    kernel_bench b;
    fnd_program *p;
    fnd_view top, bottom;
    fnd_error err = { 0 };
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    bench_tensor *t[4];
    for (int i = 0; i < 4; i++) t[i] = bench_in(&b, "t", FND_F32, fnd_shape2(4, 32));
    fnd_tensor *a = &t[0]->t, *c = &t[1]->t, *d = &t[2]->t, *e = &t[3]->t;
    CHECK_OK(fnd_view_cut(e, (fnd_cut){ .dim = 0, .first = 0, .count = 2 }, &top, &err), &err);
    CHECK_OK(fnd_view_cut(e, (fnd_cut){ .dim = 0, .first = 2, .count = 2 }, &bottom, &err), &err);
    fnd_view a2, c2;
    CHECK_OK(fnd_view_cut(a, (fnd_cut){ .dim = 0, .first = 0, .count = 2 }, &a2, &err), &err);
    CHECK_OK(fnd_view_cut(c, (fnd_cut){ .dim = 0, .first = 0, .count = 2 }, &c2, &err), &err);
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "waits" }, &p, &err), &err);
    CHECK_OK(add(p, a, a, c, &err), &err);                 /* */
    CHECK_OK(add(p, a, a, d, &err), &err);                 /* reads the same: together */
    CHECK_OK(add(p, c, d, e, &err), &err);                 /* reads what was written */
    CHECK_OK(add(p, a, a, c, &err), &err);                 /* writes what was read */
    CHECK_OK(add(p, &a2.t, &a2.t, &top.t, &err), &err);    /* writes c's neighbour ... */
    CHECK_OK(add(p, &a2.t, &a2.t, &bottom.t, &err), &err); /* ... and another part of it: together */
    CHECK_OK(add(p, a, a, e, &err), &err);                 /* writes what was written */
    CHECK_OK(fnd_program_finish(p, &err), &err);
    /* The fourth writes c, which nobody touches until the fifth, which writes e, read by the third. */
    static const bool derived[] = { false, false, true, true, false, false, true };
    for (size_t i = 0; i < 7 && p->finished; i++) CHECK_MSG(p->calls[i].barrier == derived[i], "call %zu: barrier %d", i, p->calls[i].barrier);
    fnd_program_free(p);
    bench_close(&b);
}

/* Barriers are proved again where tensors lie at last: one that is gone is named, and so is a text that is another. */
TEST(programs_are_checked_before_they_run) {
    kernel_bench b;
    fnd_program *p;
    fnd_tensor t;
    fnd_error err = { 0 };
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    bench_tensor *x = bench_in(&b, "x", FND_F32, fnd_shape2(4, 32)), *y = bench_out(&b, "y", FND_F32, fnd_shape2(4, 32));
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "waits" }, &p, &err), &err);
    CHECK_OK(fnd_program_temporary(p, FND_F32, fnd_shape2(4, 32), "t", &t, &err), &err);
    CHECK_OK(add(p, &x->t, &x->t, &t, &err), &err);
    CHECK_OK(add(p, &t, &x->t, &y->t, &err), &err);
    CHECK_OK(fnd_program_finish(p, &err), &err);
    const fnd_part parts[] = { { p->calls[0].variant, false }, { p->calls[1].variant, true } };
    fnd_program_text text = { .name = "waits", .before = { parts, 2 } };
    CHECK_OK(fnd_program_check_schedule(p, &text, &err), &err);
    text.before.count = 1;
    FAILS(fnd_program_check_schedule(p, &text, &why), FND_ERR_DEVICE, "program waits is not run: its function has 1 calls, and 2 were recorded");
    text.before.count = 2;
    p->calls[1].barrier = false;
    FAILS(fnd_program_check_schedule(p, &text, &why), FND_ERR_DEVICE, "another call or barrier than was recorded at call 2");
    FAILS(fnd_program_check_schedule(p, NULL, &why), FND_ERR_DEVICE, "program waits is not run: call 2 (add) does not wait for call 1 (add), and one writes what the other touches");
    fnd_program_free(p);
    bench_close(&b);
}

/* ---- a model's programs ---- */

enum { MODEL_TOKENS = 16 };

/* The same calls once more, with a barrier left out, run for `tokens` tokens. */
static fnd_status run_without(const fnd_program *of, uint32_t drop, uint32_t tokens, uint32_t *barriers, fnd_error *err) {
    fnd_call *calls = fnd_alloc_resized(NULL, of->call_count, sizeof *calls);
    fnd_program *p = fnd_alloc_zeroed(1, sizeof *p);
    if (!calls || !p) abort();
    memcpy(calls, of->calls, of->call_count * sizeof *calls);
    *p = (fnd_program){ .f = of->f, .form = FND_PROGRAM_LAUNCH, .separate = true, .stands_in = true, .drop_barrier = drop, .calls = calls, .call_count = of->call_count, .call_capacity = of->call_count, .variable_count = of->variable_count };
    memcpy(p->name, of->name, sizeof p->name);
    for (uint32_t i = 0; i < of->variable_count; i++) memcpy(p->variables[i].name, of->variables[i].name, sizeof p->variables[i].name);
    fnd_program_derive_barriers(p);
    *barriers = p->barriers;
    fnd_status status = fnd_program_fold(p, err);
    if (status == FND_OK) status = fnd_program_fill_table(p, err);
    if (status == FND_OK) status = fnd_program_compile(p, false, err);
    p->finished = status == FND_OK;
    if (status == FND_OK && fnd_program_variable(p, "pos") >= 0) status = fnd_program_set(p, "pos", 0, err);
    if (status == FND_OK && fnd_program_variable(p, "tokens") >= 0) status = fnd_program_set(p, "tokens", tokens, err);
    if (status == FND_OK) status = fnd_program_run(p, err);
    if (status == FND_OK) status = fnd_wait(p->f, err);
    fnd_program_free(p);
    return status;
}

static void check_program(const fnd_program *p, const char *what) {
    uint32_t barriers = 0, again;
    fnd_error err = { 0 };
    fnd_status status = run_without(p, 0, MODEL_TOKENS, &barriers, &err);
    CHECK_MSG(status == FND_OK, "%s: %s", what, err.text);
    CHECK_MSG(barriers == p->barriers && barriers + 1 >= p->call_count / 2, "%s: %u barriers of %u calls, %u before", what, barriers, p->call_count, p->barriers);
    for (uint32_t n = 1; n <= barriers && status == FND_OK; n++) {
        err = (fnd_error){ 0 };
        check_race(run_without(p, n, MODEL_TOKENS, &again, &err), &err, what, n);
    }
}

/* Shapes at which work is spread over all groups: where one group alone has all of two calls, nothing is
 * amiss without a barrier between them. */
static void check_model_barriers(bool no_fuse, const toy_desc *desc, bool one, bool many) {
    toy_model toy;
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    fnd_error err = { 0 };
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    toy_make(&toy, desc, path);
    fnd_status status = fnd_open(&(fnd_desc){ .backend = "sim", .quick_build = true, .cache_dir = "build/test-cache" }, &f, &err);
    if (status == FND_OK) status = fnd_model_load(f, &(fnd_model_desc){ .path = path, .no_fuse = no_fuse }, &m, &err);
    if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .batch = MODEL_TOKENS }, &s, &err);
    CHECK_MSG(status == FND_OK, "%s", err.text);
    if (status == FND_OK && one) check_program(s->decode, no_fuse ? "unfused decode" : "decode");
    if (status == FND_OK && many) check_program(s->prefill, no_fuse ? "unfused prefill" : "prefill");
    fnd_session_close(s);
    fnd_model_free(m);
    if (f) CHECK_OK(fnd_close(f, &err), &err);
    toy_free(&toy);
    fnd_process_remove_dir(dir);
}

static const toy_desc small = { .architecture = "qwen2", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 64, .bias = true, .matrices = FND_Q8_0, .last_v = FND_F16 };
static const toy_desc wide = { .architecture = "llama", .layers = 1, .dim = 4160, .hidden_dim = 160, .heads = 4, .kv_heads = 2, .head_dim = 16, .context = 64 };

TEST(programs_of_a_model_need_every_barrier) { check_model_barriers(false, &small, true, true); }
TEST(programs_of_an_unfused_model_need_every_barrier) {
    check_model_barriers(true, &small, false, true);
    check_model_barriers(true, &wide, true, false);
}

/* ---- variables ---- */

TEST(programs_have_variables) {
    for (size_t d = 0; d < 3 && d < bench_device_count(); d++) {
        user u;
        bench_seed(13);
        if (!user_open(&u, bench_device_at(d))) return;
        user_calls(&u);
        CHECK_OK(fnd_wait(u.b.f, &u.err), &u.err);
        float *want = floats_of(&u, u.y);
        if (user_program(&u, &(fnd_program_desc){ .name = "user", .variables = { "tokens" } })) {
            static const uint32_t counts[] = { 1, 4, TOKENS, 3 };
            for (size_t i = 0; i < 4; i++) {
                user_forget(&u);
                CHECK_OK(fnd_program_set(u.p, "tokens", counts[i], &u.err), &u.err);
                CHECK_MSG(user_run(&u) == FND_OK, "%s: %s", u.b.label, u.err.text);
                check_equal(&u, want, (size_t)counts[i] * VOCAB, "some tokens");
                float *got = floats_of(&u, u.y);
                for (size_t k = (size_t)counts[i] * VOCAB; k < u.y->count; k++) CHECK_MSG(isnan(got[k]), "%s: %u tokens wrote y[%zu]", u.b.label, counts[i], k);
                free(got);
            }
            fnd_program_info few, all;
            fnd_program_get_info(u.p, &few);
            CHECK(fnd_program_set(u.p, "tokens", 0, &u.err) == FND_ERR_LIMIT);
            CHECK_HAS(u.err.text, "1 .. 9");
            u.err = (fnd_error){ 0 };
            CHECK(fnd_program_set(u.p, "tokens", TOKENS + 1, &u.err) == FND_ERR_LIMIT);
            u.err = (fnd_error){ 0 };
            CHECK(fnd_program_set(u.p, "rows", 1, &u.err) == FND_ERR_USAGE);
            CHECK_HAS(u.err.text, "no variable rows");
            u.err = (fnd_error){ 0 };
            CHECK_OK(fnd_program_set(u.p, "tokens", TOKENS, &u.err), &u.err);
            fnd_program_get_info(u.p, &all);
            CHECK_MSG(all.bytes_written == 3 * few.bytes_written, "%llu bytes for 9 tokens, %llu for 3", (unsigned long long)all.bytes_written, (unsigned long long)few.bytes_written);
            bench_check(&u.b, "variables");
        }
        free(want);
        user_close(&u);
    }
}

/* Work space is for all that was bound, however little of it a run before the compiling used: what runs from the
 * library at first has small prompts, too. */
TEST(programs_have_room_for_all_that_was_bound) {
    user u;
    if (!user_open(&u, &(bench_device){ "cpu", NULL, false })) return;
    if (user_program(&u, &(fnd_program_desc){ .name = "user", .variables = { "tokens" } })) {
        const fnd_segment before = u.p->segments[0];
        fnd_program_info info;
        CHECK(before.own_scratch_bytes > 0);
        CHECK_OK(fnd_program_set(u.p, "tokens", 1, &u.err), &u.err);
        CHECK(user_run(&u) == FND_OK);
        fnd_program_get_info(u.p, &info);
        CHECK_OK(fnd_program_compile(u.p, false, &u.err), &u.err);
        CHECK(u.p->segments[0].own_scratch_bytes == before.own_scratch_bytes && u.p->segments[0].shared_scratch_bytes == before.shared_scratch_bytes);
        void *code = NULL;
        CHECK_OK(fnd_program_compile_printed(u.p, NULL, &code, &u.err), &u.err);
        CHECK(code == before.code);
    }
    user_close(&u);
}

/* ---- misuse ---- */

static void check_refused(fnd_status got, fnd_status want, fnd_error *err, const char *says) {
    CHECK_MSG(got == want, "status %d instead of %d: %s", got, want, err->text);
    CHECK_HAS(err->text, says);
    *err = (fnd_error){ 0 };
}

TEST(programs_refuse_misuse) {
    user u;
    fnd_program *p;
    if (!user_open(&u, &(bench_device){ "cpu", "generic", false })) return;
    check_refused(fnd_program_begin(u.b.f, &(fnd_program_desc){ .name = "two words" }, &p, &u.err), FND_ERR_USAGE, &u.err, "name");
    CHECK(p == NULL);
    check_refused(fnd_program_begin(u.b.f, &(fnd_program_desc){ .name = NULL }, &p, &u.err), FND_ERR_USAGE, &u.err, "name");
    CHECK_OK(fnd_program_begin(u.b.f, &(fnd_program_desc){ .name = "empty" }, &p, &u.err), &u.err);
    check_refused(fnd_program_finish(p, &u.err), FND_ERR_USAGE, &u.err, "has no calls");
    check_refused(fnd_program_run(p, &u.err), FND_ERR_USAGE, &u.err, "is not finished");
    check_refused(fnd_program_layer(p, 1, &u.err), FND_ERR_USAGE, &u.err, "layer 1 cannot follow layer -1");
    CHECK_OK(fnd_program_layer(p, 0, &u.err), &u.err);
    CHECK_OK(fnd_program_layer(p, 1, &u.err), &u.err);
    check_refused(fnd_program_layer(p, 3, &u.err), FND_ERR_USAGE, &u.err, "layer 3 cannot follow layer 1");
    check_refused(fnd_program_layer(p, 0, &u.err), FND_ERR_USAGE, &u.err, "layer 0 cannot follow layer 1");
    check_refused(fnd_program_layer(p, -2, &u.err), FND_ERR_USAGE, &u.err, "layer -2");
    CHECK_OK(fnd_program_layer(p, -1, &u.err), &u.err);
    check_refused(fnd_program_layer(p, 0, &u.err), FND_ERR_USAGE, &u.err, "layer 0 cannot follow");
    fnd_program_free(p);
    CHECK_OK(fnd_program_begin(u.b.f, &(fnd_program_desc){ .name = "unknown", .variables = { "tokens", "epoch" } }, &p, &u.err), &u.err);
    CHECK_OK(add(p, &u.x[0]->t, &u.x[1]->t, &u.x[2]->t, &u.err), &u.err);
    check_refused(fnd_program_finish(p, &u.err), FND_ERR_USAGE, &u.err, "no call has a number or dimension epoch");
    check_refused(fnd_program_run(p, &u.err), FND_ERR_USAGE, &u.err, "is not finished");
    check_refused(fnd_program_finish(p, &u.err), FND_ERR_USAGE, &u.err, "begin it anew");
    fnd_program_free(p);
    if (user_program(&u, &(fnd_program_desc){ .name = "done" })) {
        check_refused(fnd_program_finish(u.p, &u.err), FND_ERR_USAGE, &u.err, "is finished already");
        check_refused(add(u.p, &u.x[0]->t, &u.x[1]->t, &u.x[2]->t, &u.err), FND_ERR_USAGE, &u.err, "no call can be added");
        check_refused(fnd_program_layer(u.p, 0, &u.err), FND_ERR_USAGE, &u.err, "");
        CHECK(user_run(&u) == FND_OK);
    }
    user_close(&u);
}

TEST(programs_notice_tensors_that_are_gone) {
    kernel_bench b;
    fnd_program *p;
    fnd_dedicated y;
    fnd_pool pool;
    fnd_pooled x;
    fnd_error err = { 0 };
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    CHECK_OK(fnd_pool_create(b.f, 4096, "short", &pool, &err), &err);
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape2(2, 8), FND_ONES, &x, &err), &err);
    CHECK_OK(fnd_alloc(b.f, FND_F32, fnd_shape2(2, 8), FND_POISON, &y, &err), &err);
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "stale" }, &p, &err), &err);
    CHECK_OK(add(p, &x.t, &x.t, &y.t, &err), &err);
    CHECK_OK(fnd_program_finish(p, &err), &err);
    CHECK_OK(fnd_program_run(p, &err), &err);
    CHECK_OK(fnd_pool_reset(&pool, &err), &err);
    check_refused(fnd_program_run(p, &err), FND_ERR_STALE, &err, "");
    fnd_program_free(p);
    CHECK_OK(fnd_pool_alloc(&pool, FND_F32, fnd_shape2(2, 8), FND_ONES, &x, &err), &err);
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "stale" }, &p, &err), &err);
    CHECK_OK(add(p, &x.t, &x.t, &y.t, &err), &err);
    CHECK_OK(fnd_program_finish(p, &err), &err);
    CHECK_OK(fnd_tensor_free(b.f, &y, &err), &err);
    check_refused(fnd_program_run(p, &err), FND_ERR_STALE, &err, "");
    fnd_program_free(p);
    CHECK_OK(fnd_pool_destroy(&pool, &err), &err);
    bench_close(&b);
}

/* ---- calls that share a launch ---- */

/* More tensors than one kernel can have; sim knows which memory a launch may touch. */
TEST(programs_bind_all_tensors_of_a_launch) {
    enum { CALLS = 50,
           COLS = 8 };
    kernel_bench b;
    fnd_kernel *k;
    fnd_program *p;
    fnd_view x[CALLS], residual[CALLS], y[CALLS];
    if (!bench_open(&b, &(bench_device){ "sim", NULL, false })) return;
    bench_tensor *xs = bench_in(&b, "x", FND_F32, fnd_shape2(CALLS, COLS)), *rs = bench_in(&b, "residual", FND_F32, fnd_shape2(CALLS, COLS)), *ys = bench_out(&b, "y", FND_F32, fnd_shape2(CALLS, COLS));
    CHECK_OK(fnd_kernel_get(b.f, "add", &k, &b.err), &b.err);
    /* With a barrier to leave out, calls between barriers are one launch. */
    CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "sums", .form = FND_PROGRAM_LAUNCH, .drop_barrier = 1000 }, &p, &b.err), &b.err);
    for (uint64_t i = 0; i < CALLS; i++) {
        fnd_cut row = { .dim = 0, .first = i, .count = 1 };
        CHECK_OK(fnd_view_cut(&xs->t, row, &x[i], &b.err), &b.err);
        CHECK_OK(fnd_view_cut(&rs->t, row, &residual[i], &b.err), &b.err);
        CHECK_OK(fnd_view_cut(&ys->t, row, &y[i], &b.err), &b.err);
        fnd_binding list[] = { fnd_bind_in("x", &x[i].t), fnd_bind_in("residual", &residual[i].t), fnd_bind_out("y", &y[i].t) };
        CHECK_OK(fnd_program_call(p, k, list, 3, &b.err), &b.err);
    }
    CHECK_OK(fnd_program_finish(p, &b.err), &b.err);
    fnd_program_info info;
    fnd_program_get_info(p, &info);
    CHECK(info.launches == 1 && info.barriers == 0);
    CHECK_OK(fnd_program_run(p, &b.err), &b.err);
    CHECK_OK(fnd_wait(b.f, &b.err), &b.err);
    if (bench_check(&b, "sums")) {
        for (size_t i = 0; i < CALLS * COLS; i++) CHECK(fabs(ys->v[i] - xs->v[i] - rs->v[i]) < 1e-6);
    }
    fnd_program_free(p);
    bench_close(&b);
}

/* ---- folded numbers ---- */

/* What cannot be written in digits reaches the kernel too. */
TEST(programs_fold_any_number) {
    static const uint32_t floats[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0x80000000, 1, 0x7f7fffff, 0xff7fffff, 0x3eaaaaab };
    static const bench_device devices[] = { { "cpu", NULL, false }, { "sim", NULL, false } };
    for (size_t d = 0; d < 2; d++) {
        kernel_bench b;
        fnd_kernel *fill, *arange;
        fnd_program *p;
        float got[8][4];
        int32_t whole[4];
        if (!bench_open(&b, &devices[d])) continue;
        CHECK_OK(fnd_kernel_get(b.f, "fill", &fill, &b.err), &b.err);
        CHECK_OK(fnd_kernel_get(b.f, "arange_i32", &arange, &b.err), &b.err);
        CHECK_OK(fnd_program_begin(b.f, &(fnd_program_desc){ .name = "fills" }, &p, &b.err), &b.err);
        bench_tensor *y[8], *i32 = bench_out(&b, "whole", FND_I32, fnd_shape1(4));
        for (size_t i = 0; i < 8; i++) {
            char name[8];
            float value;
            snprintf(name, sizeof name, "y%zu", i);
            memcpy(&value, &floats[i], sizeof value);
            y[i] = bench_out(&b, name, FND_F32, fnd_shape2(1, 4));
            fnd_binding list[] = { fnd_bind_out("y", &y[i]->t), fnd_bind_f32("value", value) };
            CHECK_OK(fnd_program_call(p, fill, list, 2, &b.err), &b.err);
        }
        fnd_binding list[] = { fnd_bind_out("y", &i32->t), fnd_bind_i32("start", INT32_MIN), fnd_bind_i32("step", 1) };
        CHECK_OK(fnd_program_call(p, arange, list, 3, &b.err), &b.err);
        CHECK_OK(fnd_program_finish(p, &b.err), &b.err);
        CHECK_OK(fnd_program_run(p, &b.err), &b.err);
        for (size_t i = 0; i < 8; i++) {
            CHECK_OK(fnd_tensor_read(b.f, &y[i]->t, 0, got[i], sizeof got[i], &b.err), &b.err);
            CHECK_MSG(memcmp(&got[i][3], &floats[i], 4) == 0, "%s: %a instead of the bits %08x", b.label, (double)got[i][3], floats[i]);
        }
        CHECK_OK(fnd_tensor_read(b.f, &i32->t, 0, whole, sizeof whole, &b.err), &b.err);
        CHECK(whole[0] == INT32_MIN && whole[3] == INT32_MIN + 3);
        fnd_program_free(p);
        bench_close(&b);
    }
}

/* ---- nothing is allocated within a token ---- */

TEST(programs_allocate_nothing_when_run) {
    user u;
    if (!user_open(&u, &(bench_device){ "cpu", NULL, false })) return;
    if (user_program(&u, &(fnd_program_desc){ .name = "user", .variables = { "tokens" } }) && user_run(&u) == FND_OK) {
        uint64_t before = fnd_memory_allocations(), tensors = fnd_counter_get(u.b.f, FND_COUNTER_ALLOCATIONS);
        for (uint32_t i = 1; i <= TOKENS; i++) {
            CHECK_OK(fnd_program_set(u.p, "tokens", i, &u.err), &u.err);
            CHECK(user_run(&u) == FND_OK);
        }
        CHECK_MSG(fnd_memory_allocations() == before, "%llu allocations", (unsigned long long)(fnd_memory_allocations() - before));
        CHECK(fnd_counter_get(u.b.f, FND_COUNTER_ALLOCATIONS) == tensors);
    }
    user_close(&u);
}

static void check_token_allocations(fnd_session *s, const fnd_sampling *sampling, fnd_error *err) {
    uint32_t id = 3;
    fnd_status status = FND_OK;
    for (int i = 0; i < 3 && status == FND_OK; i++) { /* kernels of sampling are found on first use */
        status = fnd_session_eval(s, &id, 1, err);
        if (status == FND_OK) status = fnd_session_sample(s, sampling, &id, err);
    }
    uint64_t before = fnd_memory_allocations();
    for (int i = 0; i < 10 && status == FND_OK; i++) {
        status = fnd_session_eval(s, &id, 1, err);
        if (status == FND_OK) status = fnd_session_sample(s, sampling, &id, err);
    }
    CHECK_MSG(status == FND_OK, "%s", err->text);
    CHECK_MSG(fnd_memory_allocations() == before, "%llu allocations in 10 tokens", (unsigned long long)(fnd_memory_allocations() - before));
}

TEST(programs_allocate_nothing_in_a_token) {
    toy_model toy;
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    fnd_error err = { 0 };
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    snprintf(path, sizeof path, "%s/toy.gguf", dir);
    toy_make(&toy, &(toy_desc){ .architecture = "llama", .layers = 2, .dim = 64, .hidden_dim = 96, .heads = 4, .kv_heads = 2, .context = 64, .matrices = FND_Q8_0 }, path);
    for (int baked = 0; baked < 2; baked++) {
        fnd_desc desc = { .backend = "cpu", .quick_build = true, .wait_for_build = true, .no_baked = !baked, .no_build = baked, .cache_dir = "build/test-cache" };
        fnd_status status = fnd_open(&desc, &f, &err);
        if (status == FND_OK) status = fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, &err);
        if (status == FND_OK) status = fnd_session_open(m, &(fnd_session_desc){ .batch = 16 }, &s, &err);
        CHECK_MSG(status == FND_OK, "%s", err.text);
        if (status == FND_OK) check_token_allocations(s, &(fnd_sampling){ 0 }, &err);
        if (status == FND_OK) check_token_allocations(s, &(fnd_sampling){ .temperature = 1, .top_k = 40, .top_p = 0.9f, .min_p = 0.01f, .seed = 5 }, &err);
        fnd_session_close(s);
        fnd_model_free(m);
        if (f) CHECK_OK(fnd_close(f, &err), &err);
        s = NULL, m = NULL, f = NULL;
    }
    toy_free(&toy);
    fnd_process_remove_dir(dir);
}
