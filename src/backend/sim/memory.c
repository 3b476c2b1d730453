/* memory.c - device memory that the simulator knows about.
 *
 * SAFETY: every allocation is a mapping of its own between two pages without access, and is entered
 * in the device's list until it is released; a launch may only be given ranges of that list. Adopted
 * memory stays the caller's and must outlive its entry; kernels are never let write it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_NORESERVE */
#endif
#include "backend/sim/state.h"
#include "base/base.h"
#include "base/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

void *fnd_sim_map_zeros(size_t bytes) {
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

void fnd_sim_unmap_zeros(void *address, size_t bytes) {
    if (address) munmap(address, bytes);
}

static void enter(fnd_sim *sim, fnd_sim_memory *m, fnd_memory *out) {
    m->next = sim->memories;
    sim->memories = m;
    *out = (fnd_memory){ .address = (uint64_t)(uintptr_t)m->address, .host = m->address, .bytes = m->reserved, .handle = m };
}

fnd_status fnd_sim_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), with_guards;
    *out = (fnd_memory){ 0 };
    if (!fnd_add_size(bytes, 4 * page, &with_guards)) return fnd_fail(err, FND_ERR_MEMORY, "no memory of %zu bytes", bytes);
    with_guards = fnd_round_up(bytes ? bytes : 1, page) + 2 * page;
    fnd_sim_memory *m = fnd_alloc_zeroed(1, sizeof *m);
    if (!m) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    void *mapping = mmap(NULL, with_guards, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        fnd_free_memory(m);
        return fnd_fail(err, FND_ERR_MEMORY, "no address space of %zu bytes: %s", bytes, strerror(errno));
    }
    m->mapping = mapping;
    m->mapped_bytes = with_guards;
    m->address = m->mapping + page;
    m->reserved = bytes;
    enter(self, m, out);
    return FND_OK;
}

fnd_status fnd_sim_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err) {
    (void)self;
    fnd_sim_memory *m = memory->handle;
    if (bytes > m->reserved) return fnd_fail(err, FND_ERR_USAGE, "%zu bytes committed of %zu reserved", bytes, m->reserved);
    if (bytes <= m->bytes) return FND_OK;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (mprotect(m->address, fnd_round_up(bytes, page), PROT_READ | PROT_WRITE) != 0) {
        return fnd_fail(err, FND_ERR_MEMORY, "cannot commit %zu bytes: %s", bytes, strerror(errno));
    }
    m->bytes = bytes;
    return FND_OK;
}

fnd_status fnd_sim_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    FND_TRY(fnd_sim_reserve(self, bytes, out, err));
    fnd_status status = fnd_sim_commit(self, out, bytes, err);
    if (status != FND_OK) fnd_sim_release(self, out);
    return status;
}

fnd_status fnd_sim_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err) {
    *out = (fnd_memory){ 0 };
    fnd_sim_memory *m = fnd_alloc_zeroed(1, sizeof *m);
    if (!m) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    m->address = (uint8_t *)(uintptr_t)host;
    m->bytes = m->reserved = bytes;
    enter(self, m, out);
    return FND_OK;
}

static void drop(fnd_sim_memory *m) {
    if (m->mapping) munmap(m->mapping, m->mapped_bytes);
    fnd_free_memory(m);
}

void fnd_sim_release(void *self, fnd_memory *memory) {
    fnd_sim *sim = self;
    for (fnd_sim_memory **at = &sim->memories; *at; at = &(*at)->next) {
        if (*at != memory->handle) continue;
        fnd_sim_memory *m = *at;
        *at = m->next;
        drop(m);
        break;
    }
    *memory = (fnd_memory){ 0 };
}

void fnd_sim_release_all(fnd_sim *sim) {
    while (sim->memories) {
        fnd_sim_memory *m = sim->memories;
        sim->memories = m->next;
        drop(m);
    }
}

const fnd_sim_memory *fnd_sim_find_memory(const fnd_sim *sim, uint64_t address, uint64_t bytes) {
    for (const fnd_sim_memory *m = sim->memories; m; m = m->next) {
        uint64_t offset = address - (uint64_t)(uintptr_t)m->address;
        if (offset <= m->bytes && bytes <= m->bytes - offset) return m;
    }
    return NULL;
}

static fnd_status check_copy(fnd_sim *sim, const fnd_memory *memory, size_t offset, size_t bytes, bool writes, const char *verb, fnd_error *err) {
    bool inside = offset <= memory->bytes && bytes <= memory->bytes - offset;
    const fnd_sim_memory *m = inside ? fnd_sim_find_memory(sim, memory->address + offset, bytes) : NULL;
    if (!m) return fnd_fail(err, FND_ERR_USAGE, "%s of %zu bytes at byte %zu: outside of device memory of %zu bytes", verb, bytes, offset, memory->bytes);
    if (writes && bytes && !m->mapping) return fnd_fail(err, FND_ERR_USAGE, "%s to memory that may only be read", verb);
    return FND_OK;
}

fnd_status fnd_sim_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    FND_TRY(check_copy(self, to, offset, bytes, true, "upload", err));
    if (bytes) memcpy((uint8_t *)(uintptr_t)to->address + offset, from, bytes);
    return FND_OK;
}

fnd_status fnd_sim_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err) {
    FND_TRY(check_copy(self, from, offset, bytes, false, "download", err));
    if (bytes) memcpy(to, (const uint8_t *)(uintptr_t)from->address + offset, bytes);
    return FND_OK;
}
