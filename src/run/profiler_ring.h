/* profiler_ring.h - records on their way out of the hot path: a bounded ring that any number of
 * threads write and one reads, without locks. */
#ifndef RUN_PROFILER_RING_H
#define RUN_PROFILER_RING_H

#include "foundry/profile.h"
#include "run/profiler.h"

typedef struct fnd_profile_entry {
    uint64_t start_ns, duration_ns;
    uint64_t bytes_read, bytes_written, ops, unit_ops[FND_UNIT_COUNT];
    uint32_t thread;  /* small numbers in order of first record */
    uint32_t session;
    char     kernel[FND_PROFILE_KERNEL_BYTES]; /* "" for a scope */
    char     path[FND_PROFILE_PATH_BYTES];
} fnd_profile_entry;

/* Room for at least `records`, at most 2^20. NULL when memory is out. */
fnd_ring *fnd_ring_create(uint32_t records);
void fnd_ring_destroy(fnd_ring *ring);
uint32_t fnd_ring_capacity(const fnd_ring *ring);
/* False when it is full. */
bool fnd_ring_push(fnd_ring *ring, const fnd_profile_entry *entry);
/* False when it is empty. One thread at a time. */
bool fnd_ring_pop(fnd_ring *ring, fnd_profile_entry *entry);

#endif
