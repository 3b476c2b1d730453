/* flight.h - submissions between fnd_submit and their completion.
 *
 * A slot holds one. Slots are filled and handed over in order by whoever holds the `order` lock, and
 * completed in that order by one thread, which launches them where launching is doing (no
 * backend.submit), and elsewhere waits for the device. That thread takes no lock but `lock`, and never
 * the device's: those who hold the device wait for it. Locks in their order: order, the device's, lock. */
#ifndef RUN_FLIGHT_H
#define RUN_FLIGHT_H

#include "backend/backend.h"
#include "foundry/submit.h"
#include "run/bind.h"

#include <pthread.h>
#include <stdatomic.h>

/* One launch of a submission; offsets into what the slot has room for. */
typedef struct fnd_planned {
    fnd_launch launch;
    char       label[FND_NAME_BYTES + 16];
    size_t     args_at, buffers_at;
    fnd_traffic traffic;
    uint64_t   ticket; /* its own, in a slot that is timed */
} fnd_planned;

typedef struct fnd_slot {
    uint64_t     number;      /* 0: a launch that nobody submitted, timed for the profiler */
    char         label[FND_LABEL_BYTES];
    fnd_done_fn *done;
    void        *ctx;
    bool         timed;       /* every launch has a ticket and a record of its own */
    bool         void_;       /* something before it failed */
    uint32_t     tickets;     /* handed over so far, under the lock; one for all launches where not timed */
    bool         handed_over; /* all of it, under the lock */
    uint64_t     ticket;      /* where not timed */
    fnd_times    ran;
    fnd_error    failure;

    /* Room that stays. */
    fnd_planned       *launches;
    uint8_t           *args;
    fnd_launch_buffer *buffers;
    size_t             count, capacity, args_bytes, args_capacity, buffer_count, buffer_capacity;
} fnd_slot;

typedef struct fnd_flight {
    pthread_mutex_t order;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    pthread_t       thread;
    _Atomic bool    started;          /* by the first submission */
    bool            stopping;
    uint64_t        head, done, told; /* slots handed over; of those: completed; callback returned */
    uint64_t        submitted, completed, called_back; /* numbers: the same of submissions */
    uint64_t        tickets;          /* not finished */
    _Atomic bool    failed;           /* failure holds something */
    fnd_error       failure;          /* the first since the last was told */
    uint64_t        failure_number;
    char            failure_label[FND_LABEL_BYTES];
    fnd_slot        slots[FND_MAX_IN_FLIGHT];
} fnd_flight;

void fnd_flight_init(fnd_flight *flight);
void fnd_flight_free(fnd_flight *flight);

/* The next slot, empty, to be filled; starts the thread. Needs `order`. */
FND_USE_RESULT fnd_status fnd_flight_slot(foundry *f, fnd_slot **out, fnd_error *err);
/* Give the filled slot to the device. What goes wrong from here on is its completion's. Needs `order`. */
void fnd_flight_hand_over(foundry *f, fnd_slot *slot);

/* FND_ERR_USAGE when this is the thread of the callbacks. */
FND_USE_RESULT fnd_status fnd_flight_check_thread(const foundry *f, const char *what, fnd_error *err);
/* The failure that nobody was told yet. */
FND_USE_RESULT fnd_status fnd_flight_check(foundry *f, fnd_error *err);

/* With the device's lock: wait until the thread has launched all that was handed over, so that the
 * device is the caller's. Nothing to do where backend.submit is. */
void fnd_flight_quiet(foundry *f);
/* Wait until submission `number` is completed (UINT64_MAX: all), then tell a failure up to there. */
FND_USE_RESULT fnd_status fnd_flight_wait(foundry *f, uint64_t number, fnd_error *err);
/* Wait for the callbacks, too; without the device's lock. */
void fnd_flight_wait_callbacks(foundry *f, uint64_t number);
/* Wait until all is completed, and tell nothing. */
void fnd_flight_drain(foundry *f);
/* Complete everything and end the thread. */
void fnd_flight_stop(foundry *f);

#endif
