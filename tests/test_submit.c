/* test_submit.c - several submissions in flight: order, callbacks, failures, closing, and what is allocated.
 *
 * Beside cpu and sim there is a device that runs on: the cpu, whose submissions end when the test says so. */
#include "fake_backend.h"
#include "base/base.h"
#include "base/memory.h"
#include "foundry/submit.h"
#include "run/context.h"
#include "test.h"

#include <pthread.h>
#include <unistd.h>

enum { ROWS = 8,
       DIM = 64,
       VALUES = ROWS * DIM };

/* ---- a device whose submissions end when the test says so ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t given, finished, may_finish; /* tickets */
    uint64_t fail_ticket;                 /* 0: none; counted from 1 */
    bool open, fail_launch;
    unsigned most, flushed;
    char labels[8][FND_LABEL_BYTES];
    fnd_backend table;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static fnd_status gate_begin(void *self, const char *label, fnd_error *err) {
    (void)self;
    (void)err;
    CHECK(!gate.open);
    gate.open = true;
    if (gate.given < 8) snprintf(gate.labels[gate.given], sizeof gate.labels[0], "%s", label);
    return FND_OK;
}

static fnd_status gate_launch(void *self, const fnd_launch *launch, fnd_error *err) {
    if (!gate.fail_launch) return fnd_backend_cpu.launch(self, launch, err);
    gate.open = false;
    return fnd_fail(err, FND_ERR_MEMORY, "no room to launch");
}

static fnd_status gate_submit(void *self, uint64_t *ticket, fnd_error *err) {
    (void)self;
    (void)err;
    if (!ticket) {
        gate.flushed++;
        return FND_OK;
    }
    CHECK(gate.open);
    gate.open = false;
    pthread_mutex_lock(&gate.lock);
    *ticket = ++gate.given;
    if (gate.given - gate.finished > gate.most) gate.most = (unsigned)(gate.given - gate.finished);
    pthread_mutex_unlock(&gate.lock);
    return FND_OK;
}

static fnd_status gate_finish(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err) {
    (void)self;
    pthread_mutex_lock(&gate.lock);
    CHECK(ticket == gate.finished + 1);
    while (gate.may_finish < ticket) pthread_cond_wait(&gate.changed, &gate.lock);
    gate.finished = ticket;
    pthread_mutex_unlock(&gate.lock);
    *ran = (fnd_times){ 1000 * ticket, 1000 * ticket + 500 };
    return ticket == gate.fail_ticket ? fnd_fail(err, FND_ERR_DEVICE, "ticket %d failed", (int)ticket) : FND_OK;
}

