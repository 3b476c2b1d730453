/* cache.c - the layer in memory: one build per key however many threads ask. */
#include "compose/cache.h"
#include "base/base.h"
#include "base/memory.h"
#include "compose/cache_disk.h"

#include <pthread.h>
#include <stdio.h>

enum { BUCKETS = 256 };
#define DEFAULT_LIMIT_BYTES (UINT64_C(256) << 20)

typedef enum entry_state { BEING_MADE,
                           READY,
                           FAILED } entry_state;

typedef struct entry {
    struct entry *next;
    fnd_hash128 key;
    entry_state state;
    uint32_t waiters; /* threads that hold this entry while it is being made */
    void *code;
    fnd_error failure;
} entry;

struct fnd_cache {
    fnd_cache_desc desc;
    fnd_cache_disk disk;
    pthread_mutex_t lock; /* of all below and of the entries */
    pthread_cond_t made;  /* some entry is no longer BEING_MADE */
    fnd_cache_counters counters;
    entry *buckets[BUCKETS];
};

fnd_status fnd_cache_open(const fnd_cache_desc *desc, fnd_cache **out, fnd_error *err) {
    *out = NULL;
    fnd_cache *cache = fnd_alloc_zeroed(1, sizeof *cache);
    if (!cache) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the cache of kernels");
    cache->desc = *desc;
    cache->desc.dir = NULL; /* the disk's part keeps its own copy */
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->made, NULL);
    fnd_cache_disk_open(&cache->disk, desc->dir, desc->limit_bytes ? desc->limit_bytes : DEFAULT_LIMIT_BYTES);
    *out = cache;
    return FND_OK;
}

void fnd_cache_close(fnd_cache *cache) {
    if (!cache) return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (entry *e = cache->buckets[i], *next; e; e = next) {
            next = e->next;
            cache->desc.unload(cache->desc.loader, e->code);
            fnd_free_memory(e);
        }
    }
    fnd_cache_disk_close(&cache->disk);
    pthread_cond_destroy(&cache->made);
    pthread_mutex_destroy(&cache->lock);
    fnd_free_memory(cache);
}

/* ---- making what is not there, without the lock ---------------------------------------------- */
static bool load_from_disk(fnd_cache *cache, entry *e, const char *name, fnd_cache_counters *did) {
    char *block;
    const void *data;
    size_t bytes;
    fnd_cache_found found = fnd_cache_disk_read(&cache->disk, e->key, &block, &data, &bytes);
    if (found == FND_CACHE_DAMAGED) did->discarded++;
    if (found != FND_CACHE_WHOLE) return false;
    bool loaded = cache->desc.load(cache->desc.loader, name, data, bytes, &e->code, NULL) == FND_OK;
    fnd_free_memory(block);
    if (loaded) {
        did->disk_hits++;
    } else { /* whole, yet of no use here: a library it needs may have been replaced */
        fnd_cache_disk_remove(&cache->disk, e->key);
        did->discarded++;
    }
    return loaded;
}

static fnd_status make(fnd_cache *cache, entry *e, const char *name, fnd_cache_build *build, void *ctx, fnd_cache_counters *did) {
    if (load_from_disk(cache, e, name, did)) return FND_OK;
    void *data = NULL;
    size_t bytes = 0;
    did->builds++;
    fnd_status status = build(ctx, &data, &bytes, &e->failure);
    if (status == FND_OK) status = cache->desc.load(cache->desc.loader, name, data, bytes, &e->code, &e->failure);
    if (status == FND_OK && fnd_cache_disk_write(&cache->disk, e->key, data, bytes)) { /* only what is known to load */
        did->stored++;
        did->evicted += fnd_cache_disk_trim(&cache->disk);
    }
    if (status != FND_OK) {
        did->failures += status != FND_ERR_CANCELLED;
        fnd_fail(&e->failure, status, "%s cannot be built: %s", name, fnd_status_text(status));
    }
    fnd_free_memory(data);
    return status;
}

/* ---- asking ---------------------------------------------------------------------------------- */
static entry **find(fnd_cache *cache, fnd_hash128 key) {
    entry **at = &cache->buckets[key.low % BUCKETS];
    while (*at && !fnd_hash_equal((*at)->key, key)) at = &(*at)->next;
    return at;
}

static void add_counters(fnd_cache_counters *to, const fnd_cache_counters *did) {
#define ADD_(name, doc) to->name += did->name;
    FND_CACHE_COUNTERS(ADD_)
#undef ADD_
}

/* Called with the lock held; gives it away while the entry is made by this thread or by another. What
 * another has given up is FND_ERR_CANCELLED, without a word in err. */
static fnd_status wait_for(fnd_cache *cache, entry *e, void **code, fnd_error *err) {
    e->waiters++;
    while (e->state == BEING_MADE) pthread_cond_wait(&cache->made, &cache->lock);
    e->waiters--;
    fnd_status status = FND_OK;
    if (e->state == READY) {
        *code = e->code;
        cache->counters.memory_hits++;
    } else {
        status = e->failure.status;
        if (status != FND_ERR_CANCELLED) fnd_fail(err, status, "%s", e->failure.text);
        if (!e->waiters) fnd_free_memory(e);
    }
    return status;
}

static fnd_status make_new(fnd_cache *cache, entry *e, const char *name, fnd_cache_build *build, void *ctx, void **code, fnd_error *err) {
    fnd_cache_counters did = { 0 };
    pthread_mutex_unlock(&cache->lock);
    fnd_status status = make(cache, e, name, build, ctx, &did);
    pthread_mutex_lock(&cache->lock);
    add_counters(&cache->counters, &did);
    e->state = status == FND_OK ? READY : FAILED;
    pthread_cond_broadcast(&cache->made);
    if (status == FND_OK) {
        *code = e->code;
        return FND_OK;
    }
    fnd_fail(err, status, "%s", e->failure.text);
    entry **at = find(cache, e->key);
    *at = e->next; /* not kept; the last who waits frees it */
    if (!e->waiters) fnd_free_memory(e);
    return status;
}

fnd_status fnd_cache_get(fnd_cache *cache, fnd_hash128 key, const char *name, fnd_cache_build *build, void *ctx, void **code, fnd_error *err) {
    *code = NULL;
    pthread_mutex_lock(&cache->lock);
    entry **at, *e;
    fnd_status status = FND_ERR_CANCELLED;
    while ((e = *(at = find(cache, key))) && status == FND_ERR_CANCELLED) status = wait_for(cache, e, code, err);
    if (status != FND_ERR_CANCELLED) {
        /* another made it */
    } else if ((e = fnd_alloc_zeroed(1, sizeof *e))) {
        e->key = key;
        *at = e;
        status = make_new(cache, e, name, build, ctx, code, err);
    } else {
        status = fnd_fail(err, FND_ERR_MEMORY, "out of memory while looking up %s", name);
    }
    pthread_mutex_unlock(&cache->lock);
    return status;
}

fnd_cache_counters fnd_cache_count(fnd_cache *cache) {
    pthread_mutex_lock(&cache->lock);
    fnd_cache_counters counters = cache->counters;
    pthread_mutex_unlock(&cache->lock);
    return counters;
}

bool fnd_cache_notice(fnd_cache *cache, char *text, size_t bytes) {
    pthread_mutex_lock(&cache->disk.lock);
    bool has = cache->disk.has_notice;
    cache->disk.has_notice = false;
    if (has) snprintf(text, bytes, "%s", cache->disk.notice);
    pthread_mutex_unlock(&cache->disk.lock);
    return has;
}
