/* memory.h - heap allocation behind one door, so that tests can make any of them fail.
 *
 * fnd_alloc_* return NULL when memory is out or when the size overflows; the caller turns that into
 * FND_ERR_MEMORY. Everything is freed with fnd_free_memory (NULL is fine). */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *fnd_alloc_zeroed(size_t count, size_t bytes_each);
void *fnd_alloc_resized(void *block, size_t count, size_t bytes_each); /* like realloc */
void *fnd_alloc_aligned(size_t bytes, size_t alignment);               /* not zeroed */
char *fnd_alloc_string(const char *text, size_t bytes);                /* copy with a NUL after it */
void fnd_free_memory(void *block);
/* Give freed memory back to the system, where the heap can: after work that took much for a while. */
void fnd_memory_trim(void);

/* Fault injection: the n-th allocation from now on (1 = the next) fails, once. 0 switches it off. */
void fnd_memory_fail_after(uint64_t n);
/* Allocations made so far by this process, for "nothing is allocated within a token". */
uint64_t fnd_memory_allocations(void);

#endif
