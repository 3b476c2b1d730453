/* arena.h - memory that is freed all at once, with a limit. */
#ifndef LM_ARENA_H
#define LM_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fnd_arena {
    struct fnd_arena_chunk *chunks;
    size_t                  used, room; /* in the newest chunk */
    size_t                  total_bytes, limit_bytes;
    bool                    limited;    /* a request was refused because of the limit, not the heap */
} fnd_arena;

/* Zeroed, aligned for anything; NULL when memory is out or the limit is reached. */
void *fnd_arena_alloc(fnd_arena *arena, size_t count, size_t bytes_each);
void fnd_arena_free(fnd_arena *arena);

#endif
