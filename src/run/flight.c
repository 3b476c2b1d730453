/* flight.c - the thread that completes submissions, and waiting for it. */
#include "run/flight.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/context.h"

#include <signal.h>
#include <stdio.h>

void fnd_flight_init(fnd_flight *flight) {
    pthread_mutex_init(&flight->order, NULL);
    pthread_mutex_init(&flight->lock, NULL);
    pthread_cond_init(&flight->changed, NULL);
}

void fnd_flight_free(fnd_flight *flight) {
    for (size_t i = 0; i < FND_MAX_IN_FLIGHT; i++) {
        fnd_free_memory(flight->slots[i].launches);
        fnd_free_memory(flight->slots[i].args);
        fnd_free_memory(flight->slots[i].buffers);
    }
    pthread_cond_destroy(&flight->changed);
    pthread_mutex_destroy(&flight->lock);
    pthread_mutex_destroy(&flight->order);
}

static bool device_runs_on(const foundry *f) { return f->backend->submit != NULL; }

/* ---- failures; with the lock ------------------------------------------------------------------- */

static void note_failure(fnd_flight *flight, const fnd_slot *slot) {
    if (flight->failure.status != FND_OK || slot->failure.status == FND_OK) return;
    flight->failure = slot->failure;
    flight->failure_number = slot->number;
    snprintf(flight->failure_label, sizeof flight->failure_label, "%s", slot->label[0] ? slot->label : slot->launches[0].label);
    atomic_store(&flight->failed, true);
}

/* What follows a failure would read what that did not write. */
static void make_void(const fnd_flight *flight, fnd_slot *slot) {
    slot->void_ = flight->failure.status != FND_OK;
    if (slot->void_) fnd_fail(&slot->failure, FND_ERR_CANCELLED, "%s was cancelled, because %s failed before it", slot->label, flight->failure_label);
}

fnd_status fnd_flight_check(foundry *f, fnd_error *err) {
    fnd_flight *flight = &f->flight;
    if (!atomic_load_explicit(&flight->failed, memory_order_acquire)) return FND_OK;
    pthread_mutex_lock(&flight->lock);
    fnd_status status = flight->failure.status;
    if (status != FND_OK) fnd_fail(err, status, "%s", flight->failure.text);
    pthread_mutex_unlock(&flight->lock);
    return status;
}

/* ---- completing; the thread ---------------------------------------------------------------------- */

static void record(foundry *f, const fnd_slot *slot, const fnd_planned *p, fnd_times ran) {
    if (!slot->timed) return;
    fnd_profile_record(&f->profiler, &(fnd_profile_event){
                                         .path = slot->label,
                                         .kernel = p ? p->label : NULL,
                                         .start_ns = ran.start_ns,
                                         .duration_ns = ran.end_ns - ran.start_ns,
                                         .bytes_read = p ? p->traffic.bytes_read : 0,
                                         .bytes_written = p ? p->traffic.bytes_written : 0,
                                         .ops = p ? p->traffic.ops : 0,
                                         .unit_ops = p ? p->traffic.unit_ops : NULL,
                                     });
}

static void add_times(fnd_times *all, fnd_times one) {
    if (!all->start_ns) all->start_ns = one.start_ns;
    all->end_ns = one.end_ns;
}

/* The device is this thread's until the slot counts as done. */
static void launch_all(foundry *f, fnd_slot *slot) {
    for (size_t i = 0; i < slot->count && slot->failure.status == FND_OK; i++) {
        fnd_planned *p = &slot->launches[i];
        fnd_times ran = { .start_ns = fnd_now_ns() };
        (void)f->backend->launch(f->device, &p->launch, &slot->failure); /* the first failure stays */
        (void)f->backend->wait(f->device, &slot->failure);
        ran.end_ns = fnd_now_ns();
        add_times(&slot->ran, ran);
        if (slot->failure.status == FND_OK) record(f, slot, p, ran);
    }
}

/* Until ticket `i` of the slot is there. False: there will be none. */
static bool next_ticket(fnd_flight *flight, const fnd_slot *slot, uint32_t i) {
    pthread_mutex_lock(&flight->lock);
    while (slot->tickets <= i && !slot->handed_over) pthread_cond_wait(&flight->changed, &flight->lock);
    bool there = i < slot->tickets;
    pthread_mutex_unlock(&flight->lock);
    return there;
}

static void finish_all(foundry *f, fnd_slot *slot) {
    fnd_flight *flight = &f->flight;
    for (uint32_t i = 0; next_ticket(flight, slot, i); i++) {
        fnd_times ran;
        fnd_error failure = { 0 };
        fnd_status status = f->backend->finish(f->device, slot->timed ? slot->launches[i].ticket : slot->ticket, &ran, &failure);
        if (status == FND_OK) {
            add_times(&slot->ran, ran);
            record(f, slot, &slot->launches[i], ran);
        }
        pthread_mutex_lock(&flight->lock);
        if (status != FND_OK) fnd_fail(&slot->failure, status, "%s", failure.text);
        flight->tickets--;
        pthread_cond_broadcast(&flight->changed);
        pthread_mutex_unlock(&flight->lock);
    }
}

