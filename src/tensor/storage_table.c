/* storage_table.c - slots, generations, and what became of storages that are gone. */
#include "tensor/storage_table.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

/* Slots come in chunks that are never freed, so that a number can be looked up without a lock and
 * stale tensors get an answer for as long as the process lives. */
enum { CHUNK_SLOTS = 64,
       CHUNKS = 65536 };
/* Freed slots rest until this many do, so that "what happened to it" is known for long. */
enum { RESTING_SLOTS = 1024 };

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(fnd_storage *) chunks[CHUNKS];
static uint32_t slot_count;                        /* that were ever used: numbers 1 .. slot_count */
static uint32_t free_first, free_last, free_count; /* a queue of those freed */
static fnd_storage_owner *owners;

fnd_storage *fnd_storage_slot(uint32_t id) {
    if (id == 0 || (id - 1) / CHUNK_SLOTS >= CHUNKS) return NULL;
    fnd_storage *chunk = atomic_load_explicit(&chunks[(id - 1) / CHUNK_SLOTS], memory_order_acquire);
    return chunk ? &chunk[(id - 1) % CHUNK_SLOTS] : NULL;
}

/* Needs the lock. */
static void put_free(fnd_storage *s) {
    s->next_free = 0;
    if (free_last) fnd_storage_slot(free_last)->next_free = s->id;
    free_last = s->id;
    if (!free_first) free_first = s->id;
    free_count++;
}

/* Needs the lock. NULL: there is no memory for one. */
static fnd_storage *take_new(void) {
    uint32_t chunk = slot_count / CHUNK_SLOTS;
    if (chunk == CHUNKS) return NULL;
    if (slot_count % CHUNK_SLOTS == 0) {
        fnd_storage *slots = fnd_alloc_zeroed(CHUNK_SLOTS, sizeof *slots);
        if (!slots) return NULL;
        atomic_store_explicit(&chunks[chunk], slots, memory_order_release);
    }
    fnd_storage *s = fnd_storage_slot(slot_count + 1);
    s->id = ++slot_count;
    return s;
}

/* Needs the lock. */
static fnd_storage *take_free(void) {
    fnd_storage *s = free_count <= RESTING_SLOTS ? take_new() : NULL;
    if (s || !free_first) return s;
    s = fnd_storage_slot(free_first);
    free_first = s->next_free;
    if (!free_first) free_last = 0;
    free_count--;
    return s;
}

static void link_newest(fnd_storage_owner *owner, fnd_storage *s) {
    s->older = owner->newest;
    s->newer = 0;
    if (owner->newest) fnd_storage_slot(owner->newest)->newer = s->id;
    owner->newest = s->id;
    if (s->kind != FND_STORAGE_POOLED) return;
    fnd_storage *pool = fnd_storage_slot(s->pool);
    s->pool_older = pool->pool_newest;
    pool->pool_newest = s->id;
    pool->pool_tensors++;
}

static void unlink_slot(fnd_storage *s) {
    if (s->older) fnd_storage_slot(s->older)->newer = s->newer;
    if (s->newer) fnd_storage_slot(s->newer)->older = s->older;
    if (s->owner->newest == s->id) s->owner->newest = s->older;
    if (s->kind != FND_STORAGE_POOLED) return;
    fnd_storage *pool = fnd_storage_slot(s->pool); /* tensors leave a pool newest first */
    pool->pool_newest = s->pool_older;
    pool->pool_tensors--;
}

