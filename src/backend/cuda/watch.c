/* watch.c - waiting for the GPU, which may never end.
 *
 * A wait asks again and again: at first without a pause, so that a token's end is seen at once, later with pauses
 * that are short beside the time waited. While launches pass, the GPU gets on and a wait may take as long as it likes;
 * when none has for `seconds`, the GPU is lost. From then on every call of the backend says so, none waits, and nothing
 * that the GPU may still use is freed: it goes with the process. */
#include "backend/cuda/cuda.h"
#include "base/base.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#define GREEDY_NS        100000u   /* nobody else gets the processor */
#define AWAKE_NS         20000000u /* longer than a token takes */
#define LONGEST_PAUSE_NS 1000000u
enum { PAUSE_PART = 256 }; /* of the time waited */

/* ---- what was launched ---- */

static fnd_cuda_mark *mark(fnd_cuda_watch *w, uint64_t n) { return &w->marks[n % FND_CUDA_MARKS]; }

/* With the lock. True: there was one more. */
static bool pass(fnd_cuda *c) {
    fnd_cuda_watch *w = &c->watch;
    uint64_t before = w->passed;
    while (w->passed < w->begun && c->cu->event_query(mark(w, w->passed)->event) == 0) w->passed++;
    return w->passed > before;
}

/* The event behind a full mark, and the next mark. Without one the mark takes more launches. */
static void end_mark(fnd_cuda *c) {
    fnd_cuda_watch *w = &c->watch;
    fnd_cuda_mark *m = mark(w, w->begun);
    (void)pass(c);
    if (w->begun - w->passed + 1 >= FND_CUDA_MARKS) return;
    if (!m->event && c->cu->event_create(&m->event, FND_CU_EVENT_DISABLE_TIMING) != 0) m->event = NULL;
    if (!m->event || c->cu->event_record(m->event, c->stream) != 0) return;
    w->begun++;
    mark(w, w->begun)->launches = 0;
}

void fnd_cuda_watch_launched(fnd_cuda *c, const char *label) {
    fnd_cuda_watch *w = &c->watch;
    if (!w->seconds) return;
    pthread_mutex_lock(&w->lock);
    fnd_cuda_mark *m = mark(w, w->begun);
    if (!m->launches) snprintf(m->first, sizeof m->first, "%s", label);
    snprintf(m->last, sizeof m->last, "%s", label);
    if (++m->launches >= FND_CUDA_MARK_LAUNCHES) end_mark(c);
    pthread_mutex_unlock(&w->lock);
}

/* ---- lost ---- */

/* With the lock. */
static void name_launches(const fnd_cuda_watch *w, char *out, size_t bytes) {
    uint64_t launches = 0;
    const char *first = NULL, *last = NULL;
    for (uint64_t i = w->passed; i <= w->begun; i++) {
        const fnd_cuda_mark *m = &w->marks[i % FND_CUDA_MARKS];
        if (!m->launches) continue;
        if (!first) first = m->first;
        last = m->last;
        launches += m->launches;
    }
    if (!first)
        snprintf(out, bytes, "copying");
    else if (launches == 1)
        snprintf(out, bytes, "running %s", first);
    else
        snprintf(out, bytes, "somewhere in %llu launches, from %s to %s", (unsigned long long)launches, first, last);
}

static void lose(fnd_cuda *c) {
    fnd_cuda_watch *w = &c->watch;
    char where[192];
    pthread_mutex_lock(&w->lock);
    if (!atomic_load(&w->lost)) {
        name_launches(w, where, sizeof where);
        fnd_fail(&w->why, FND_ERR_DEVICE, "the GPU is lost: for %u seconds it got nowhere, %s; what it holds is lost too, so close this context and open another (a new process, if that fails); where work may take so long, set FOUNDRY_WATCHDOG_SECONDS higher (0: no limit)", w->seconds, where);
        atomic_store(&w->lost, true);
    }
    pthread_mutex_unlock(&w->lock);
}

fnd_status fnd_cuda_watch_check(fnd_cuda *c, fnd_error *err) {
    if (!atomic_load(&c->watch.lost)) return FND_OK;
    return fnd_fail(err, c->watch.why.status, "%s", c->watch.why.text); /* never changes once lost */
}

/* ---- waiting ---- */

static void pause_for(uint64_t waited_ns) {
    uint64_t ns = waited_ns / PAUSE_PART;
    struct timespec pause = { .tv_nsec = (long)(ns < LONGEST_PAUSE_NS ? ns : LONGEST_PAUSE_NS) };
    nanosleep(&pause, NULL);
}

static bool gets_on(fnd_cuda *c) {
    pthread_mutex_lock(&c->watch.lock);
    bool more = pass(c);
    pthread_mutex_unlock(&c->watch.lock);
    return more;
}

/* Nothing is left of what had been launched. */
void fnd_cuda_watch_passed(fnd_cuda *c) {
    fnd_cuda_watch *w = &c->watch;
    if (!w->seconds) return;
    pthread_mutex_lock(&w->lock);
    w->passed = w->begun;
    mark(w, w->begun)->launches = 0;
    pthread_mutex_unlock(&w->lock);
}

static int ask(const fnd_cuda *c, fnd_cu_event event) { return event ? c->cu->event_query(event) : c->cu->stream_query(c->stream); }

fnd_status fnd_cuda_await(fnd_cuda *c, fnd_cu_event event, const char *what, fnd_error *err) {
    fnd_cuda_watch *w = &c->watch;
    if (!w->seconds) return fnd_cuda_check(c->cu, event ? c->cu->event_wait(event) : c->cu->stream_wait(c->stream), what, err);
    const uint64_t start = fnd_now_ns(), limit = w->seconds * 1000000000ull;
    uint64_t got_on = start;
    int result;
    while ((result = ask(c, event)) == FND_CU_NOT_READY) {
        FND_TRY(fnd_cuda_watch_check(c, err));
        uint64_t now = fnd_now_ns(), waited = now - start;
        if (waited < GREEDY_NS) continue;
        if (waited < AWAKE_NS) {
            sched_yield();
            continue;
        }
        if (gets_on(c)) got_on = now;
        if (now - got_on > limit) lose(c);
        pause_for(waited);
    }
    if (result == 0 && !event) fnd_cuda_watch_passed(c);
    return fnd_cuda_check(c->cu, result, what, err);
}

void fnd_cuda_watch_close(fnd_cuda *c) {
    for (size_t i = 0; i < FND_CUDA_MARKS; i++) {
        if (c->watch.marks[i].event) c->cu->event_destroy(c->watch.marks[i].event);
    }
}
