/* profiler_ring.c - a bounded ring with a ticket in every cell (D. Vyukov's queue).
 *
 * Cell i may be written for the n-th time when its ticket is n * capacity + i, and read when the
 * ticket is one more. A writer claims a position by moving the head, fills the cell, and passes the
 * ticket on; the reader passes it to the next round.
 */
#include "run/profiler_ring.h"
#include "base/base.h"
#include "base/memory.h"

enum { MAX_RECORDS = 1 << 20 };

typedef struct cell {
    _Atomic uint64_t ticket;
    fnd_profile_entry entry;
} cell;

struct fnd_ring {
    _Alignas(64) _Atomic uint64_t head; /* next to write */
    _Alignas(64) uint64_t tail;         /* next to read; the reader's own */
    uint64_t mask;
    cell *cells;
};

fnd_ring *fnd_ring_create(uint32_t records) {
    uint32_t capacity = 2;
    while (capacity < records && capacity < MAX_RECORDS) capacity *= 2;
    fnd_ring *ring = fnd_alloc_aligned(sizeof *ring, 64);
    cell *cells = fnd_alloc_zeroed(capacity, sizeof *cells);
    if (!ring || !cells) {
        fnd_free_memory(ring);
        fnd_free_memory(cells);
        return NULL;
    }
    memset(ring, 0, sizeof *ring);
    ring->mask = capacity - 1;
    ring->cells = cells;
    for (uint32_t i = 0; i < capacity; i++) atomic_store_explicit(&cells[i].ticket, i, memory_order_relaxed);
    return ring;
}

void fnd_ring_destroy(fnd_ring *ring) {
    if (!ring) return;
    fnd_free_memory(ring->cells);
    fnd_free_memory(ring);
}

uint32_t fnd_ring_capacity(const fnd_ring *ring) { return (uint32_t)(ring->mask + 1); }

bool fnd_ring_push(fnd_ring *ring, const fnd_profile_entry *entry) {
    uint64_t at = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        cell *c = &ring->cells[at & ring->mask];
        uint64_t ticket = atomic_load_explicit(&c->ticket, memory_order_acquire);
        if (ticket == at) {
            if (!atomic_compare_exchange_weak_explicit(&ring->head, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) continue;
            c->entry = *entry;
            atomic_store_explicit(&c->ticket, at + 1, memory_order_release);
            return true;
        }
        if (ticket < at) return false; /* not read since the last round */
        at = atomic_load_explicit(&ring->head, memory_order_relaxed);
    }
}

bool fnd_ring_pop(fnd_ring *ring, fnd_profile_entry *entry) {
    cell *c = &ring->cells[ring->tail & ring->mask];
    if (atomic_load_explicit(&c->ticket, memory_order_acquire) != ring->tail + 1) return false;
    *entry = c->entry;
    atomic_store_explicit(&c->ticket, ring->tail + ring->mask + 1, memory_order_release);
    ring->tail++;
    return true;
}
