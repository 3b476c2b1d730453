/* test_metal_commands.c - command buffers on the stand-in for Metal: barriers, how much is in one, several in flight,
 * failures, and the GPU's own times. */
#include "backend/metal/metal.h"
#include "foundry/model.h"
#include "foundry/submit.h"
#include "metal_ones.h"
#include "run/context.h"
#include "test.h"
#include "tiny_model.h"

#include <stdlib.h>

TEST(metal_tells_that_the_gpu_failed) {
    NEED_STANDIN();
    for (long code = 1; code <= 8; code = code == 1 ? 2 : 4 * code) {
        ones t;
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        standin_set("fail_code", code);
        standin_set("fail_commands", 1);
        CHECK_OK(ones_start(&t), &t.err);
        t.err = (fnd_error){ 0 };
        CHECK(fnd_wait(t.f, &t.err) == (code == 8 ? FND_ERR_MEMORY : FND_ERR_DEVICE));
        CHECK_HAS(t.err.text, "the GPU did not finish: MTLCommandBufferErrorDomain");
        if (code == 2) CHECK_HAS(t.err.text, "fewer tokens of a prompt at a time (batch) take less time");
        if (code == 8) CHECK_HAS(t.err.text, "a smaller context, model or weight format would fit");
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* The host writes only what the GPU has read: a launch under way sees what was there when it was made. */
TEST(metal_waits_before_the_host_writes) {
    NEED_STANDIN();
    float twos[COLS];
    for (int i = 0; i < COLS; i++) twos[i] = 2.0f;
    for (long unified = 0; unified <= 1; unified++) {
        ones t;
        standin_set("unified", unified);
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        standin_set("slow_ms", 30);
        CHECK_OK(ones_start(&t), &t.err);
        CHECK_OK(fnd_tensor_write(t.f, &t.x.t, 0, twos, sizeof twos, &t.err), &t.err);
        CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* Calls that have nothing to do with each other run side by side; a barrier stands where one reads what
 * another wrote. The stand-in runs those between two barriers backwards. */
TEST(metal_puts_barriers_where_programs_need_them) {
    NEED_STANDIN();
    ones t;
    fnd_program *p;
    fnd_dedicated square, out;
    float got[ROWS];
    if (!ones_open(&t)) return;
    CHECK_OK(fnd_alloc(t.f, FND_F32, fnd_shape2(ROWS, ROWS), FND_ONES, &square, &t.err), &t.err);
    CHECK_OK(fnd_alloc(t.f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &out, &t.err), &t.err);
    CHECK_OK(fnd_program_begin(t.f, &(fnd_program_desc){ .name = "two_and_one" }, &p, &t.err), &t.err);
    const fnd_binding one[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
    const fnd_binding other[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.z.t) };
    const fnd_binding last[] = { fnd_bind_in("x", &t.y.t), fnd_bind_in("w", &square.t), fnd_bind_out("y", &out.t) };
    CHECK_OK(fnd_program_call(p, t.linear, one, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_call(p, t.linear, other, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_call(p, t.linear, last, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_finish(p, &t.err), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    long dispatches = standin("dispatches", NULL, 0), barriers = standin("barriers", NULL, 0), commands = standin("commands", NULL, 0), shared = standin("shared", NULL, 0);
    CHECK_OK(fnd_program_run(p, &t.err), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    CHECK(standin("dispatches", NULL, 0) - dispatches == 3);
    CHECK(standin("barriers", NULL, 0) - barriers == 1);
    CHECK(standin("commands", NULL, 0) - commands == 1); /* the whole program is one command buffer */
    CHECK(standin("shared", NULL, 0) == shared);         /* those side by side have scratch memory of their own */
    CHECK_OK(fnd_tensor_read(t.f, &out.t, 0, got, sizeof got, &t.err), &t.err);
    for (size_t i = 0; i < ROWS; i++) CHECK(got[i] == ROWS * COLS);
    check_ones(&t, &t.z);
    fnd_program_free(p);
    ones_close(&t);
}

/* What a kernel writes, the next run of the program reads: also from one command buffer to the next. */
typedef struct heard {
    int count, in_order;
    uint64_t last_end_ns;
    bool times_fit;
} heard;

static void hear(void *ctx, const fnd_completion *done) {
    heard *h = ctx;
    h->in_order += done->number == (uint64_t)++h->count && done->status == FND_OK;
    h->times_fit &= done->start_ns >= h->last_end_ns && done->end_ns >= done->start_ns && done->end_ns > 0;
    h->last_end_ns = done->start_ns;
}

TEST(metal_keeps_several_submissions_in_flight) {
    NEED_STANDIN();
    ones t;
    heard h = { .times_fit = true };
    uint64_t number = 0;
    char label[64];
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    const fnd_binding b[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
    const fnd_work work = fnd_work_kernel(t.linear, b, 3);
    (void)standin("in_flight", NULL, 0);
    standin_set("slow_ms", 20);
    for (int i = 0; i < 8; i++) CHECK_OK(fnd_submit(t.f, &(fnd_submission){ .label = i == 7 ? "chat/token 7" : "chat", .work = &work, .count = 1, .done = hear, .ctx = &h }, &number, &t.err), &t.err);
    CHECK_OK(fnd_wait_for(t.f, number, &t.err), &t.err);
    CHECK_MSG(h.count == 8 && h.in_order == 8, "%d of %d in order", h.in_order, h.count);
    CHECK(h.times_fit);
    CHECK(standin("in_flight", NULL, 0) >= 4);
    (void)standin("label", label, sizeof label);
    CHECK_STR(label, "chat/token 7");
    check_ones(&t, &t.y);
    ones_close(&t);
}

/* A token is one command buffer: its pass through the model, and the choice of the next one with all that belongs to
 * it. Everything in it is labelled. */
TEST(metal_runs_a_token_in_one_command_buffer) {
    NEED_STANDIN();
    enum { TOKENS = 4 };
    static const fnd_logit_bias bias = { .id = 9, .bias = -2 };
    static const struct {
        const char *name;
        bool chooses;
        fnd_sampling sampling;
    } cases[] = {
        { "the pass alone", false, { .temperature = 0 } },
        { "the best", true, { .temperature = 0 } },
        { "drawn", true, { .temperature = 0.8f, .top_k = 10, .seed = 3 } },
        { "with penalties", true, { .repeat_penalty = 1.2f, .bias = &bias, .bias_count = 1 } },
        { "drawn, with penalties", true, { .temperature = 0.8f, .typical_p = 0.9f, .presence_penalty = 0.5f } },
    };
    for (long unified = 0; unified <= 1; unified++) {
        foundry *f;
        fnd_model *m;
        fnd_session *s;
        fnd_error err;
        uint32_t id = 7;
        standin_set("unified", unified);
        CHECK_OK(open_metal(&f, &err), &err);
        CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err), &err);
        CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .context = 64 }, &s, &err), &err);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            long before = 0, unlabelled = standin("unlabelled", NULL, 0);
            for (int i = 0; i <= TOKENS; i++) {
                CHECK_OK(fnd_session_eval(s, &id, 1, &err), &err);
                if (cases[c].chooses) CHECK_OK(fnd_session_sample(s, &cases[c].sampling, &id, &err), &err);
                if (i) continue;
                CHECK_OK(fnd_wait(f, &err), &err); /* behind what is done once */
                before = standin("commands", NULL, 0);
            }
            CHECK_OK(fnd_wait(f, &err), &err);
            long commands = standin("commands", NULL, 0) - before;
            long copies = !unified && cases[c].chooses ? TOKENS : 0; /* of the choice, from memory that the host does not see */
            CHECK_MSG(commands == TOKENS + copies, "%s: %ld command buffers for %d tokens", cases[c].name, commands, TOKENS);
            CHECK(standin("unlabelled", NULL, 0) == unlabelled);
        }
        fnd_session_close(s);
        fnd_model_free(m);
        CHECK_OK(fnd_close(f, &err), &err);
        standin_reset();
    }
}

/* What is run on its own begins at once, whoever waits for it later. */
TEST(metal_begins_what_is_run) {
    NEED_STANDIN();
    ones t;
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    (void)standin("in_flight", NULL, 0);
    standin_set("slow_ms", 20);
    for (int i = 0; i < 3; i++) CHECK_OK(ones_start(&t), &t.err);
    CHECK(standin("in_flight", NULL, 0) >= 2);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    ones_close(&t);
}

/* ---- long work ---- */

/* macOS ends a command buffer that keeps the GPU for some seconds: a prompt's pass is cut by its operations. */
TEST(metal_cuts_the_pass_of_a_long_prompt) {
    NEED_STANDIN();
    enum { TOKENS = 24,
           VOCAB = 512 };
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    fnd_error err;
    fnd_program_info pass = { 0 };
    uint32_t ids[TOKENS];
    float whole[VOCAB], cut[VOCAB];
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = 3 + 5 * i % 90;
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err), &err);
    uint32_t vocab = fnd_model_get_info(m)->vocab;
    REQUIRE(vocab <= VOCAB);
    CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .context = 64 }, &s, &err), &err);
    fnd_metal *metal = f->device;
    CHECK_OK(fnd_session_eval(s, ids, 2, &err), &err); /* whose operations are no measure of what follows */
    for (int parts = 0; parts <= 4; parts += 2) {
        if (parts) metal->most_ops = pass.ops / (uint64_t)parts;
        for (int time = 0; time < 2; time++) { /* the first time has what is done once */
            CHECK_OK(fnd_session_truncate(s, 0, &err), &err);
            CHECK_OK(fnd_wait(f, &err), &err);
            long before = standin("commands", NULL, 0);
            CHECK_OK(fnd_session_eval(s, ids, TOKENS, &err), &err);
            CHECK_OK(fnd_session_logits(s, parts ? cut : whole, &err), &err);
            long commands = standin("commands", NULL, 0) - before;
            /* Each is filled up to the launch that would be too much: no two together fit into one. The head is one. */
            if (time) CHECK_MSG(parts ? commands >= parts + 1 && commands <= 2 * parts + 1 : commands == 2, "%ld command buffers for %d parts and the head", commands, parts);
        }
        fnd_program_get_info(fnd_session_program(s, "prefill"), &pass);
        CHECK(pass.ops > 0 && (!parts || memcmp(whole, cut, vocab * sizeof *cut) == 0));
    }
    fnd_session_close(s);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
}

