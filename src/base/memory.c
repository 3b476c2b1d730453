/* memory.c - the heap, counted, and able to fail on purpose. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Atomic uint64_t allocations;
static _Atomic uint64_t fail_countdown;

static int must_fail(void) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    if (atomic_load_explicit(&fail_countdown, memory_order_relaxed) == 0) return 0;
    return atomic_fetch_sub(&fail_countdown, 1) == 1;
}

void fnd_memory_fail_after(uint64_t n) { atomic_store(&fail_countdown, n); }

uint64_t fnd_memory_allocations(void) { return atomic_load_explicit(&allocations, memory_order_relaxed); }

void *fnd_alloc_zeroed(size_t count, size_t bytes_each) {
    if (must_fail()) return NULL;
    return calloc(count ? count : 1, bytes_each ? bytes_each : 1);
}

void *fnd_alloc_resized(void *block, size_t count, size_t bytes_each) {
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes) || must_fail()) return NULL;
    return realloc(block, bytes ? bytes : 1);
}

void *fnd_alloc_aligned(size_t bytes, size_t alignment) {
    size_t padded;
    if (__builtin_add_overflow(bytes, alignment - 1, &padded) || must_fail()) return NULL;
    padded = padded / alignment * alignment;
    return aligned_alloc(alignment, padded ? padded : alignment);
}

char *fnd_alloc_string(const char *text, size_t bytes) {
    size_t with_nul;
    if (__builtin_add_overflow(bytes, 1, &with_nul) || must_fail()) return NULL;
    char *copy = malloc(with_nul);
    if (!copy) return NULL;
    if (bytes) memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

void fnd_free_memory(void *block) { free(block); }

void fnd_memory_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
