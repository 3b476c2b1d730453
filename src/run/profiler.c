/* profiler.c - switching, recording and draining. */
#include "run/profiler.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/system.h"
#include "run/context.h"
#include "run/profiler_files.h"
#include "run/profiler_table.h"

#include <errno.h>

enum { DEFAULT_RING_RECORDS = 16384,
       DRAIN_INTERVAL_NS = 5000000 };

/* The labels of this thread's open scopes. One path a thread, whatever contexts it uses. */
static _Thread_local char thread_path[FND_PROFILE_PATH_BYTES];
static _Thread_local uint32_t thread_path_bytes;
static _Thread_local uint32_t thread_number; /* 0: none yet */
static _Atomic uint32_t thread_numbers;

/* ---- recording ------------------------------------------------------------------------------------ */

static void copy_text(char *to, size_t capacity, const char *from) {
    size_t bytes = from ? strnlen(from, capacity - 1) : 0;
    if (bytes) memcpy(to, from, bytes);
    memset(to + bytes, 0, capacity - bytes);
}

void fnd_profile_record(fnd_profiler *p, const fnd_profile_event *event) {
    fnd_ring *ring = atomic_load_explicit(&p->ring, memory_order_acquire);
    if (!ring || !fnd_profile_on(p)) return;
    if (!thread_number) thread_number = atomic_fetch_add(&thread_numbers, 1) + 1;
    fnd_profile_entry e = {
        .start_ns = event->start_ns,
        .duration_ns = event->duration_ns,
        .bytes_read = event->bytes_read,
        .bytes_written = event->bytes_written,
        .ops = event->ops,
        .thread = thread_number,
        .session = atomic_load_explicit(&p->session, memory_order_relaxed),
    };
    if (event->unit_ops) memcpy(e.unit_ops, event->unit_ops, sizeof e.unit_ops);
    copy_text(e.kernel, sizeof e.kernel, event->kernel);
    copy_text(e.path, sizeof e.path, event->path ? event->path : thread_path);
    if (!fnd_ring_push(ring, &e)) atomic_fetch_add_explicit(&p->lost, 1, memory_order_relaxed);
}

const char *fnd_profile_path(void) { return thread_path; }

fnd_scope fnd_scope_begin(foundry *f, const char *name) {
    fnd_scope scope = { .f = f };
    if (!fnd_profile_on(&f->profiler)) return scope;
    scope.open = true;
    scope.before_bytes = thread_path_bytes;
    size_t room = sizeof thread_path - 1 - thread_path_bytes, bytes = strnlen(name, room);
    if (thread_path_bytes && room) {
        thread_path[thread_path_bytes++] = '/';
        bytes = strnlen(name, room - 1);
    }
    memcpy(thread_path + thread_path_bytes, name, bytes);
    thread_path_bytes += (uint32_t)bytes;
    thread_path[thread_path_bytes] = '\0';
    scope.start_ns = fnd_now_ns();
    return scope;
}

void fnd_scope_end(fnd_scope *scope) {
    if (!scope->open) return;
    scope->open = false;
    if (fnd_context_check(scope->f, NULL) == FND_OK) { /* it may have been closed within the scope */
        fnd_profiler *p = &scope->f->profiler;
        bool of_this_session = scope->start_ns >= atomic_load_explicit(&p->started_ns, memory_order_relaxed);
        if (fnd_profile_on(p) && of_this_session) {
            fnd_profile_record(p, &(fnd_profile_event){ .start_ns = scope->start_ns, .duration_ns = fnd_now_ns() - scope->start_ns });
        }
    }
    thread_path_bytes = scope->before_bytes;
    thread_path[thread_path_bytes] = '\0';
}

/* ---- draining; all need the drain lock ------------------------------------------------------------- */

static void drain(fnd_profiler *p) {
    fnd_ring *ring = atomic_load_explicit(&p->ring, memory_order_acquire);
    fnd_profile_entry e;
    uint32_t session = atomic_load_explicit(&p->session, memory_order_relaxed);
    for (uint32_t left = ring ? fnd_ring_capacity(ring) : 0; left && fnd_ring_pop(ring, &e); left--) {
        if (e.session != session) continue; /* recorded while an earlier session stopped */
        p->records++;
        if (!fnd_profile_table_add(p->table, &e)) p->untold++;
        if (p->files) fnd_profile_files_add(p->files, &e);
    }
}

static void totals_of(const fnd_profiler *p, fnd_profile_totals *out) {
    *out = (fnd_profile_totals){ .records = p->records, .lost = atomic_load(&p->lost) + p->untold, .bandwidth = p->bandwidth };
    memcpy(out->ops_rates, p->ops_rates, sizeof out->ops_rates);
    if (p->table) fnd_profile_table_totals(p->table, out);
}

static void *drain_thread(void *argument) {
    fnd_profiler *p = argument;
    pthread_mutex_lock(&p->drain);
    while (!p->stopping) {
        fnd_system_condition_wait(&p->wake, &p->drain, DRAIN_INTERVAL_NS);
        drain(p);
    }
    pthread_mutex_unlock(&p->drain);
    return NULL;
}

