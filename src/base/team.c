/* team.c - the one place that starts threads for kernels and binds them to processors.
 *
 * SAFETY: every word that two workers share is atomic. But for the count of a pair's meetings, which is added to,
 * such a word has one writer: a release store by it and an acquire load by those who wait make what was written before
 * visible. The job (fn, ctx) is
 * written only while no participant of the last run is left in it.
 *
 * A waiter that sleeps could miss the store it sleeps for: the writer stores the word, then looks for
 * sleepers; the sleeper announces itself, then looks at the word; each must see the other's store or
 * the other way round. The usual full fence in the writer would cost every barrier the time of
 * another hand-off between cores, so the sleeper pays for both: the membarrier system call puts a
 * fence into all running threads. Where it is missing, the writer fences. The system compares the
 * word again before it lets the sleeper sleep (base/system.h). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/team.h"
#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    LINE_BYTES = 64,
    SPIN_JOB_NS = 200000,    /* between tokens the caller samples, prints, and comes back */
    SPIN_BARRIER_NS = 50000, /* far above a hand-off, far below a time slice */
    CATCH_UP_RUNS = 65536,
    ALL_TO_ALL = 8, /* up to here every worker looks at all others; above, worker 0 collects */
};

/* What one worker tells the others: alone on its cache line. */
typedef struct slot {
    _Alignas(2 * LINE_BYTES) _Atomic uint32_t arrived; /* barriers this worker has come to */
    _Atomic uint32_t done;                             /* the last run it finished */
    _Atomic uint32_t sleepers;                         /* threads asleep on a word of this slot */
    fnd_team *team;
    uint32_t index;
    int core; /* -1: not pinned */
    pthread_t thread;
} slot;

struct fnd_team {
    /* A run: its number and how many take part, in one word, so that a worker that does not take
     * part needs nothing else of it. */
    _Alignas(2 * LINE_BYTES) _Atomic uint32_t go;
    _Atomic uint32_t go_sleepers;
    _Alignas(2 * LINE_BYTES) _Atomic uint32_t released; /* barriers completed, above ALL_TO_ALL */
    _Atomic uint32_t released_sleepers;
    _Alignas(2 * LINE_BYTES) _Atomic uint32_t met; /* arrivals at barriers of two workers */
    _Atomic uint32_t met_sleepers;
    /* The job of the run. Written only where it differs from the last one: the line then stays in
     * all caches. */
    _Alignas(2 * LINE_BYTES) fnd_team_fn *fn;
    void *ctx;
    uint32_t participants;
    bool quit;
    /* Below: written while the team is opened only (runs, synced: by the caller of run). */
    _Alignas(2 * LINE_BYTES) slot *slots;
    uint32_t workers, started;
    uint32_t runs, synced;
    bool crowded;      /* more workers than cores: waiting means letting others run */
    bool writer_fence; /* no membarrier here */
};

enum { GO_WORKERS_BITS = 12,
       GO_WORKERS_MASK = (1 << GO_WORKERS_BITS) - 1 };
_Static_assert((int)FND_TEAM_MAX <= (int)GO_WORKERS_MASK, "the number of participants must fit into the go word");

/* ---- waiting --------------------------------------------------------------------------------- */
static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool changed(_Atomic uint32_t *word, uint32_t old) {
    return atomic_load_explicit(word, memory_order_acquire) != old;
}

/* A hand-off takes 50 to 250 ns, less than two pauses of some processors: look without pause first. */
static bool spin(_Atomic uint32_t *word, uint32_t old, uint64_t spin_ns, bool crowded) {
    if (!crowded) {
        for (int i = 0; i < 512; i++) {
            if (changed(word, old)) return true;
        }
    }
    uint64_t deadline = fnd_now_ns() + spin_ns;
    do {
        for (int i = 0; i < 16; i++) {
            if (changed(word, old)) return true;
            if (crowded) {
                sched_yield();
            } else {
                relax();
            }
        }
    } while (fnd_now_ns() < deadline);
    return false;
}