static void let_finish(uint64_t tickets) {
    pthread_mutex_lock(&gate.lock);
    gate.may_finish = tickets;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* ---- contexts ---- */

typedef struct bench {
    foundry *f;
    fnd_kernel *add;
    fnd_dedicated x[4], y[4];
    fnd_error err;
} bench;

static const fnd_backend *const devices[] = { &fnd_backend_cpu, &fnd_backend_sim, &gate.table };

static bool open_bench(bench *b, const fnd_backend *backend) {
    *b = (bench){ .f = NULL };
    gate.given = gate.finished = gate.fail_ticket = gate.most = gate.flushed = 0;
    gate.may_finish = UINT64_MAX;
    gate.open = gate.fail_launch = false;
    gate.table = fnd_backend_cpu;
    gate.table.launch = gate_launch;
    gate.table.begin = gate_begin;
    gate.table.submit = gate_submit;
    gate.table.finish = gate_finish;
    const fnd_desc desc = { .quick_build = true, .cache_dir = "build/test-cache", .wait_for_build = true };
    fnd_status status = fnd_open_with_backend(backend, &desc, &b->f, &b->err);
    if (status == FND_OK) status = fnd_kernel_get(b->f, "add", &b->add, &b->err);
    for (int i = 0; i < 4 && status == FND_OK; i++) status = fnd_alloc(b->f, FND_F32, fnd_shape2(ROWS, DIM), FND_ONES, &b->x[i], &b->err);
    for (int i = 0; i < 4 && status == FND_OK; i++) status = fnd_alloc(b->f, FND_F32, fnd_shape2(ROWS, DIM), FND_ZEROS, &b->y[i], &b->err);
    CHECK_MSG(status == FND_OK, "%s", b->err.text);
    return status == FND_OK;
}

/* What the callbacks saw. The lock makes it visible without counting on what is tested. */
typedef struct seen {
    pthread_mutex_t lock;
    unsigned count;
    struct {
        uint64_t number, start_ns, end_ns;
        fnd_status status;
        char label[FND_LABEL_BYTES], text[256];
        pthread_t thread;
    } at[64];
} seen;

static void told(void *ctx, const fnd_completion *c) {
    seen *s = ctx;
    pthread_mutex_lock(&s->lock);
    if (s->count < 64) {
        s->at[s->count].number = c->number;
        s->at[s->count].status = c->status;
        s->at[s->count].start_ns = c->start_ns;
        s->at[s->count].end_ns = c->end_ns;
        s->at[s->count].thread = pthread_self();
        snprintf(s->at[s->count].label, sizeof s->at[0].label, "%s", c->label);
        snprintf(s->at[s->count].text, sizeof s->at[0].text, "%s", c->text);
    }
    s->count++;
    pthread_mutex_unlock(&s->lock);
}

static unsigned count_of(seen *s) {
    pthread_mutex_lock(&s->lock);
    unsigned count = s->count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* y := x + residual, in flight. */
static fnd_status submit_add(bench *b, const char *label, const fnd_tensor *x, const fnd_tensor *residual, fnd_tensor *y, seen *s, uint64_t *number) {
    const fnd_binding list[] = { fnd_bind_in("x", x), fnd_bind_in("residual", residual), fnd_bind_out("y", y) };
    const fnd_work work = fnd_work_kernel(b->add, list, 3);
    return fnd_submit(b->f, &(fnd_submission){ .label = label, .work = &work, .count = 1, .done = s ? told : NULL, .ctx = s }, number, &b->err);
}
#define SUBMIT(b, ...) \
    do { \
        fnd_status status_ = submit_add(b, __VA_ARGS__); \
        CHECK_MSG(status_ == FND_OK, "submitting: %s", (b)->err.text); \
    } while (0)

static float first_of(bench *b, const fnd_dedicated *t) {
    float value = -1;
    CHECK_OK(fnd_tensor_read(b->f, &t->t, 0, &value, sizeof value, &b->err), &b->err);
    return value;
}

/* ---- tests ---- */

TEST(submit_runs_in_order_and_tells) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
        uint64_t number = 0;
        char label[32];
        if (!open_bench(&b, devices[d])) return;
        /* Each adds 1 to what the one before made: 40 of them, more than can be in flight. */
        for (int i = 0; i < 40; i++) {
            snprintf(label, sizeof label, "chat/token %d", i);
            SUBMIT(&b, label, i ? &b.y[(i + 1) % 2].t : &b.x[0].t, &b.x[1].t, &b.y[i % 2].t, &s, &number);
            CHECK(number == (uint64_t)i + 1);
        }
        CHECK_OK(fnd_wait_for(b.f, 40, &b.err), &b.err);
        CHECK(s.count == 40);
        for (unsigned i = 0; i < s.count && i < 40; i++) {
            snprintf(label, sizeof label, "chat/token %u", i);
            CHECK_STR(s.at[i].label, label);
            CHECK(s.at[i].number == i + 1 && s.at[i].status == FND_OK && !s.at[i].text[0]);
            CHECK(pthread_equal(s.at[i].thread, s.at[0].thread) && !pthread_equal(s.at[i].thread, pthread_self()));
            CHECK(s.at[i].end_ns >= s.at[i].start_ns && s.at[i].start_ns >= (i ? s.at[i - 1].end_ns : 1));
        }
        CHECK(first_of(&b, &b.y[1]) == 41);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

TEST(submit_and_run_keep_their_order) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        if (!open_bench(&b, devices[d])) return;
        for (int i = 0; i < 8; i++) {
            const fnd_binding more[] = { fnd_bind_in("x", &b.y[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[1].t) };
            SUBMIT(&b, NULL, i ? &b.y[1].t : &b.x[0].t, &b.x[1].t, &b.y[0].t, NULL, NULL);
            CHECK_OK(fnd_run(b.f, b.add, more, 3, &b.err), &b.err);
            if (i == 3) CHECK(first_of(&b, &b.y[1]) == 9);
        }
        CHECK(first_of(&b, &b.y[1]) == 17);
        if (devices[d] == &gate.table) CHECK_MSG(gate.flushed == 8, "%u runs were sent off", gate.flushed);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

TEST(submit_several_in_flight) {
    bench b;
    seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t numbers[3];
    const float two[VALUES] = { 2 };
    if (!open_bench(&b, &gate.table)) return;
    let_finish(0);
    for (int i = 0; i < 3; i++) SUBMIT(&b, "in flight", &b.x[i].t, &b.x[3].t, &b.y[i].t, &s, &numbers[i]);
    CHECK(gate.given == 3 && gate.finished == 0 && count_of(&s) == 0);
    CHECK_STR(gate.labels[2], "in flight");
    let_finish(1);
    CHECK_OK(fnd_wait_for(b.f, numbers[0], &b.err), &b.err);
    CHECK(count_of(&s) == 1 && gate.finished == 1);
    /* The first's tensors are the host's again while the others are in flight. */
    CHECK(first_of(&b, &b.y[0]) == 2);
    CHECK_OK(fnd_tensor_write(b.f, &b.x[0].t, 0, two, sizeof two, &b.err), &b.err);
    CHECK(count_of(&s) == 1 && gate.finished == 1);
    SUBMIT(&b, "again", &b.x[0].t, &b.y[0].t, &b.y[3].t, &s, NULL);
    let_finish(4);
    CHECK(first_of(&b, &b.y[3]) == 4);
    CHECK_OK(fnd_wait(b.f, &b.err), &b.err);
    CHECK(count_of(&s) == 4 && gate.most == 3);
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
}

static void check_failed(bench *b, seen *s, fnd_status status, const char *text) {
    uint64_t last;
    FAILS(fnd_wait_for(b->f, 3, &why), status, text);
    CHECK(s->count == 3);
    CHECK(s->at[0].status == FND_OK && s->at[1].status == status && s->at[2].status == FND_ERR_CANCELLED);
    CHECK_HAS(s->at[1].text, text);
    CHECK_STR(s->at[2].text, "third was cancelled, because second failed before it");
    /* It is told; work goes on. */
    CHECK_OK(fnd_wait(b->f, &b->err), &b->err);
    SUBMIT(b, "fourth", &b->x[0].t, &b->x[1].t, &b->y[0].t, s, &last);
    CHECK_OK(fnd_wait_for(b->f, last, &b->err), &b->err);
    CHECK(last == 4 && s->at[3].status == FND_OK && first_of(b, &b->y[0]) == 2);
}

TEST(submit_tells_failures) {
    bench b;
    seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
    if (!open_bench(&b, &gate.table)) return;
    let_finish(0);
    gate.fail_ticket = 2;
    SUBMIT(&b, "first", &b.x[0].t, &b.x[1].t, &b.y[0].t, &s, NULL);
    SUBMIT(&b, "second", &b.x[0].t, &b.x[1].t, &b.y[1].t, &s, NULL);
    SUBMIT(&b, "third", &b.x[0].t, &b.x[1].t, &b.y[2].t, &s, NULL);
    let_finish(3);
    CHECK_OK(fnd_wait_for(b.f, 1, &b.err), &b.err);
    while (count_of(&s) < 3) usleep(100);
    /* Until somebody is told, nothing is taken. */
    const fnd_binding list[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[3].t) };
    const fnd_work work = fnd_work_kernel(b.add, list, 3);
    FAILS(fnd_run(b.f, b.add, list, 3, &why), FND_ERR_DEVICE, "ticket 2 failed");
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = &work, .count = 1, .done = told, .ctx = &s }, NULL, &why), FND_ERR_DEVICE, "ticket 2 failed");
    let_finish(UINT64_MAX);
    check_failed(&b, &s, FND_ERR_DEVICE, "ticket 2 failed");
    /* What cannot be launched has a callback like what fails later. */
    gate.fail_launch = true;
    SUBMIT(&b, "fifth", &b.x[0].t, &b.x[1].t, &b.y[1].t, &s, NULL);
    FAILS(fnd_tensor_read(b.f, &b.y[1].t, 0, &(float){ 0 }, 4, &why), FND_ERR_MEMORY, "no room to launch");
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    CHECK(s.count == 5 && s.at[4].status == FND_ERR_MEMORY);
}