/* ---- switching -------------------------------------------------------------------------------------- */

void fnd_profiler_init(fnd_profiler *p, foundry *f) {
    p->f = f;
    pthread_mutex_init(&p->control, NULL);
    pthread_mutex_init(&p->drain, NULL);
    fnd_system_condition_init(&p->wake);
}

void fnd_profiler_free(fnd_profiler *p) {
    fnd_ring_destroy(atomic_load(&p->ring));
    fnd_profile_table_destroy(p->table);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->drain);
    pthread_mutex_destroy(&p->control);
}

/* Empty tables, then files and the thread, then on. Needs the control lock. */
static fnd_status start(fnd_profiler *p, const fnd_profile_desc *desc, fnd_error *err) {
    if (!atomic_load(&p->ring)) {
        atomic_store_explicit(&p->ring, fnd_ring_create(desc->ring_records ? desc->ring_records : DEFAULT_RING_RECORDS), memory_order_release);
    }
    if (!p->table) p->table = fnd_profile_table_create();
    if (!p->table || !atomic_load(&p->ring)) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the profiler");
    fnd_profile_files *files;
    FND_TRY(fnd_profile_files_open(desc, &files, err));
    pthread_mutex_lock(&p->drain);
    atomic_fetch_add(&p->session, 1);
    drain(p);
    fnd_profile_table_clear(p->table);
    p->records = p->untold = 0;
    atomic_store(&p->lost, 0);
    p->bandwidth = desc->bandwidth;
    memcpy(p->ops_rates, desc->ops_rates, sizeof p->ops_rates);
    p->files = files;
    p->stopping = false;
    atomic_store(&p->started_ns, fnd_now_ns());
    p->thread_runs = pthread_create(&p->thread, NULL, drain_thread, p) == 0;
    if (!p->thread_runs) p->files = NULL;
    pthread_mutex_unlock(&p->drain);
    if (!p->thread_runs) {
        if (files) fnd_profile_files_close(files, &(fnd_profile_totals){ 0 }, p->f, NULL);
        return fnd_fail(err, FND_ERR_MEMORY, "the profiler's thread could not be started");
    }
    atomic_store(&p->on, true);
    return FND_OK;
}

fnd_status fnd_profile_start(foundry *f, const fnd_profile_desc *desc, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    fnd_profiler *p = &f->profiler;
    const fnd_profile_desc defaults = { 0 };
    pthread_mutex_lock(&p->control);
    fnd_status status = p->thread_runs ? fnd_fail(err, FND_ERR_USAGE, "the profiler runs already; stop it first")
                                       : start(p, desc ? desc : &defaults, err);
    pthread_mutex_unlock(&p->control);
    return status;
}

fnd_status fnd_profile_stop(foundry *f, fnd_error *err) {
    FND_TRY(fnd_context_check(f, err));
    fnd_profiler *p = &f->profiler;
    fnd_status status = FND_OK;
    fnd_flight_drain(f); /* what is in flight is recorded when it is done */
    pthread_mutex_lock(&p->control);
    if (p->thread_runs) {
        atomic_store(&p->on, false);
        pthread_mutex_lock(&p->drain);
        p->stopping = true;
        pthread_cond_signal(&p->wake);
        pthread_mutex_unlock(&p->drain);
        pthread_join(p->thread, NULL);
        p->thread_runs = false;
        pthread_mutex_lock(&p->drain);
        drain(p);
        if (p->files) {
            fnd_profile_totals totals;
            totals_of(p, &totals);
            status = fnd_profile_files_close(p->files, &totals, f, err);
            p->files = NULL;
        }
        pthread_mutex_unlock(&p->drain);
    }
    pthread_mutex_unlock(&p->control);
    return status;
}

bool fnd_profile_running(const foundry *f) { return fnd_context_check(f, NULL) == FND_OK && fnd_profile_on(&f->profiler); }

/* ---- reading ---------------------------------------------------------------------------------------- */

size_t fnd_profile_rows(foundry *f, fnd_profile_row *rows, size_t capacity) {
    if (fnd_context_check(f, NULL) != FND_OK) return 0;
    fnd_profiler *p = &f->profiler;
    pthread_mutex_lock(&p->drain);
    size_t count = 0;
    if (p->table) {
        if (!p->stopping) drain(p);
        count = fnd_profile_table_rows(p->table, rows, capacity);
    }
    pthread_mutex_unlock(&p->drain);
    return count;
}

void fnd_profile_get_totals(foundry *f, fnd_profile_totals *out) {
    *out = (fnd_profile_totals){ 0 };
    if (fnd_context_check(f, NULL) != FND_OK) return;
    fnd_profiler *p = &f->profiler;
    pthread_mutex_lock(&p->drain);
    if (p->table && !p->stopping) drain(p);
    totals_of(p, out);
    pthread_mutex_unlock(&p->drain);
}