fnd_status fnd_storage_add(fnd_storage_owner *owner, const fnd_storage_new *n, fnd_storage **out, fnd_error *err) {
    pthread_mutex_lock(&table_lock);
    fnd_storage *s = take_free();
    if (s) {
        s->kind = n->kind;
        s->owner = owner;
        s->context = owner->context;
        s->block = n->block;
        s->base = n->base;
        s->bytes = n->bytes;
        atomic_store_explicit(&s->usable, n->usable, memory_order_relaxed);
        atomic_store_explicit(&s->bound, 0, memory_order_relaxed);
        s->held = 0;
        s->mirror_valid = false;
        s->dirty_lo = s->dirty_hi = 0;
        s->pool = n->pool;
        s->pool_newest = s->pool_older = 0;
        s->pool_used = s->pool_tensors = 0;
        snprintf(s->name, sizeof s->name, "%s", n->name ? n->name : "");
        link_newest(owner, s);
        atomic_fetch_add_explicit(&s->generation, 1, memory_order_release); /* odd: live */
    }
    pthread_mutex_unlock(&table_lock);
    *out = s;
    if (s) fnd_storage_hold(s, n->held);
    return s ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory in the table of tensors");
}

void fnd_storage_hold(fnd_storage *s, uint64_t bytes) {
    fnd_storage_owner *owner = s->owner;
    s->held += bytes;
    uint64_t held = atomic_fetch_add(&owner->bytes_held, bytes) + bytes;
    uint64_t peak = atomic_load(&owner->bytes_peak);
    while (held > peak && !atomic_compare_exchange_weak(&owner->bytes_peak, &peak, held)) {
    }
}

void fnd_storage_retire(fnd_storage *s, fnd_fate fate, const char *fate_name) {
    fnd_storage_owner *owner = s->owner;
    if (s->kind == FND_STORAGE_POOL) {
        while (s->pool_newest) fnd_storage_retire(fnd_storage_slot(s->pool_newest), fate, fate_name);
        if (fate == FND_FATE_POOL_DESTROYED) fate = FND_FATE_DESTROYED;
    }
    pthread_mutex_lock(&table_lock);
    s->fate = fate;
    snprintf(s->fate_name, sizeof s->fate_name, "%s", fate_name);
    atomic_fetch_add_explicit(&s->generation, 1, memory_order_release); /* even: gone */
    unlink_slot(s);
    pthread_mutex_unlock(&table_lock);
    if (s->kind != FND_STORAGE_POOLED) {
        fnd_storage_lock(owner);
        owner->ops->release(owner->self, &s->block);
        fnd_storage_unlock(owner);
        atomic_fetch_sub(&owner->bytes_held, s->held);
    }
    fnd_free_memory(atomic_exchange(&s->mirror, NULL));
    pthread_mutex_lock(&table_lock);
    s->owner = NULL;
    s->context = NULL;
    s->block = (fnd_block){ 0 };
    if (atomic_load(&s->generation) < UINT32_MAX - 1) put_free(s); /* else its numbers are used up */
    pthread_mutex_unlock(&table_lock);
}

fnd_storage *fnd_storage_by_id(uint32_t id, uint32_t generation) {
    fnd_storage *s = fnd_storage_slot(id);
    if (!s || !(generation & 1)) return NULL;
    return atomic_load_explicit(&s->generation, memory_order_acquire) == generation ? s : NULL;
}

static const char *fate_text(fnd_fate fate) {
    switch (fate) {
#define FND_FATE_ROW_(id, text) \
    case FND_FATE_##id: \
        return text;
        FND_FATES(FND_FATE_ROW_)
#undef FND_FATE_ROW_
    }
    return "it is gone";
}

fnd_status fnd_storage_stale(const char *what, uint32_t id, uint32_t generation, fnd_error *err) {
    char happened[128];
    pthread_mutex_lock(&table_lock);
    fnd_storage *s = fnd_storage_slot(id);
    uint32_t now = s ? atomic_load(&s->generation) : 0;
    if (!s || !(generation & 1) || generation > now) {
        snprintf(happened, sizeof happened, "it was never allocated");
    } else if (now - generation > 2) {
        snprintf(happened, sizeof happened, "it was freed long ago");
    } else {
        const char *text = fate_text(s->fate), *at = strstr(text, "%s");
        if (at) {
            snprintf(happened, sizeof happened, "%.*s%s%s", (int)(at - text), text, s->fate_name, at + 2);
        } else {
            snprintf(happened, sizeof happened, "%s", text);
        }
    }
    pthread_mutex_unlock(&table_lock);
    return fnd_fail(err, FND_ERR_STALE, "%s cannot be used: %s", what, happened);
}

