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
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    ALIGNMENT = 64,
    MAP_FROM_BYTES = 1 << 20,        /* smaller blocks come from the heap */
    HUGE_PAGE_BYTES = 2 << 20,       /* the usual size; only speed depends on it */
    HUGE_PAGES_FROM_BYTES = 8 << 20, /* below, whole huge pages would cost more memory than they save time */
};

/* A huge page that a virtual machine's host has yet to find memory for can take it 100 times as long as
 * one in use before (24 ms against 0.2 to 0.4: Xeon 2.1 GHz under KVM, 2026-11-22). */
enum { FILL_FROM_BYTES = 32 << 20,
       SLOW_NS = 2000000,
       SLOW_PAGES = 2 };

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

/* ---- pages of large blocks ---- */

#ifdef MADV_NOHUGEPAGE
typedef struct filling {
    uint8_t *at;
    size_t chunks, step;    /* of HUGE_PAGE_BYTES; bytes from one page to the next */
    uint32_t give_up_after; /* so many slow chunks */
    _Atomic size_t next;
    _Atomic uint32_t slow;
} filling;

static uint64_t thread_ns(void) {
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* others that want the processor do not count */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void fill_chunks(void *ctx, uint32_t worker) {
    (void)worker;
    filling *f = ctx;
    size_t i;
    while (atomic_load(&f->slow) < f->give_up_after && (i = atomic_fetch_add(&f->next, 1)) < f->chunks) {
        volatile uint8_t *chunk = f->at + i * HUGE_PAGE_BYTES;
        uint64_t start = thread_ns();
        for (size_t k = 0; k < HUGE_PAGE_BYTES; k += f->step) chunk[k] = 0;
        if (thread_ns() - start > SLOW_NS) atomic_fetch_add(&f->slow, 1);
    }
}

/* Have all pages of a large block now, each once, by the whole team: huge ones, or, where the first few
 * are slow to come, small ones, which the kernel takes from memory that was used before. It may join
 * those later, where it does so at all. */
static void fill_pages(fnd_cpu *cpu, uint8_t *at, size_t bytes) {
    filling f = { .at = at, .chunks = bytes / HUGE_PAGE_BYTES, .step = HUGE_PAGE_BYTES, .give_up_after = SLOW_PAGES };
    fnd_team_run(cpu->team, cpu->threads, fill_chunks, &f);
    size_t done = fnd_min_size(atomic_load(&f.next), f.chunks) * HUGE_PAGE_BYTES;
    if (f.slow < SLOW_PAGES) return;
    madvise(at + done, bytes - done, MADV_NOHUGEPAGE);
    filling rest = { .at = at + done, .chunks = (bytes - done) / HUGE_PAGE_BYTES, .step = (size_t)sysconf(_SC_PAGESIZE), .give_up_after = UINT32_MAX };
    fnd_team_run(cpu->team, cpu->threads, fill_chunks, &rest);
    madvise(at + done, bytes - done, MADV_HUGEPAGE);
}
#else
static void fill_pages(const fnd_cpu *cpu, const uint8_t *at, size_t bytes) { (void)cpu, (void)at, (void)bytes; }
#endif

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
    FND_TRY(new_block(bytes, bytes >= MAP_FROM_BYTES, PROT_READ | PROT_WRITE, out, err));
    if (bytes >= FILL_FROM_BYTES) fill_pages(self, out->host, bytes);
    return FND_OK;
}

fnd_status fnd_cpu_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err) {
    (void)self;
    return new_block(bytes ? bytes : 1, true, PROT_NONE, out, err);
}

/* What is had all at once after it was reserved will be used here and there, a page at a time. */
static void advise_small_pages(void *at, size_t bytes) {
#ifdef MADV_NOHUGEPAGE
    madvise(at, bytes, MADV_NOHUGEPAGE); /* advice: may be refused */
#else
    (void)at, (void)bytes;
#endif
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
    if (b->usable_bytes == 0 && usable >= memory->bytes)
        advise_small_pages(memory->host, usable);
    else
        advise_huge_pages(memory->host, usable);
    b->usable_bytes = fnd_min_size(usable, memory->bytes);
    return FND_OK;
}

/* Pages that begin and end in it; refused, they stay. */
static void drop_pages(uint8_t *at, size_t bytes) {
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), before = fnd_round_up((uintptr_t)at, page_bytes) - (uintptr_t)at;
    if (bytes > before + page_bytes) madvise(at + before, (bytes - before) / page_bytes * page_bytes, MADV_DONTNEED);
}

void fnd_cpu_forget(void *self, const fnd_memory *memory) {
    const fnd_cpu *cpu = self;
    const block *b = memory->handle;
    if (b && b->mapped) drop_pages(memory->host, b->usable_bytes);
    drop_pages(cpu->scratch.data, cpu->scratch.bytes);
    drop_pages(cpu->shared_scratch.data, cpu->shared_scratch.bytes);
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
