/* submit.c - from the caller's work to a filled slot. */
#include "foundry/submit.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/program.h"

#include <stdio.h>

/* Room for `more` behind `count` things, kept for the next submission. */
static fnd_status make_room(void **room, size_t *capacity, size_t count, size_t more, size_t bytes_each, fnd_error *err) {
    size_t wanted;
    bool fits = fnd_add_size(count, more, &wanted);
    if (fits && wanted <= *capacity) return FND_OK;
    void *larger = fits && wanted <= SIZE_MAX / 2 ? fnd_alloc_resized(*room, 2 * wanted, bytes_each) : NULL;
    if (!larger) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a submission");
    *room = larger;
    *capacity = 2 * wanted;
    return FND_OK;
}

fnd_status fnd_slot_take(foundry *f, void *to, const fnd_dispatch *d, fnd_error *err) {
    fnd_slot *s = to;
    size_t args_bytes = fnd_round_up(d->args_bytes, 64); /* tables hold 64-bit addresses */
    FND_TRY(make_room((void **)&s->launches, &s->capacity, s->count, 1, sizeof *s->launches, err));
    FND_TRY(make_room((void **)&s->args, &s->args_capacity, s->args_bytes, args_bytes, 1, err));
    FND_TRY(make_room((void **)&s->buffers, &s->buffer_capacity, s->buffer_count, d->buffer_count, sizeof *s->buffers, err));
    fnd_planned *p = &s->launches[s->count++];
    *p = (fnd_planned){
        .launch = fnd_dispatch_launch(f, d),
        .args_at = s->args_bytes,
        .buffers_at = s->buffer_count,
        .traffic = d->traffic,
    };
    snprintf(p->label, sizeof p->label, "%s", d->label);
    if (d->args_bytes) memcpy(s->args + s->args_bytes, d->args, d->args_bytes);
    if (d->buffer_count) memcpy(s->buffers + s->buffer_count, d->buffers, d->buffer_count * sizeof *d->buffers);
    s->args_bytes += args_bytes;
    s->buffer_count += d->buffer_count;
    fnd_count(f, FND_COUNTER_DISPATCHES, 1);
    return FND_OK;
}

void fnd_slot_set_label(fnd_slot *slot, const char *name) {
    const char *path = fnd_profile_path();
    snprintf(slot->label, sizeof slot->label, "%s%s%s", path, path[0] && name ? "/" : "", name ? name : "");
}

static fnd_status add_work(foundry *f, const fnd_work *work, const fnd_sink *sink, fnd_error *err) {
    if (!work->program == !work->kernel) return fnd_fail(err, FND_ERR_USAGE, "work to submit is a program or a kernel; this is %s", work->program ? "both" : "neither");
    if (work->kernel) return fnd_run_into(f, work->kernel, work->bindings, work->count, sink, err);
    if (work->program->f != f) return fnd_fail(err, FND_ERR_USAGE, "program %s belongs to another context", work->program->name);
    return fnd_program_run_into(work->program, sink, err);
}

static fnd_status fill(foundry *f, fnd_slot *slot, const fnd_submission *s, uint64_t number, fnd_error *err) {
    const fnd_sink sink = { .submission = number, .to = slot, .take = fnd_slot_take };
    slot->number = number;
    slot->done = s->done;
    slot->ctx = s->ctx;
    slot->timed = fnd_profile_on(&f->profiler);
    fnd_slot_set_label(slot, s->label ? s->label : "submission");
    for (size_t i = 0; i < s->count; i++) FND_TRY(add_work(f, &s->work[i], &sink, err));
    return FND_OK;
}

/* Needs flight.order. */
static fnd_status submit(foundry *f, const fnd_submission *s, uint64_t *number, fnd_error *err) {
    fnd_slot *slot;
    FND_TRY(fnd_flight_check(f, err));
    FND_TRY(fnd_flight_slot(f, &slot, err));
    uint64_t next = f->flight.submitted + 1; /* written with this lock held only */
    FND_TRY(fill(f, slot, s, next, err));
    if (number) *number = next;
    fnd_flight_hand_over(f, slot);
    fnd_count(f, FND_COUNTER_SUBMISSIONS, 1);
    return FND_OK;
}

fnd_status fnd_submit(foundry *f, const fnd_submission *s, uint64_t *number, fnd_error *err) {
    if (number) *number = 0;
    FND_TRY(fnd_context_check(f, err));
    FND_TRY(fnd_flight_check_thread(f, "submitting", err));
    if (!s || !s->count || !s->work) return fnd_fail(err, FND_ERR_USAGE, "a submission without work");
    pthread_mutex_lock(&f->flight.order);
    fnd_status status = submit(f, s, number, err);
    pthread_mutex_unlock(&f->flight.order);
    return status;
}

fnd_status fnd_wait_for(foundry *f, uint64_t number, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    FND_TRY(fnd_flight_check_thread(f, "waiting", err));
    pthread_mutex_lock(&f->flight.lock);
    uint64_t submitted = f->flight.submitted;
    pthread_mutex_unlock(&f->flight.lock);
    if (number < 1 || number > submitted) return fnd_fail(err, FND_ERR_USAGE, "there is no submission %llu: %llu were made", (unsigned long long)number, (unsigned long long)submitted);
    fnd_flight_wait_callbacks(f, number);
    return fnd_flight_wait(f, number, err);
}