/* On sim a missing barrier is a failure of the launch. */
TEST(submit_tells_failures_of_sim) {
    bench b;
    seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
    fnd_program *p = NULL;
    fnd_kernel *softmax;
    if (!open_bench(&b, &fnd_backend_sim)) return;
    const fnd_binding one[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[1].t) };
    const fnd_binding two[] = { fnd_bind_in("x", &b.y[1].t), fnd_bind_out("y", &b.y[2].t) };
    CHECK_OK(fnd_kernel_get(b.f, "softmax", &softmax, &b.err), &b.err);
    fnd_status status = fnd_program_begin(b.f, &(fnd_program_desc){ .name = "racing", .drop_barrier = 1 }, &p, &b.err);
    if (status == FND_OK) status = fnd_program_call(p, b.add, one, 3, &b.err);
    if (status == FND_OK) status = fnd_program_call(p, softmax, two, 2, &b.err);
    if (status == FND_OK) status = fnd_program_finish(p, &b.err);
    CHECK_MSG(status == FND_OK, "%s", b.err.text);
    if (status == FND_OK) {
        const fnd_work work = fnd_work_program(p);
        SUBMIT(&b, "first", &b.x[0].t, &b.x[1].t, &b.y[0].t, &s, NULL);
        CHECK_OK(fnd_submit(b.f, &(fnd_submission){ .label = "second", .work = &work, .count = 1, .done = told, .ctx = &s }, NULL, &b.err), &b.err);
        status = submit_add(&b, "third", &b.x[0].t, &b.x[1].t, &b.y[3].t, &s, NULL); /* unless the failure is known already */
        if (status == FND_OK)
            check_failed(&b, &s, FND_ERR_DEVICE, "race on");
        else
            FAILS(fnd_wait(b.f, &why), FND_ERR_DEVICE, "race on");
        b.err = (fnd_error){ 0 };
    }
    fnd_program_free(p);
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
}

