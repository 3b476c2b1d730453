/* submit.c - submissions: an event before the first launch, one behind the last. */
#include "backend/cuda/cuda.h"
#include "base/base.h"

/* The two clocks meet whenever nothing is in flight: an event that is recorded then happens now. */
static fnd_status set_clock(fnd_cuda *c, fnd_error *err) {
    fnd_cuda_submissions *s = &c->submissions;
    if (atomic_load(&s->finished) != s->given) return FND_OK;
    if (!s->base) FND_TRY(fnd_cuda_check(c->cu, c->cu->event_create(&s->base, 0), "making an event", err));
    FND_TRY(fnd_cuda_await(c, NULL, "waiting for the GPU", err));
    s->base_ns = fnd_now_ns();
    return fnd_cuda_check(c->cu, c->cu->event_record(s->base, c->stream), "beginning a submission", err);
}

fnd_status fnd_cuda_begin(void *self, const char *label, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_cuda_submissions *s = &c->submissions;
    unsigned place = s->given % FND_MAX_TICKETS;
    (void)label; /* the driver has no use for it */
    FND_TRY(fnd_cuda_enter(c, err));
    if (!s->start[place]) FND_TRY(fnd_cuda_check(c->cu, c->cu->event_create(&s->start[place], 0), "making an event", err));
    if (!s->end[place]) FND_TRY(fnd_cuda_check(c->cu, c->cu->event_create(&s->end[place], 0), "making an event", err));
    FND_TRY(set_clock(c, err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->event_record(s->start[place], c->stream), "beginning a submission", err));
    s->open = true;
    return FND_OK;
}

/* Launches are with the GPU already. */
fnd_status fnd_cuda_submit(void *self, uint64_t *ticket, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_cuda_submissions *s = &c->submissions;
    if (!ticket) return FND_OK;
    if (!s->open) return fnd_fail(err, FND_ERR_USAGE, "there is no submission to end");
    s->open = false;
    FND_TRY(fnd_cuda_enter(c, err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->event_record(s->end[s->given % FND_MAX_TICKETS], c->stream), "ending a submission", err));
    *ticket = s->given++;
    return FND_OK;
}

fnd_status fnd_cuda_finish(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err) {
    fnd_cuda *c = self;
    fnd_cuda_submissions *s = &c->submissions;
    unsigned place = ticket % FND_MAX_TICKETS;
    float before = 0, during = 0;
    *ran = (fnd_times){ 0 };
    fnd_status status = fnd_cuda_enter(c, err);
    if (status == FND_OK) status = fnd_cuda_await(c, s->end[place], "waiting for the GPU", err);
    if (status == FND_OK && c->cu->event_elapsed(&before, s->base, s->start[place]) == 0 && c->cu->event_elapsed(&during, s->start[place], s->end[place]) == 0) {
        ran->start_ns = s->base_ns + (uint64_t)((double)before * 1e6);
        ran->end_ns = ran->start_ns + (uint64_t)((double)during * 1e6);
    }
    atomic_store(&s->finished, ticket + 1); /* from here on the clock may be set anew */
    return status;
}

void fnd_cuda_submissions_close(fnd_cuda *c) {
    fnd_cuda_submissions *s = &c->submissions;
    if (s->base) c->cu->event_destroy(s->base);
    for (size_t i = 0; i < FND_MAX_TICKETS; i++) {
        if (s->start[i]) c->cu->event_destroy(s->start[i]);
        if (s->end[i]) c->cu->event_destroy(s->end[i]);
    }
}