static void wait_changed(const fnd_team *team, _Atomic uint32_t *word, _Atomic uint32_t *sleepers, uint32_t old, uint64_t spin_ns) {
    if (spin(word, old, spin_ns, team->crowded)) return;
    atomic_fetch_add(sleepers, 1);
    if (!team->writer_fence) fnd_system_fence_all();
    while (atomic_load(word) == old) fnd_system_wait(word, old);
    atomic_fetch_sub(sleepers, 1);
}

static inline void publish(const fnd_team *team, _Atomic uint32_t *word, _Atomic uint32_t *sleepers, uint32_t value) {
    if (team->writer_fence) {
        atomic_exchange(word, value);
    } else {
        atomic_store_explicit(word, value, memory_order_release);
        atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps the order; membarrier does the rest */
    }
    if (atomic_load(sleepers)) fnd_system_wake_all(word);
}

/* ---- the barrier ----------------------------------------------------------------------------- */
static void wait_arrival(fnd_team *team, uint32_t worker, uint32_t before) {
    slot *s = &team->slots[worker];
    wait_changed(team, &s->arrived, &s->sleepers, before, SPIN_BARRIER_NS);
}

/* Two workers count on one word: its line goes from one to the other and back, where each would have to take the line of
 * its own word for writing and then read the other's. `met` was even when the last barrier was over; who makes it even
 * again came second. The addition is a full fence, so that no sleeper is missed. */
static void pair_barrier(fnd_team *team) {
    uint32_t now = atomic_fetch_add(&team->met, 1) + 1;
    if (now % 2 == 0) {
        if (atomic_load(&team->met_sleepers)) fnd_system_wake_all(&team->met);
    } else {
        wait_changed(team, &team->met, &team->met_sleepers, now, SPIN_BARRIER_NS);
    }
}

