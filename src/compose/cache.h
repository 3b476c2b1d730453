/* cache.h - pipelines that were built before: in memory, then on disk.
 *
 * A key is a hash of everything that decides the result: the flattened text, every option, the
 * device's target (fnd_hash_pieces). Never a name, never a time. However many threads ask for a key,
 * it is built once; the others wait for that result. A failed build is told to all who waited and is
 * not kept: the next to ask tries again.
 *
 * The disk never makes anything fail. Files carry their key, length and checksum, are written beside
 * and renamed; one that is not whole is removed and built anew. A directory that cannot be used is
 * done without, and says why once (fnd_cache_notice). Since its files are run as code, a directory
 * that belongs to another user or that everybody may write is not used. */
#ifndef COMPOSE_CACHE_H
#define COMPOSE_CACHE_H

#include "base/hash.h"
#include "foundry/status.h"

typedef struct fnd_cache fnd_cache;

typedef struct fnd_cache_desc {
    const char *dir;         /* NULL: nothing on disk. Made when it is not there */
    uint64_t    limit_bytes; /* of all files together; the least recently used go. 0: 256 MiB */
    /* Bytes to what runs, and back: a backend's load and unload with its object. Any thread may call. */
    fnd_status (*load)(void *loader, const char *entry, const void *data, size_t bytes, void **code, fnd_error *err);
    void       (*unload)(void *loader, void *code);
    void        *loader;
} fnd_cache_desc;

/* Makes the bytes; *data is to be freed with fnd_free_memory. Called without locks held. */
typedef fnd_status fnd_cache_build(void *ctx, void **data, size_t *bytes, fnd_error *err);

#define FND_CACHE_COUNTERS(X)                                               \
    X(memory_hits, "asked for what was loaded already, or was being built") \
    X(disk_hits,   "loaded from disk")                                      \
    X(builds,      "built")                                                 \
    X(failures,    "builds or loads that failed")                           \
    X(discarded,   "files removed because they were not whole")             \
    X(stored,      "files written")                                         \
    X(evicted,     "files removed to keep the limit")

typedef struct fnd_cache_counters {
#define FND_CACHE_COUNTER_ROW_(name, doc) uint64_t name;
    FND_CACHE_COUNTERS(FND_CACHE_COUNTER_ROW_)
#undef FND_CACHE_COUNTER_ROW_
} fnd_cache_counters;

FND_USE_RESULT fnd_status fnd_cache_open(const fnd_cache_desc *desc, fnd_cache **out, fnd_error *err);
/* Unloads everything that fnd_cache_get gave out. Nobody may be in fnd_cache_get. */
void fnd_cache_close(fnd_cache *cache); /* NULL is fine */

/* The code for a key: loaded already, or loaded from disk, or built by build(ctx). It belongs to the
 * cache and stays until the cache is closed. Any thread may call. */
FND_USE_RESULT fnd_status fnd_cache_get(fnd_cache *cache, fnd_hash128 key, const char *name, fnd_cache_build *build, void *ctx, void **code, fnd_error *err);

fnd_cache_counters fnd_cache_count(fnd_cache *cache);
/* Why nothing is kept on disk, as a sentence: true once, when there is such a reason. */
bool fnd_cache_notice(fnd_cache *cache, char *text, size_t bytes);

#endif