fnd_status fnd_storage_find(const foundry *f, const fnd_tensor *t, fnd_storage **out, fnd_error *err) {
    fnd_storage *s = fnd_storage_by_id(t->storage, t->generation);
    if (s && s->context == f) {
        *out = s;
        return FND_OK;
    }
    char text[192];
    if (t->storage == 0) return fnd_fail(err, FND_ERR_USAGE, "%s has no storage: it was never allocated, or is already freed", fnd_tensor_describe(t, text, sizeof text));
    fnd_tensor_describe(t, text, sizeof text);
    if (!s) {
        char what[224];
        snprintf(what, sizeof what, "tensor %s", text);
        return fnd_storage_stale(what, t->storage, t->generation, err);
    }
    return fnd_fail(err, FND_ERR_USAGE, "tensor %s belongs to another context than the one it is used with", text);
}

/* ---- owners ------------------------------------------------------------------------------------ */

fnd_status fnd_storage_open(const fnd_storage_ops *ops, void *self, const foundry *context, const char *name, fnd_storage_owner **out, fnd_error *err) {
    *out = NULL;
    fnd_storage_owner *owner = fnd_alloc_zeroed(1, sizeof *owner);
    if (!owner) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the storage of context %s", name);
    owner->ops = ops;
    owner->self = self;
    owner->context = context;
    snprintf(owner->name, sizeof owner->name, "%s", name);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&owner->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_lock(&table_lock);
    owner->next = owners;
    owners = owner;
    pthread_mutex_unlock(&table_lock);
    *out = owner;
    return FND_OK;
}

void fnd_storage_close(fnd_storage_owner *owner) {
    if (!owner) return;
    while (owner->newest) fnd_storage_retire(fnd_storage_slot(owner->newest), FND_FATE_CONTEXT_CLOSED, owner->name);
    pthread_mutex_lock(&table_lock);
    for (fnd_storage_owner **at = &owners; *at; at = &(*at)->next) {
        if (*at != owner) continue;
        *at = owner->next;
        break;
    }
    pthread_mutex_unlock(&table_lock);
    pthread_mutex_destroy(&owner->lock);
    fnd_free_memory(owner);
}

fnd_storage_owner *fnd_storage_owner_of(const foundry *context) {
    pthread_mutex_lock(&table_lock);
    fnd_storage_owner *owner = owners;
    while (owner && owner->context != context) owner = owner->next;
    pthread_mutex_unlock(&table_lock);
    return owner;
}

fnd_status fnd_storage_owner_get(const foundry *f, fnd_storage_owner **out, fnd_error *err) {
    *out = f ? fnd_storage_owner_of(f) : NULL;
    if (*out) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, f ? "the context is closed" : "no context was given (NULL)");
}

void fnd_storage_lock(fnd_storage_owner *owner) { pthread_mutex_lock(&owner->lock); }
void fnd_storage_unlock(fnd_storage_owner *owner) { pthread_mutex_unlock(&owner->lock); }

void fnd_storage_get_counts(const fnd_storage_owner *owner, fnd_storage_counts *out) {
    *out = (fnd_storage_counts){
        .allocations = atomic_load(&owner->allocations),
        .bytes_held = atomic_load(&owner->bytes_held),
        .bytes_peak = atomic_load(&owner->bytes_peak),
        .uploaded_bytes = atomic_load(&owner->uploaded_bytes),
        .downloaded_bytes = atomic_load(&owner->downloaded_bytes),
        .uploads = atomic_load(&owner->uploads),
        .downloads = atomic_load(&owner->downloads),
        .waits = atomic_load(&owner->waits),
    };
}