TEST(submit_refuses_misuse) {
    bench b, other;
    fnd_program *p = NULL;
    if (!open_bench(&b, &fnd_backend_cpu) || !open_bench(&other, &fnd_backend_cpu)) return;
    const fnd_binding list[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[1].t) };
    CHECK_OK(fnd_program_begin(other.f, &(fnd_program_desc){ .name = "elsewhere" }, &p, &b.err), &b.err);
    const fnd_work none = { .program = NULL }, both = { .program = p, .kernel = b.add }, foreign = fnd_work_program(p), few = fnd_work_kernel(b.add, list, 2);
    const fnd_work second_is_wrong[] = { fnd_work_kernel(b.add, list, 3), few };
    uint64_t number = 7;
    FAILS(fnd_submit(b.f, NULL, &number, &why), FND_ERR_USAGE, "without work");
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = &none, .count = 1 }, &number, &why), FND_ERR_USAGE, "this is neither");
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = &both, .count = 1 }, &number, &why), FND_ERR_USAGE, "this is both");
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = &foreign, .count = 1 }, &number, &why), FND_ERR_USAGE, "another context");
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = second_is_wrong, .count = 2 }, &number, &why), FND_ERR_USAGE, "y");
    CHECK(number == 0);
    CHECK(first_of(&b, &b.y[1]) == 0); /* nothing of it was done */
    FAILS(fnd_wait_for(b.f, 1, &why), FND_ERR_USAGE, "there is no submission 1: 0 were made");
    SUBMIT(&b, NULL, &b.x[0].t, &b.x[1].t, &b.y[1].t, NULL, &number);
    CHECK(number == 1);
    FAILS(fnd_wait_for(b.f, 0, &why), FND_ERR_USAGE, "there is no submission 0");
    FAILS(fnd_wait_for(b.f, 2, &why), FND_ERR_USAGE, "there is no submission 2: 1 were made");
    fnd_program_free(p);
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    FAILS(fnd_submit(b.f, &(fnd_submission){ .work = &few, .count = 1 }, NULL, &why), FND_ERR_USAGE, "closed");
    CHECK_OK(fnd_close(other.f, &b.err), &b.err);
}

static void call_foundry(void *ctx, const fnd_completion *c) {
    bench *b = ctx;
    (void)c;
    const fnd_binding list[] = { fnd_bind_in("x", &b->x[0].t), fnd_bind_in("residual", &b->x[1].t), fnd_bind_out("y", &b->y[3].t) };
    const fnd_work work = fnd_work_kernel(b->add, list, 3);
    FAILS(fnd_submit(b->f, &(fnd_submission){ .work = &work, .count = 1 }, NULL, &why), FND_ERR_USAGE, "submitting from the callback");
    FAILS(fnd_run(b->f, b->add, list, 3, &why), FND_ERR_USAGE, "running a kernel from the callback");
    FAILS(fnd_wait(b->f, &why), FND_ERR_USAGE, "waiting from the callback");
    FAILS(fnd_wait_for(b->f, 1, &why), FND_ERR_USAGE, "waiting from the callback");
    FAILS(fnd_close(b->f, &why), FND_ERR_USAGE, "closing from the callback");
    FAILS(fnd_tensor_read(b->f, &b->y[0].t, 0, &(float){ 0 }, 4, &why), FND_ERR_USAGE, "waiting from the callback");
}