void fnd_team_barrier(fnd_team *team, uint32_t worker) {
    uint32_t count = team->participants;
    if (count < 2) return;
    if (count == 2) {
        pair_barrier(team);
        return;
    }
    slot *mine = &team->slots[worker];
    /* Nobody can be two barriers ahead: a slot holds `before`, before + 1 or before + 2. */
    uint32_t before = atomic_load_explicit(&mine->arrived, memory_order_relaxed);
    if (count <= ALL_TO_ALL) {
        publish(team, &mine->arrived, &mine->sleepers, before + 1);
        for (uint32_t i = 1; i < count; i++) wait_arrival(team, (worker + i) % count, before);
    } else if (worker) {
        uint32_t released = atomic_load_explicit(&team->released, memory_order_relaxed);
        publish(team, &mine->arrived, &mine->sleepers, before + 1);
        wait_changed(team, &team->released, &team->released_sleepers, released, SPIN_BARRIER_NS);
    } else {
        for (uint32_t i = 1; i < count; i++) wait_arrival(team, i, before);
        atomic_store_explicit(&mine->arrived, before + 1, memory_order_relaxed);
        publish(team, &team->released, &team->released_sleepers, atomic_load_explicit(&team->released, memory_order_relaxed) + 1);
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */
/* Workers 1.. own the other cores. If the caller happens to be on one of those, it would share it
 * with the worker for milliseconds until the kernel balances: move it over, then let it be free. */
static void move_caller_home(const fnd_team *team) {
    if (team->slots[0].core >= 0) fnd_system_visit(team->slots[0].core);
}

static void *worker_main(void *arg) {
    slot *mine = arg;
    fnd_team *team = mine->team;
    uint32_t seen = 0;
    fnd_system_work_first();
    for (;;) {
        wait_changed(team, &team->go, &team->go_sleepers, seen, SPIN_JOB_NS);
        seen = atomic_load_explicit(&team->go, memory_order_acquire);
        if (mine->index < (seen & GO_WORKERS_MASK)) {
            if (team->quit) return NULL;
            team->fn(team->ctx, mine->index);
        }
        publish(team, &mine->done, &mine->sleepers, seen);
    }
}

static void wait_done(fnd_team *team, uint32_t workers, uint32_t go) {
    for (uint32_t i = 1; i < workers; i++) {
        slot *s = &team->slots[i];
        for (uint32_t done; (done = atomic_load_explicit(&s->done, memory_order_acquire)) != go;) {
            wait_changed(team, &s->done, &s->sleepers, done, SPIN_BARRIER_NS);
        }
    }
}

/* Workers that sat out runs have fallen behind, in barriers counted and, unless they were asleep, in
 * runs seen. Now and then everybody is waited for, since the numbers of runs wrap. */
static void catch_up(fnd_team *team, uint32_t workers) {
    if (team->synced == workers && team->runs % CATCH_UP_RUNS) return;
    wait_done(team, team->workers, atomic_load_explicit(&team->go, memory_order_relaxed));
    uint32_t arrived = atomic_load_explicit(&team->slots[0].arrived, memory_order_relaxed);
    for (uint32_t i = 1; i < workers; i++) atomic_store_explicit(&team->slots[i].arrived, arrived, memory_order_relaxed);
    team->synced = workers;
}

static uint32_t start_run(fnd_team *team, uint32_t workers) {
    if (team->participants != workers) team->participants = workers;
    uint32_t go = ++team->runs << GO_WORKERS_BITS | workers;
    publish(team, &team->go, &team->go_sleepers, go);
    return go;
}

void fnd_team_run(fnd_team *team, uint32_t workers, fnd_team_fn *fn, void *ctx) {
    if (workers > team->workers) workers = team->workers;
    if (workers < 2) {
        team->participants = 1;
        fn(ctx, 0);
        return;
    }
    move_caller_home(team);
    catch_up(team, workers);
    if (team->fn != fn) team->fn = fn;
    if (team->ctx != ctx) team->ctx = ctx;
    uint32_t go = start_run(team, workers);
    fn(ctx, 0);
    wait_done(team, workers, go);
}

/* ---- opening --------------------------------------------------------------------------------- */
static void choose_cores(fnd_team *team) {
    int list[FND_TEAM_MAX];
    bool all = fnd_system_processors(list, FND_TEAM_MAX) == team->workers;
    for (uint32_t i = 0; i < team->workers; i++) team->slots[i].core = all ? list[i] : -1;
}

static fnd_status start_workers(fnd_team *team, fnd_error *err) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the program's signals are for its own threads */
    int failure = 0;
    for (uint32_t i = 1; i < team->workers && !failure; i++) {
        slot *s = &team->slots[i];
        failure = pthread_create(&s->thread, NULL, worker_main, s);
        if (failure) break;
        team->started = i + 1;
        if (s->core >= 0) fnd_system_pin(s->thread, s->core);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failure) return fnd_fail(err, FND_ERR_MEMORY, "cannot start worker thread %u of %u: %s", team->started + 1, team->workers, strerror(failure));
    return FND_OK;
}

fnd_status fnd_team_open(uint32_t workers, fnd_team **out, fnd_error *err) {
    *out = NULL;
    if (workers < 1 || workers > FND_TEAM_MAX) return fnd_fail(err, FND_ERR_USAGE, "a team has 1 to %d workers, not %u", FND_TEAM_MAX, workers);
    fnd_team *team = fnd_alloc_aligned(sizeof *team, _Alignof(fnd_team));
    slot *slots = fnd_alloc_aligned(workers * sizeof *slots, _Alignof(slot));
    if (!team || !slots) {
        fnd_free_memory(team);
        fnd_free_memory(slots);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a team of %u workers", workers);
    }
    memset(team, 0, sizeof *team);
    memset(slots, 0, workers * sizeof *slots);
    team->slots = slots;
    team->workers = workers;
    team->started = 1;
    team->crowded = workers > fnd_cpu_cores();
    team->writer_fence = !fnd_system_can_fence_all();
    choose_cores(team);
    for (uint32_t i = 0; i < workers; i++) slots[i].team = team, slots[i].index = i;
    fnd_status status = start_workers(team, err);
    if (status != FND_OK) {
        fnd_team_close(team);
        return status;
    }
    *out = team;
    return FND_OK;
}

void fnd_team_close(fnd_team *team) {
    if (!team) return;
    team->quit = true;
    start_run(team, team->workers);
    for (uint32_t i = 1; i < team->started; i++) pthread_join(team->slots[i].thread, NULL);
    fnd_free_memory(team->slots);
    fnd_free_memory(team);
}

uint32_t fnd_team_size(const fnd_team *team) { return team->workers; }