static void complete(foundry *f, fnd_slot *slot) {
    fnd_flight *flight = &f->flight;
    pthread_mutex_lock(&flight->lock);
    make_void(flight, slot);
    pthread_mutex_unlock(&flight->lock);
    if (device_runs_on(f))
        finish_all(f, slot);
    else if (!slot->void_)
        launch_all(f, slot);
    if (slot->number && slot->failure.status == FND_OK) record(f, slot, NULL, slot->ran);
}

static void call_back(const fnd_slot *slot) {
    if (!slot->done) return;
    slot->done(slot->ctx, &(fnd_completion){
                              .number = slot->number,
                              .label = slot->label,
                              .status = slot->failure.status,
                              .text = slot->failure.text,
                              .start_ns = slot->ran.start_ns,
                              .end_ns = slot->ran.end_ns,
                          });
}

static void *complete_in_order(void *ctx) {
    foundry *f = ctx;
    fnd_flight *flight = &f->flight;
    pthread_mutex_lock(&flight->lock);
    for (;;) {
        while (flight->told == flight->head && !flight->stopping) pthread_cond_wait(&flight->changed, &flight->lock);
        if (flight->told == flight->head) break;
        fnd_slot *slot = &flight->slots[flight->told % FND_MAX_IN_FLIGHT];
        pthread_mutex_unlock(&flight->lock);
        complete(f, slot);
        pthread_mutex_lock(&flight->lock);
        if (!slot->void_) note_failure(flight, slot);
        flight->done++;
        if (slot->number) flight->completed = slot->number;
        pthread_cond_broadcast(&flight->changed);
        pthread_mutex_unlock(&flight->lock);
        call_back(slot);
        pthread_mutex_lock(&flight->lock);
        flight->told++;
        if (slot->number) flight->called_back = slot->number;
        pthread_cond_broadcast(&flight->changed);
    }
    pthread_mutex_unlock(&flight->lock);
    return NULL;
}

/* ---- handing over --------------------------------------------------------------------------------- */

static fnd_status start_thread(foundry *f, fnd_error *err) {
    fnd_flight *flight = &f->flight;
    sigset_t all, old;
    if (atomic_load(&flight->started)) return FND_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the program's signals are for its own threads */
    int failure = pthread_create(&flight->thread, NULL, complete_in_order, f);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failure) return fnd_fail(err, FND_ERR_MEMORY, "the thread that completes submissions could not be started: %s", strerror(failure));
    atomic_store(&flight->started, true);
    return FND_OK;
}

fnd_status fnd_flight_slot(foundry *f, fnd_slot **out, fnd_error *err) {
    fnd_flight *flight = &f->flight;
    FND_TRY(start_thread(f, err));
    pthread_mutex_lock(&flight->lock);
    while (flight->head - flight->told == FND_MAX_IN_FLIGHT) pthread_cond_wait(&flight->changed, &flight->lock);
    fnd_slot *slot = &flight->slots[flight->head % FND_MAX_IN_FLIGHT];
    pthread_mutex_unlock(&flight->lock);
    slot->number = 0;
    slot->label[0] = '\0';
    slot->done = NULL;
    slot->timed = slot->void_ = slot->handed_over = false;
    slot->tickets = 0;
    slot->ran = (fnd_times){ 0 };
    slot->failure = (fnd_error){ 0 };
    slot->count = slot->args_bytes = slot->buffer_count = 0;
    *out = slot;
    return FND_OK;
}

/* Launches first .. end - 1 as one submission of the backend, with one ticket. */
/* With the device's lock. */
static fnd_status submit_range(foundry *f, fnd_slot *slot, size_t first, size_t end, uint64_t *ticket, fnd_error *err) {
    fnd_flight *flight = &f->flight;
    pthread_mutex_lock(&flight->lock);
    while (flight->tickets == FND_MAX_TICKETS) pthread_cond_wait(&flight->changed, &flight->lock);
    pthread_mutex_unlock(&flight->lock);
    fnd_status status = f->backend->begin(f->device, slot->label[0] ? slot->label : slot->launches[first].label, err);
    for (size_t i = first; i < end && status == FND_OK; i++) status = f->backend->launch(f->device, &slot->launches[i].launch, err);
    if (status == FND_OK) status = f->backend->submit(f->device, ticket, err);
    fnd_error ignored = { 0 };
    if (status != FND_OK) (void)f->backend->wait(f->device, &ignored); /* told by the slot */
    pthread_mutex_lock(&flight->lock);
    if (status == FND_OK) {
        flight->tickets++;
        slot->tickets++;
        pthread_cond_broadcast(&flight->changed);
    }
    pthread_mutex_unlock(&flight->lock);
    return status;
}

