/* arena.c - chunks of memory, handed out front to back. */
#include "lm/arena.h"
#include "base/base.h"
#include "base/memory.h"

enum { CHUNK_BYTES = 16384,
       ALIGNMENT = 16 };

typedef struct fnd_arena_chunk {
    struct fnd_arena_chunk *older;
    size_t padding; /* keeps what follows aligned */
} fnd_arena_chunk;

void *fnd_arena_alloc(fnd_arena *a, size_t count, size_t bytes_each) {
    size_t bytes, total;
    if (!fnd_mul_size(count, bytes_each, &bytes) || !fnd_add_size(bytes, ALIGNMENT, &total) || !fnd_add_size(a->total_bytes, total, &total) || total > a->limit_bytes) {
        a->limited = true;
        return NULL;
    }
    bytes = fnd_round_up(bytes ? bytes : 1, ALIGNMENT);
    if (bytes > a->room - a->used) {
        size_t room = fnd_max_size(bytes, CHUNK_BYTES);
        fnd_arena_chunk *chunk = fnd_alloc_zeroed(1, sizeof *chunk + room);
        if (!chunk) return NULL;
        chunk->older = a->chunks;
        a->chunks = chunk;
        a->used = 0;
        a->room = room;
    }
    char *block = (char *)(a->chunks + 1) + a->used;
    a->used += bytes;
    a->total_bytes += bytes;
    return block;
}

void fnd_arena_free(fnd_arena *a) {
    while (a->chunks) {
        fnd_arena_chunk *chunk = a->chunks;
        a->chunks = chunk->older;
        fnd_free_memory(chunk);
    }
    *a = (fnd_arena){ .limit_bytes = a->limit_bytes };
}