TEST(submit_callbacks_may_not_call_back) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        uint64_t number;
        if (!open_bench(&b, devices[d])) return;
        const fnd_binding list[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[0].t) };
        const fnd_work work = fnd_work_kernel(b.add, list, 3);
        CHECK_OK(fnd_submit(b.f, &(fnd_submission){ .work = &work, .count = 1, .done = call_foundry, .ctx = &b }, &number, &b.err), &b.err);
        CHECK_OK(fnd_wait_for(b.f, number, &b.err), &b.err);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

static void *let_finish_soon(void *unused) {
    (void)unused;
    usleep(20000);
    let_finish(UINT64_MAX);
    return NULL;
}

TEST(submit_close_while_in_flight) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
        pthread_t thread;
        if (!open_bench(&b, devices[d])) return;
        let_finish(0);
        for (int i = 0; i < 5; i++) SUBMIT(&b, "last", &b.x[0].t, &b.x[1].t, &b.y[i % 4].t, &s, NULL);
        REQUIRE(pthread_create(&thread, NULL, let_finish_soon, NULL) == 0);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
        CHECK(s.count == 5 && s.at[4].status == FND_OK);
        pthread_join(thread, NULL);
    }
}

/* A tensor may go while it is in flight: its memory stays until then. */
TEST(submit_tensors_may_go) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        if (!open_bench(&b, devices[d])) return;
        for (int i = 0; i < 4; i++) SUBMIT(&b, "going", &b.x[i].t, &b.x[i].t, &b.y[i].t, NULL, NULL);
        for (int i = 0; i < 4; i++) {
            CHECK_OK(fnd_tensor_free(b.f, &b.x[i], &b.err), &b.err);
            CHECK(first_of(&b, &b.y[i]) == 2);
            CHECK_OK(fnd_tensor_free(b.f, &b.y[i], &b.err), &b.err);
        }
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

TEST(submit_allocates_nothing) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        fnd_program *p = NULL;
        if (!open_bench(&b, devices[d])) return;
        const fnd_binding list[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[0].t) };
        fnd_status status = fnd_program_begin(b.f, &(fnd_program_desc){ .name = "token", .variables = { "tokens" } }, &p, &b.err);
        if (status == FND_OK) status = fnd_program_call(p, b.add, list, 3, &b.err);
        if (status == FND_OK) status = fnd_program_finish(p, &b.err);
        const fnd_work work[] = { fnd_work_program(p), fnd_work_program(p) };
        uint64_t before = 0;
        for (uint32_t i = 0; i < 4 * FND_MAX_IN_FLIGHT && status == FND_OK; i++) {
            if (i == 2 * FND_MAX_IN_FLIGHT) before = fnd_memory_allocations();
            status = fnd_program_set(p, "tokens", 1 + i % ROWS, &b.err);
            if (status == FND_OK) status = fnd_submit(b.f, &(fnd_submission){ .label = "token", .work = work, .count = 2 }, NULL, &b.err);
        }
        if (status == FND_OK) status = fnd_wait(b.f, &b.err);
        CHECK_MSG(status == FND_OK, "%s", b.err.text);
        CHECK_MSG(fnd_memory_allocations() == before, "%llu allocations", (unsigned long long)(fnd_memory_allocations() - before));
        fnd_program_free(p);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

