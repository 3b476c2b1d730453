/* pool.c - one block of device memory for many tensors that end together. */
#include "foundry/tensor.h"
#include "base/base.h"
#include "tensor/storage_table.h"

#include <stdio.h>

static fnd_status find_pool(const fnd_pool *pool, fnd_storage **out, fnd_error *err) {
    fnd_storage *s = fnd_storage_by_id(pool->storage, pool->generation);
    if (s && s->kind == FND_STORAGE_POOL) {
        *out = s;
        return FND_OK;
    }
    if (pool->storage == 0) return fnd_fail(err, FND_ERR_USAGE, "a pool that was never created, or is already destroyed, cannot be used");
    char what[64];
    snprintf(what, sizeof what, "pool '%.*s'", FND_NAME_BYTES - 1, pool->name);
    if (s) return fnd_fail(err, FND_ERR_USAGE, "%s is not a pool", what);
    return fnd_storage_stale(what, pool->storage, pool->generation, err);
}

fnd_status fnd_pool_create(foundry *f, uint64_t bytes, const char *name, fnd_pool *out, fnd_error *err) {
    *out = (fnd_pool){ 0 };
    fnd_storage_owner *owner;
    FND_TRY(fnd_storage_owner_get(f, &owner, err));
    if (bytes == 0 || bytes > SIZE_MAX / 2) return fnd_fail(err, FND_ERR_LIMIT, "a pool '%s' of %llu bytes was asked for", name ? name : "", (unsigned long long)bytes);
    fnd_storage_new n = { .kind = FND_STORAGE_POOL, .bytes = bytes, .usable = bytes, .held = bytes, .name = name };
    fnd_storage *s = NULL;
    fnd_storage_lock(owner);
    atomic_fetch_add_explicit(&owner->allocations, 1, memory_order_relaxed);
    fnd_status status = owner->ops->alloc(owner->self, (size_t)bytes, &n.block, err);
    if (status == FND_OK) {
        status = fnd_storage_add(owner, &n, &s, err);
        if (status != FND_OK) owner->ops->release(owner->self, &n.block);
    }
    fnd_storage_unlock(owner);
    if (status != FND_OK) return status;
    out->storage = s->id;
    out->generation = atomic_load_explicit(&s->generation, memory_order_relaxed);
    snprintf(out->name, sizeof out->name, "%s", name ? name : "");
    return FND_OK;
}

fnd_status fnd_pool_alloc(const fnd_pool *pool, fnd_format format, fnd_shape shape, fnd_init init, fnd_pooled *out, fnd_error *err) {
    *out = (fnd_pooled){ 0 };
    fnd_storage *p, *s = NULL;
    fnd_tensor t;
    uint64_t bytes;
    FND_TRY(find_pool(pool, &p, err));
    FND_TRY(fnd_tensor_plan(format, shape, 0, &t, &bytes, err));
    if (bytes > p->bytes - p->pool_used) {
        char text[160];
        return fnd_fail(err, FND_ERR_LIMIT, "pool '%s' has %llu of its %llu bytes left; a tensor %s needs %llu", p->name, (unsigned long long)(p->bytes - p->pool_used),
                        (unsigned long long)p->bytes, fnd_shape_describe(format, &shape, text, sizeof text), (unsigned long long)bytes);
    }
    fnd_storage_new n = { .kind = FND_STORAGE_POOLED, .block = p->block, .base = p->pool_used, .bytes = bytes, .usable = bytes, .pool = p->id };
    FND_TRY(fnd_storage_add(p->owner, &n, &s, err));
    fnd_status status = fnd_tensor_fill(s, &t, &init, false, err);
    if (status != FND_OK) {
        fnd_storage_retire(s, FND_FATE_FREED, "");
        return status;
    }
    uint64_t end = p->pool_used + bytes;
    p->pool_used = p->bytes - end < FND_POOL_ALIGNMENT ? p->bytes : fnd_round_up(end, FND_POOL_ALIGNMENT);
    t.storage = s->id;
    t.generation = atomic_load_explicit(&s->generation, memory_order_relaxed);
    out->t = t;
    return FND_OK;
}

fnd_status fnd_pool_info(const fnd_pool *pool, fnd_pool_usage *out, fnd_error *err) {
    fnd_storage *p;
    *out = (fnd_pool_usage){ 0 };
    FND_TRY(find_pool(pool, &p, err));
    *out = (fnd_pool_usage){ .bytes = p->bytes, .used_bytes = p->pool_used, .tensors = p->pool_tensors };
    return FND_OK;
}

/* Wait once if any tensor of the pool may still be in use. */
static fnd_status settle_tensors(const fnd_storage *p, fnd_error *err) {
    for (fnd_storage *s = fnd_storage_slot(p->pool_newest); s; s = fnd_storage_slot(s->pool_older)) {
        if (atomic_load_explicit(&s->bound, memory_order_relaxed)) return fnd_storage_wait(p->owner, err);
    }
    return FND_OK;
}

fnd_status fnd_pool_reset(const fnd_pool *pool, fnd_error *err) {
    fnd_storage *p;
    FND_TRY(find_pool(pool, &p, err));
    fnd_status status = settle_tensors(p, err);
    while (p->pool_newest) fnd_storage_retire(fnd_storage_slot(p->pool_newest), FND_FATE_POOL_RESET, p->name);
    p->pool_used = 0;
    return status;
}

fnd_status fnd_pool_destroy(fnd_pool *pool, fnd_error *err) {
    if (pool->storage == 0) return FND_OK;
    fnd_storage *p;
    FND_TRY(find_pool(pool, &p, err));
    fnd_status status = settle_tensors(p, err);
    char name[FND_NAME_BYTES];
    memcpy(name, p->name, sizeof name);
    fnd_storage_retire(p, FND_FATE_POOL_DESTROYED, name);
    *pool = (fnd_pool){ 0 };
    return status;
}