typedef struct ended {
    int count;
    fnd_status status;
    uint64_t took_ns;
} ended;

static void note_end(void *ctx, const fnd_completion *done) {
    ended *e = ctx;
    *e = (ended){ e->count + 1, done->status, done->end_ns - done->start_ns };
}

/* A submission that is too long is several command buffers, and one to whoever asks: done when the last is, failed
 * when one is. */
TEST(metal_runs_a_long_submission_in_parts) {
    NEED_STANDIN();
    enum { CALLS = 4,
           SLOW_MS = 5 };
    ones t;
    ended e;
    uint64_t number = 0;
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    const fnd_binding b[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
    fnd_work work[CALLS];
    for (int i = 0; i < CALLS; i++) work[i] = fnd_work_kernel(t.linear, b, 3);
    const fnd_submission all = { .label = "long", .work = work, .count = CALLS, .done = note_end, .ctx = &e };
    fnd_metal *metal = t.f->device;
    metal->most_ops = 1;
    for (int fail = 0; fail <= CALLS; fail++) {
        long before = standin("commands", NULL, 0);
        e = (ended){ 0 };
        t.err = (fnd_error){ 0 };
        standin_set("slow_ms", SLOW_MS);
        if (fail) standin_set("fail_commands", fail);
        CHECK_OK(fnd_submit(t.f, &all, &number, &t.err), &t.err);
        CHECK(fnd_wait_for(t.f, number, &t.err) == (fail ? FND_ERR_MEMORY : FND_OK));
        if (fail) CHECK_HAS(t.err.text, "long: the GPU did not finish");
        CHECK(e.count == 1 && (e.status == FND_OK) == !fail);
        CHECK_OK(fnd_wait(t.f, &t.err), &t.err); /* told once */
        CHECK(standin("commands", NULL, 0) - before == CALLS);
        if (!fail) CHECK_MSG(e.took_ns >= CALLS * SLOW_MS * UINT64_C(1000000), "from the first part's beginning to the last one's end it took %llu ns", (unsigned long long)e.took_ns);
    }
    metal->most_ops = UINT64_MAX;
    CHECK_OK(ones_run(&t), &t.err);
    check_ones(&t, &t.y);
    ones_close(&t);
}

/* What the GPU failed at before, and nobody was told yet, ends a submission at its first launch or, where that is seen
 * between two parts, in its middle; with a part under way. The next one is as good as any. */
TEST(metal_submits_behind_a_failed_submission) {
    NEED_STANDIN();
    enum { CALLS = 4,
           SLOW_MS = 20 };
    for (int parts = 0; parts < 2; parts++) {
        ones t;
        uint64_t number = 0;
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        const fnd_binding b[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
        fnd_work work[CALLS];
        for (int i = 0; i < CALLS; i++) work[i] = fnd_work_kernel(t.linear, b, 3);
        const fnd_submission all = { .label = "behind", .work = work, .count = CALLS };
        fnd_metal *metal = t.f->device;
        standin_set("fail_commands", 1);
        CHECK_OK(ones_start(&t), &t.err);
        (void)standin("live", NULL, 0);               /* until the GPU has done it */
        if (!parts) CHECK_OK(ones_start(&t), &t.err); /* which hears of the failure */
        if (parts) metal->most_ops = 1;
        standin_set("slow_ms", SLOW_MS);
        long before = standin("commands", NULL, 0);
        CHECK_OK(fnd_submit(t.f, &all, &number, &t.err), &t.err);
        CHECK(fnd_wait_for(t.f, number, &t.err) == FND_ERR_MEMORY);
        CHECK_HAS(t.err.text, "launches: the GPU did not finish");
        t.err = (fnd_error){ 0 };
        CHECK_OK(fnd_wait(t.f, &t.err), &t.err); /* told once */
        if (parts) CHECK(standin("commands", NULL, 0) - before == 1);
        for (int i = 0; i < 2; i++) CHECK_OK(fnd_submit(t.f, &all, &number, &t.err), &t.err);
        CHECK_OK(fnd_wait_for(t.f, number, &t.err), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* The GPU's own times: what the profiler shows does not count the time that a launch waited. */
TEST(metal_profiles_by_the_clock_of_the_gpu) {
    NEED_STANDIN();
    ones t;
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    CHECK_OK(fnd_profile_start(t.f, NULL, &t.err), &t.err);
    standin_set("told_us", 1000000); /* and not what the host's clock says */
    for (int i = 0; i < 3; i++) CHECK_OK(ones_start(&t), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    CHECK_OK(fnd_profile_stop(t.f, &t.err), &t.err);
    fnd_profile_row rows[4];
    size_t count = fnd_profile_rows(t.f, rows, 4);
    CHECK_MSG(count == 1 && rows[0].calls == 3 && rows[0].total_ns > 2999990000 && rows[0].total_ns < 3000010000, "%zu rows, %llu calls, %llu ns", count, (unsigned long long)rows[0].calls, (unsigned long long)rows[0].total_ns);
    ones_close(&t);
}

/* A read whose own copy failed is no read. */
TEST(metal_tells_that_a_copy_to_the_host_failed) {
    NEED_STANDIN();
    ones t;
    float got[ROWS];
    standin_set("unified", 0);
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    standin_set("fail_commands", 1);
    CHECK(fnd_tensor_read(t.f, &t.y.t, 0, got, sizeof got, &t.err) == FND_ERR_MEMORY);
    CHECK_HAS(t.err.text, "the GPU did not finish");
    t.err = (fnd_error){ 0 };
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err); /* told once */
    check_ones(&t, &t.y);
    ones_close(&t);
}
