/* context.h - the inside of a foundry, for the files of this folder. */
#ifndef RUN_CONTEXT_H
#define RUN_CONTEXT_H

#include "backend/backend.h"
#include "foundry/context.h"
#include "foundry/profile.h"
#include "run/flight.h"
#include "run/profiler.h"
#include "run/registry.h"
#include "run/tuning.h"
#include "tensor/storage.h"

#include <pthread.h>

struct foundry {
    const fnd_backend *backend;
    void              *device;      /* the backend's own */
    fnd_device_info    info;
    fnd_desc           desc;        /* strings are copies; cache_dir is resolved: NULL = no cache on disk */
    fnd_tuning         tuning;      /* what was measured here; zeros: nothing */
    fnd_storage_ops    storage_ops; /* the backend as the tensor layer sees it */
    fnd_storage_owner *storage;     /* its lock guards the backend: fnd_device_lock */
    fnd_registry       registry;
    fnd_profiler       profiler;
    fnd_flight         flight;
    _Atomic uint64_t   counters[FND_COUNTER_COUNT]; /* those that fnd_count counts */

    /* Made by the run layer when first needed. fnd_close calls run_release, if set, after the
     * resources are gone and before the tensors go. */
    struct fnd_composer *compose;
    struct fnd_cache    *cache;
    void (*run_release)(foundry *f);

    pthread_mutex_t notice_lock;
    bool            has_notice;
    char            notice[FND_ERROR_TEXT_BYTES];
};

/* Something for fnd_next_notice; a second one before the first was told is dropped. Any thread. */
void fnd_notice(foundry *f, const char *text);

/* Open a context on a backend of one's own (tests). */
FND_USE_RESULT fnd_status fnd_open_with_backend(const fnd_backend *backend, const fnd_desc *desc, foundry **out, fnd_error *err);
/* FND_OK while f is open, else FND_ERR_USAGE; does not look into f. */
FND_USE_RESULT fnd_status fnd_context_check(const foundry *f, fnd_error *err);

/* Calls on the backend (launch, wait ...; not build and load) are made between these two. May be
 * nested. Storage calls take the same lock by themselves. */
static inline void fnd_device_lock(foundry *f) { fnd_storage_lock(f->storage); }
static inline void fnd_device_unlock(foundry *f) { fnd_storage_unlock(f->storage); }
/* Wait for all launches; the first failure of any. */
FND_USE_RESULT fnd_status fnd_device_wait(foundry *f, fnd_error *err);

static inline void fnd_count(foundry *f, fnd_counter counter, uint64_t n) {
    atomic_fetch_add_explicit(&f->counters[counter], n, memory_order_relaxed);
}

#endif
