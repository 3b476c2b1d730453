/* cpu_memory.c - the one place of this backend that maps memory.
 *
 * SAFETY: a block's record holds the mapping as mmap gave it, and release unmaps exactly that.
 * Reserved pages have no access rights until commit gives them, so a kernel that runs past what was
 * committed stops with a fault instead of reading a neighbour. Adopted memory belongs to its owner
 * and stays read-only although fnd_memory cannot say so: uploads into it are refused, and tensors over
 * it are bound as inputs only. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ALIGNMENT = 64,
    MAP_FROM_BYTES = 1 << 20,        /* smaller blocks come from the heap */
    HUGE_PAGE_BYTES = 2 << 20,       /* the usual size; only speed depends on it */
    HUGE_PAGES_FROM_BYTES = 8 << 20, /* below, whole huge pages would cost more memory than they save time */
};

typedef struct block {
    void *base; /* what was allocated or mapped */
    size_t base_bytes;
    size_t usable_bytes;
    bool mapped;
} block;

static void advise_huge_pages(void *at, size_t bytes) {
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGES_FROM_BYTES) madvise(at, bytes, MADV_HUGEPAGE); /* advice: may be refused */
#else
    (void)at, (void)bytes;
#endif
}

static void *map_pages(size_t bytes, int rights) {
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
    void *at = mmap(NULL, bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS | (rights == PROT_NONE ? MAP_NORESERVE : 0), -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* The address inside a mapping that is a multiple of a huge page, when it is large enough to matter. */
static uint8_t *align_for_huge_pages(void *base, size_t bytes) {
    uintptr_t at = (uintptr_t)base;
    return (uint8_t *)base + (bytes >= HUGE_PAGES_FROM_BYTES ? fnd_round_up(at, HUGE_PAGE_BYTES) - at : 0);
}

static fnd_status new_block(size_t bytes, bool mapped, int rights, fnd_memory *out, fnd_error *err) {
    *out = (fnd_memory){ 0 };
    block *b = fnd_alloc_zeroed(1, sizeof *b);
    uint8_t *at = NULL;
    if (b && fnd_add_size(bytes, bytes >= HUGE_PAGES_FROM_BYTES ? HUGE_PAGE_BYTES : 0, &b->base_bytes)) {
        b->mapped = mapped;
        b->base = mapped ? map_pages(b->base_bytes, rights) : fnd_alloc_aligned(bytes, ALIGNMENT);
        at = b->base ? (mapped ? align_for_huge_pages(b->base, bytes) : b->base) : NULL;
    }
    if (!at) {
        fnd_free_memory(b);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory: %zu bytes cannot be had", bytes);
    }
    if (!mapped) memset(at, 0, bytes);
    if (rights != PROT_NONE) {
        b->usable_bytes = bytes;
        if (mapped) advise_huge_pages(at, bytes);
    }
    *out = (fnd_memory){ .address = (uint64_t)(uintptr_t)at, .host = at, .bytes = bytes, .handle = b };
    return FND_OK;
}

fnd_status fnd_cpu_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self;
    return new_block(bytes, bytes >= MAP_FROM_BYTES, PROT_READ | PROT_WRITE, out, err);
}

fnd_status fnd_cpu_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self;
    return new_block(bytes ? bytes : 1, true, PROT_NONE, out, err);
}

fnd_status fnd_cpu_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err) {
    (void)self;
    block *b = memory->handle;
    if (!b || bytes > memory->bytes) return fnd_fail(err, FND_ERR_USAGE, "%zu bytes are to be used of %zu reserved", bytes, b ? memory->bytes : 0);
    if (bytes <= b->usable_bytes) return FND_OK;
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), usable = fnd_round_up(bytes, page_bytes);
    if (mprotect(memory->host, usable, PROT_READ | PROT_WRITE) != 0) {
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory: %zu of %zu reserved bytes cannot be had: %s", bytes, memory->bytes, strerror(errno));
    }
    advise_huge_pages(memory->host, usable);
    b->usable_bytes = fnd_min_size(usable, memory->bytes);
    return FND_OK;
}

void fnd_cpu_release(void *self, fnd_memory *memory) {
    (void)self;
    block *b = memory->handle;
    if (b && b->mapped) {
        munmap(b->base, b->base_bytes);
    } else if (b) {
        fnd_free_memory(b->base);
    }
    fnd_free_memory(b);
    *memory = (fnd_memory){ 0 };
}

fnd_status fnd_cpu_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self, (void)err;
    *out = (fnd_memory){ .address = (uint64_t)(uintptr_t)host, .host = (void *)(uintptr_t)host, .bytes = bytes };
    return FND_OK;
}

/* Bytes of it that may be touched. */
static size_t usable_bytes(const fnd_memory *memory) {
    const block *b = memory->handle;
    return b ? b->usable_bytes : memory->bytes;
}

static fnd_status check_range(const fnd_memory *memory, size_t offset, size_t bytes, const char *what, fnd_error *err) {
    size_t end;
    if (fnd_add_size(offset, bytes, &end) && end <= usable_bytes(memory)) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%s of %zu bytes at %zu: the memory has %zu", what, bytes, offset, usable_bytes(memory));
}

fnd_status fnd_cpu_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err) {
    (void)self;
    FND_TRY(check_range(to, offset, bytes, "upload", err));
    if (!to->handle) return fnd_fail(err, FND_ERR_USAGE, "upload into memory that is only read");
    if (bytes) memcpy((uint8_t *)to->host + offset, from, bytes);
    return FND_OK;
}

fnd_status fnd_cpu_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err) {
    (void)self;
    FND_TRY(check_range(from, offset, bytes, "download", err));
    if (bytes) memcpy(to, (const uint8_t *)from->host + offset, bytes);
    return FND_OK;
}