static void submit_all(foundry *f, fnd_slot *slot) {
    fnd_error failure = { 0 };
    if (!slot->timed) (void)submit_range(f, slot, 0, slot->count, &slot->ticket, &failure);
    for (size_t i = 0; slot->timed && i < slot->count && failure.status == FND_OK; i++) {
        (void)submit_range(f, slot, i, i + 1, &slot->launches[i].ticket, &failure);
    }
    pthread_mutex_lock(&f->flight.lock);
    if (failure.status != FND_OK) fnd_fail(&slot->failure, failure.status, "%s", failure.text);
    slot->handed_over = true;
    pthread_cond_broadcast(&f->flight.changed);
    pthread_mutex_unlock(&f->flight.lock);
}

void fnd_flight_hand_over(foundry *f, fnd_slot *slot) {
    fnd_flight *flight = &f->flight;
    for (size_t i = 0; i < slot->count; i++) {
        fnd_planned *p = &slot->launches[i];
        p->launch.label = p->label;
        p->launch.args = slot->args + p->args_at;
        p->launch.buffers = slot->buffers + p->buffers_at;
    }
    fnd_device_lock(f); /* those who hold it count on what is handed over */
    pthread_mutex_lock(&flight->lock);
    flight->head++;
    if (slot->number) flight->submitted = slot->number;
    slot->handed_over = !device_runs_on(f);
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    if (device_runs_on(f)) submit_all(f, slot);
    fnd_device_unlock(f);
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

fnd_status fnd_flight_check_thread(const foundry *f, const char *what, fnd_error *err) {
    const fnd_flight *flight = &f->flight;
    if (!atomic_load_explicit(&flight->started, memory_order_acquire) || !pthread_equal(flight->thread, pthread_self())) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s from the callback of a submission: it may not call its foundry; tell a thread of your own", what);
}

void fnd_flight_quiet(foundry *f) {
    if (!device_runs_on(f)) fnd_flight_drain(f);
}

void fnd_flight_drain(foundry *f) {
    fnd_flight *flight = &f->flight;
    fnd_error ignored = { 0 };
    if (!atomic_load_explicit(&flight->started, memory_order_acquire) || fnd_flight_check_thread(f, "", &ignored) != FND_OK) return;
    pthread_mutex_lock(&flight->lock);
    while (flight->done != flight->head) pthread_cond_wait(&flight->changed, &flight->lock);
    pthread_mutex_unlock(&flight->lock);
}

/* The failure leaves when all that it made void has ended. With the lock. */
static fnd_status tell(fnd_flight *flight, fnd_error *err) {
    while (flight->done != flight->head) pthread_cond_wait(&flight->changed, &flight->lock);
    fnd_status status = flight->failure.status;
    if (status != FND_OK) fnd_fail(err, status, "%s", flight->failure.text);
    flight->failure = (fnd_error){ 0 };
    atomic_store(&flight->failed, false);
    return status;
}

fnd_status fnd_flight_wait(foundry *f, uint64_t number, fnd_error *err) {
    fnd_flight *flight = &f->flight;
    fnd_status status = FND_OK;
    if (!atomic_load_explicit(&flight->started, memory_order_acquire)) return FND_OK;
    FND_TRY(fnd_flight_check_thread(f, "waiting", err));
    pthread_mutex_lock(&flight->lock);
    if (number == UINT64_MAX) {
        while (flight->done != flight->head) pthread_cond_wait(&flight->changed, &flight->lock);
    } else {
        uint64_t last = number < flight->submitted ? number : flight->submitted;
        while (flight->completed < last) pthread_cond_wait(&flight->changed, &flight->lock);
    }
    if (flight->failure.status != FND_OK && flight->failure_number <= number) status = tell(flight, err);
    pthread_mutex_unlock(&flight->lock);
    return status;
}

void fnd_flight_wait_callbacks(foundry *f, uint64_t number) {
    fnd_flight *flight = &f->flight;
    if (!atomic_load_explicit(&flight->started, memory_order_acquire)) return;
    pthread_mutex_lock(&flight->lock);
    uint64_t last = number < flight->submitted ? number : flight->submitted;
    while (flight->called_back < last) pthread_cond_wait(&flight->changed, &flight->lock);
    pthread_mutex_unlock(&flight->lock);
}

void fnd_flight_stop(foundry *f) {
    fnd_flight *flight = &f->flight;
    if (!atomic_load(&flight->started)) return;
    pthread_mutex_lock(&flight->lock);
    flight->stopping = true;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    pthread_join(flight->thread, NULL);
    atomic_store(&flight->started, false);
}