/* Without memory for its copies nothing was submitted, and no callback comes; the next one goes well. */
TEST(submit_survives_no_memory) {
    bench b;
    seen s = { .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t number = 0, refused = 0;
    if (!open_bench(&b, &fnd_backend_cpu)) return;
    SUBMIT(&b, "first", &b.x[0].t, &b.x[1].t, &b.y[0].t, &s, &number);
    for (uint64_t n = 1; n < 20 && number < 2; n++) {
        fnd_error err = { 0 };
        const fnd_binding list[] = { fnd_bind_in("x", &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[0].t) };
        const fnd_work work = fnd_work_kernel(b.add, list, 3);
        fnd_memory_fail_after(n);
        fnd_status status = fnd_submit(b.f, &(fnd_submission){ .work = &work, .count = 1, .done = told, .ctx = &s }, &number, &err);
        fnd_memory_fail_after(0);
        CHECK_MSG(status == FND_OK || (status == FND_ERR_MEMORY && number == 0), "allocation %d: %s", (int)n, err.text);
        refused += status != FND_OK;
    }
    CHECK_MSG(refused >= 1 && number == 2, "%d refused, number %d", (int)refused, (int)number); /* how many allocations there are depends on where the kernel comes from */
    CHECK_OK(fnd_wait(b.f, &b.err), &b.err);
    CHECK(s.count == 2 && first_of(&b, &b.y[0]) == 2);
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
}

/* Records come with completion, under the path that the work was submitted with, and nothing waits for them. */
TEST(submit_is_profiled_at_completion) {
    for (size_t d = 0; d < FND_COUNT(devices); d++) {
        bench b;
        fnd_profile_row rows[8];
        bool gated = devices[d] == &gate.table;
        if (!open_bench(&b, devices[d])) return;
        CHECK_OK(fnd_profile_start(b.f, NULL, &b.err), &b.err);
        let_finish(0);
        FND_SCOPE(b.f, "chat") {
            for (int i = 0; i < 3; i++) SUBMIT(&b, "token", &b.x[i].t, &b.x[3].t, &b.y[i].t, NULL, NULL);
        }
        if (gated) CHECK(gate.given == 3 && gate.finished == 0 && fnd_profile_rows(b.f, NULL, 0) == 1); /* the scope alone */
        let_finish(UINT64_MAX);
        CHECK_OK(fnd_wait(b.f, &b.err), &b.err);
        size_t count = fnd_profile_rows(b.f, rows, 8);
        bool kernel = false, submission = false;
        for (size_t i = 0; i < count && i < 8; i++) {
            if (strcmp(rows[i].path, "chat/token") != 0 || rows[i].calls != 3) continue;
            kernel |= strcmp(rows[i].kernel, "add") == 0 && rows[i].bytes_read == 3 * 2 * 4 * VALUES && (!gated || rows[i].total_ns == 1500);
            submission |= !rows[i].kernel[0];
        }
        CHECK_MSG(count == 3 && kernel && submission, "%s: %zu rows", devices[d]->name, count);
        CHECK_OK(fnd_close(b.f, &b.err), &b.err);
    }
}

/* A kernel that is run while the profiler is on is timed by the device, too, with no wait for each; more
 * launches in one submission than there are tickets wait for the first of them. */
TEST(submit_times_every_launch) {
    bench b;
    fnd_program *p = NULL;
    fnd_profile_row rows[4];
    enum { CALLS = 100 };
    if (!open_bench(&b, &gate.table)) return;
    fnd_status status = fnd_program_begin(b.f, &(fnd_program_desc){ .name = "many", .form = FND_PROGRAM_LAUNCH }, &p, &b.err);
    for (int i = 0; i < CALLS && status == FND_OK; i++) {
        const fnd_binding list[] = { fnd_bind_in("x", i ? &b.y[i % 2].t : &b.x[0].t), fnd_bind_in("residual", &b.x[1].t), fnd_bind_out("y", &b.y[(i + 1) % 2].t) };
        status = fnd_program_call(p, b.add, list, 3, &b.err);
    }
    if (status == FND_OK) status = fnd_program_finish(p, &b.err);
    CHECK_MSG(status == FND_OK, "%s", b.err.text);
    const fnd_work work = fnd_work_program(p);
    CHECK_OK(fnd_profile_start(b.f, NULL, &b.err), &b.err);
    uint64_t waits = fnd_counter_get(b.f, FND_COUNTER_WAITS);
    if (status == FND_OK) {
        CHECK_OK(fnd_submit(b.f, &(fnd_submission){ .label = "all", .work = &work, .count = 1 }, NULL, &b.err), &b.err);
        CHECK(gate.most <= FND_MAX_TICKETS && gate.given == CALLS);
        CHECK_OK(fnd_program_run(p, &b.err), &b.err);
        CHECK(fnd_counter_get(b.f, FND_COUNTER_WAITS) == waits && gate.given == 2 * CALLS);
        CHECK(first_of(&b, &b.y[CALLS % 2]) == 1 + CALLS);
        size_t count = fnd_profile_rows(b.f, rows, 4);
        CHECK(count == 3);
        for (size_t i = 0; i < count && i < 4; i++) CHECK(!rows[i].kernel[0] || (rows[i].calls == CALLS && rows[i].total_ns == 500 * CALLS));
    }
    fnd_program_free(p);
    CHECK_OK(fnd_close(b.f, &b.err), &b.err);
}
