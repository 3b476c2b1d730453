/* profiler.h - recording from the run layer; the public side is foundry/profile.h.
 *
 *     if (fnd_profile_on(&f->profiler)) fnd_profile_record(&f->profiler, &(fnd_profile_event){ ... });
 */
#ifndef RUN_PROFILER_H
#define RUN_PROFILER_H

#include "foundry/profile.h"

#include <pthread.h>
#include <stdatomic.h>

/* One dispatch. Strings are copied, at most FND_PROFILE_..._BYTES - 1 bytes of them. */
typedef struct fnd_profile_event {
    const char *path;   /* scopes it was submitted in; NULL: those open in this thread now */
    const char *kernel; /* NULL or "": the event is a scope, path its own */
    uint64_t    start_ns, duration_ns;
    uint64_t    bytes_read, bytes_written, ops;
    const uint64_t *unit_ops; /* [FND_UNIT_COUNT]; NULL: not known */
} fnd_profile_event;

typedef struct fnd_ring fnd_ring;
typedef struct fnd_profile_table fnd_profile_table;
typedef struct fnd_profile_files fnd_profile_files;

typedef struct fnd_profiler {
    foundry            *f;
    _Atomic bool        on;
    _Atomic(fnd_ring *) ring;       /* made by the first start, kept until the context is closed */
    _Atomic uint64_t    lost;
    _Atomic uint32_t    session;    /* goes up with every start; older records are thrown away */
    _Atomic uint64_t    started_ns;

    pthread_mutex_t     control;    /* start and stop, one at a time */
    pthread_mutex_t     drain;      /* guards what follows; its holder is the ring's one reader */
    pthread_cond_t      wake;
    pthread_t           thread;
    bool                thread_runs; /* under control */
    bool                stopping;    /* until the next start: what comes late is thrown away then */
    uint64_t            records;
    uint64_t            untold;     /* records that found no memory for their row */
    double              bandwidth, ops_rates[FND_UNIT_COUNT];
    fnd_profile_table  *table;
    fnd_profile_files  *files;
} fnd_profiler;

void fnd_profiler_init(fnd_profiler *p, foundry *f);
void fnd_profiler_free(fnd_profiler *p);

static inline bool fnd_profile_on(const fnd_profiler *p) { return atomic_load_explicit(&p->on, memory_order_relaxed); }
/* From any thread; never blocks and never allocates. A full ring is counted. */
void fnd_profile_record(fnd_profiler *p, const fnd_profile_event *event);
/* The scopes open in this thread, joined by '/': to keep with work that completes elsewhere. Valid
 * until the thread opens or closes a scope. */
const char *fnd_profile_path(void);

#endif
