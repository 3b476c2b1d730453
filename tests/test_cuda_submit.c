/* test_cuda_submit.c - what the cuda backend asks the driver for a submission, of a driver that writes it down: which
 * events it records in which order, that their places are used again, and the times that it makes of them. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "fake_backend.h"
#include "test.h"

static struct {
    char log[512];
    size_t events, destroyed;
    int fail_wait;
    fnd_cu_event waited_for;
    float before_ms, during_ms;
    fnd_cuda_submissions *of;
} driver;

static fnd_cu_event event_number(size_t i) { return (fnd_cu_event)(uintptr_t)(16 * i); }

static void note(const char *what, fnd_cu_event event) {
    const fnd_cuda_submissions *s = driver.of;
    char line[48] = "";
    if (event && event == s->base) snprintf(line, sizeof line, "%s base; ", what);
    for (int i = 0; i < FND_MAX_TICKETS; i++) {
        if (event && event == s->start[i]) snprintf(line, sizeof line, "%s start %d; ", what, i);
        if (event && event == s->end[i]) snprintf(line, sizeof line, "%s end %d; ", what, i);
    }
    if (!event) snprintf(line, sizeof line, "%s; ", what);
    if (strlen(driver.log) + strlen(line) < sizeof driver.log) strcat(driver.log, line);
}

static int context_set(fnd_cu_context context) {
    (void)context;
    return 0;
}
static int event_create(fnd_cu_event *event, unsigned flags) {
    CHECK(flags == 0); /* with times */
    *event = event_number(++driver.events);
    return 0;
}
static int event_destroy(fnd_cu_event event) {
    driver.destroyed += event != NULL;
    return 0;
}
static int event_record(fnd_cu_event event, fnd_cu_stream stream) {
    (void)stream;
    note("record", event);
    return 0;
}
static int event_wait(fnd_cu_event event) {
    note("wait", event);
    return driver.fail_wait;
}
static int event_elapsed(float *ms, fnd_cu_event start, fnd_cu_event end) {
    (void)end;
    *ms = start == driver.of->base ? driver.before_ms : driver.during_ms;
    return 0;
}
static int stream_wait(fnd_cu_stream stream) {
    (void)stream;
    note("wait", NULL);
    return 0;
}
static int error_name(int error, const char **name) {
    *name = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "?";
    return 0;
}

static const fnd_cuda_api calls = {
    .context_set = context_set,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
    .event_elapsed = event_elapsed,
    .stream_wait = stream_wait,
    .error_name = error_name,
    .error_text = error_name,
};

static uint64_t submit_one(fnd_cuda *c) {
    fnd_error err = { 0 };
    uint64_t ticket = 99;
    CHECK_OK(fnd_cuda_begin(c, "chat/token", &err), &err);
    CHECK_OK(fnd_cuda_submit(c, &ticket, &err), &err);
    return ticket;
}

TEST(cuda_submissions_lie_between_events) {
    fnd_cuda c = { .cu = &calls };
    fnd_times ran;
    fnd_error err = { 0 };
    memset(&driver, 0, sizeof driver);
    driver.of = &c.submissions;
    driver.before_ms = 0.25f;
    driver.during_ms = 2;
    CHECK_OK(fnd_cuda_submit(&c, NULL, &err), &err); /* launches are with the GPU already */
    FAILS(fnd_cuda_submit(&c, &(uint64_t){ 0 }, &why), FND_ERR_USAGE, "no submission");
    uint64_t before = fnd_now_ns();
    CHECK(submit_one(&c) == 0 && submit_one(&c) == 1);
    /* The clock is set while nothing is in flight. */
    CHECK_STR(driver.log, "wait; record base; record start 0; record end 0; record start 1; record end 1; ");
    driver.log[0] = '\0';
    CHECK_OK(fnd_cuda_finish(&c, 0, &ran, &err), &err);
    CHECK(ran.start_ns >= before + 250000 && ran.start_ns <= fnd_now_ns() + 250000 && ran.end_ns == ran.start_ns + 2000000);
    CHECK(submit_one(&c) == 2); /* one is in flight: the clock stays */
    CHECK_OK(fnd_cuda_finish(&c, 1, &ran, &err), &err);
    CHECK_OK(fnd_cuda_finish(&c, 2, &ran, &err), &err);
    CHECK_STR(driver.log, "wait end 0; record start 2; record end 2; wait end 1; wait end 2; ");
    /* Places come again, with the events that are there. */
    for (uint64_t i = 3; i < 3 * FND_MAX_TICKETS; i++) {
        CHECK(submit_one(&c) == i);
        CHECK_OK(fnd_cuda_finish(&c, i, &ran, &err), &err);
    }
    CHECK_MSG(driver.events == 1 + 2 * FND_MAX_TICKETS, "%zu events", driver.events);
    /* A kernel that failed is told by its ticket, and the next one is waited for all the same. */
    driver.fail_wait = 700;
    uint64_t ticket = submit_one(&c);
    FAILS(fnd_cuda_finish(&c, ticket, &ran, &why), FND_ERR_DEVICE, "CUDA_ERROR_ILLEGAL_ADDRESS");
    CHECK(ran.start_ns == 0 && ran.end_ns == 0);
    fnd_cuda_submissions_close(&c);
    CHECK(driver.destroyed == driver.events);
}
