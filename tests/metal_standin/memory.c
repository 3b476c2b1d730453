/* memory.c - buffers as the simulator's memory: each between two pages without access, and known to it.
 *
 * SAFETY: the simulator lets nobody write memory that it was only shown (adopted); a buffer over the host's pages
 * may be written by Metal's kernels, so its record is marked as the simulator's own while it lives, and set back
 * before it goes, so that the pages stay the host's. */
#include "standin.h"

#include "backend/sim/state.h"

#include <stdio.h>
#include <stdlib.h>

static fnd_sim *sim;

fnd_sim *standin_sim(void) {
    standin_lock();
    if (!sim) {
        void *self = NULL;
        fnd_device_info info;
        fnd_error err = { 0 };
        if (fnd_backend_sim.open(NULL, &self, &info, &err) != FND_OK) {
            fprintf(stderr, "metal stand-in: %s\n", err.text);
            abort();
        }
        sim = self;
    }
    standin_unlock();
    return sim;
}

bool standin_memory(buffer_object *b, void *over) {
    fnd_memory m;
    fnd_error err = { 0 };
    fnd_sim *s = standin_sim();
    standin_lock();
    fnd_status status = over ? fnd_sim_adopt(s, over, (size_t)b->length, &m, &err) : fnd_sim_alloc(s, (size_t)b->length, &m, &err);
    if (status == FND_OK) {
        fnd_sim_memory *record = m.handle;
        if (over) record->mapping = record->address;
        b->memory = record->address;
        b->handle = record;
        b->no_copy = over != NULL;
    }
    standin_unlock();
    return status == FND_OK;
}

void standin_memory_free(buffer_object *b) {
    fnd_sim_memory *record = b->handle;
    if (!record) return;
    if (b->no_copy) record->mapping = NULL;
    fnd_memory m = { .handle = record };
    fnd_sim_release(standin_sim(), &m);
    b->handle = NULL;
}
