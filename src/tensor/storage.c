/* storage.c - the host's and the device's copies of a storage, kept in step.
 *
 * Where kernels work in the host's memory there is one copy, and host access only has to wait for
 * them. Elsewhere the device's copy is the truth, except for the dirty bytes: what the host wrote and
 * nobody has read on the device yet. Small storages keep a mirror on the host, which collects writes
 * and answers repeated reads; large ones are copied straight through.
 */
#include "tensor/storage.h"
#include "base/base.h"
#include "base/memory.h"
#include "tensor/storage_table.h"

fnd_status fnd_storage_wait(fnd_storage_owner *owner, fnd_error *err) {
    fnd_storage_lock(owner);
    fnd_status status = owner->ops->wait(owner->self, err);
    atomic_fetch_add_explicit(&owner->waits, 1, memory_order_relaxed);
    fnd_storage_unlock(owner);
    return status;
}

/* Whether the launches that took it are done is known only from a wait after its binding: waits of
 * others in between, before the launch itself, say nothing. */
fnd_status fnd_storage_settle(fnd_storage *s, fnd_error *err) {
    if (!atomic_load_explicit(&s->bound, memory_order_relaxed)) return FND_OK;
    uint64_t submission = atomic_exchange_explicit(&s->bound, 0, memory_order_relaxed);
    if (submission == FND_PLAIN_LAUNCH) return fnd_storage_wait(s->owner, err);
    fnd_storage_lock(s->owner);
    fnd_status status = s->owner->ops->wait_for(s->owner->self, submission, err);
    atomic_fetch_add_explicit(&s->owner->waits, 1, memory_order_relaxed);
    fnd_storage_unlock(s->owner);
    return status;
}

/* ---- copies; all need the owner's lock ----------------------------------------------------------- */

static fnd_status upload(fnd_storage *s, uint64_t lo, const void *data, uint64_t bytes, fnd_error *err) {
    atomic_fetch_add_explicit(&s->owner->uploads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->owner->uploaded_bytes, bytes, memory_order_relaxed);
    return s->owner->ops->upload(s->owner->self, &s->block, (size_t)(s->base + lo), data, (size_t)bytes, err);
}

static fnd_status download(fnd_storage *s, uint64_t lo, void *data, uint64_t bytes, fnd_error *err) {
    atomic_fetch_add_explicit(&s->owner->downloads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->owner->downloaded_bytes, bytes, memory_order_relaxed);
    return s->owner->ops->download(s->owner->self, data, &s->block, (size_t)(s->base + lo), (size_t)bytes, err);
}

/* Upload the dirty bytes, if any, after what still runs. */
static fnd_status flush(fnd_storage *s, fnd_error *err) {
    if (s->dirty_lo == s->dirty_hi) return FND_OK;
    FND_TRY(fnd_storage_settle(s, err));
    uint8_t *mirror = atomic_load_explicit(&s->mirror, memory_order_relaxed);
    FND_TRY(upload(s, s->dirty_lo, mirror + s->dirty_lo, s->dirty_hi - s->dirty_lo, err));
    s->dirty_lo = s->dirty_hi = 0;
    return FND_OK;
}

/* The mirror of a small storage; NULL for a large one, or when memory is short: both go without. */
static uint8_t *mirror_of(fnd_storage *s) {
    uint8_t *mirror = atomic_load_explicit(&s->mirror, memory_order_relaxed);
    if (mirror || s->bytes > FND_MIRROR_BYTES || s->kind == FND_STORAGE_GROWING) return mirror;
    mirror = fnd_alloc_aligned((size_t)s->bytes, 64);
    atomic_store_explicit(&s->mirror, mirror, memory_order_release);
    return mirror;
}

static fnd_status put_locked(fnd_storage *s, uint64_t lo, const void *data, uint64_t bytes, fnd_error *err) {
    if (s->owner->ops->host_memory) {
        FND_TRY(fnd_storage_settle(s, err));
        memcpy((uint8_t *)s->block.host + s->base + lo, data, (size_t)bytes);
        return FND_OK;
    }
    uint8_t *mirror = mirror_of(s);
    if (!mirror) {
        FND_TRY(fnd_storage_settle(s, err));
        return upload(s, lo, data, bytes, err);
    }
    uint64_t hi = lo + bytes;
    bool dirty = s->dirty_lo < s->dirty_hi;
    bool gap = dirty && (lo > s->dirty_hi || hi < s->dirty_lo); /* between them: bytes only the device has */
    if (gap && !s->mirror_valid) {
        FND_TRY(flush(s, err));
        dirty = false;
    }
    memcpy(mirror + lo, data, (size_t)bytes);
    s->dirty_lo = dirty && s->dirty_lo < lo ? s->dirty_lo : lo;
    s->dirty_hi = dirty && s->dirty_hi > hi ? s->dirty_hi : hi;
    if (s->dirty_lo == 0 && s->dirty_hi == s->bytes) s->mirror_valid = true;
    return FND_OK;
}

static fnd_status get_locked(fnd_storage *s, uint64_t lo, void *data, uint64_t bytes, fnd_error *err) {
    if (s->owner->ops->host_memory) {
        FND_TRY(fnd_storage_settle(s, err));
        memcpy(data, (const uint8_t *)s->block.host + s->base + lo, (size_t)bytes);
        return FND_OK;
    }
    uint8_t *mirror = mirror_of(s);
    if (mirror && !s->mirror_valid && !(lo >= s->dirty_lo && lo + bytes <= s->dirty_hi)) {
        FND_TRY(flush(s, err));
        FND_TRY(fnd_storage_settle(s, err));
        FND_TRY(download(s, 0, mirror, s->bytes, err));
        s->mirror_valid = true;
    }
    if (mirror) {
        memcpy(data, mirror + lo, (size_t)bytes);
        return FND_OK;
    }
    FND_TRY(fnd_storage_settle(s, err));
    return download(s, lo, data, bytes, err);
}

fnd_status fnd_storage_put(fnd_storage *s, uint64_t lo, const void *data, uint64_t bytes, fnd_error *err) {
    if (bytes == 0) return FND_OK;
    fnd_storage_lock(s->owner);
    fnd_status status = put_locked(s, lo, data, bytes, err);
    fnd_storage_unlock(s->owner);
    return status;
}

fnd_status fnd_storage_get(fnd_storage *s, uint64_t lo, void *data, uint64_t bytes, fnd_error *err) {
    if (bytes == 0) return FND_OK;
    fnd_storage_lock(s->owner);
    fnd_status status = get_locked(s, lo, data, bytes, err);
    fnd_storage_unlock(s->owner);
    return status;
}

fnd_status fnd_storage_forget(const foundry *f, const fnd_dedicated *x, fnd_error *err) {
    fnd_storage *s;
    FND_TRY(fnd_storage_find(f, &x->t, &s, err));
    if (!s->owner->ops->forget || s->kind != FND_STORAGE_GROWING) return FND_OK;
    fnd_storage_lock(s->owner);
    fnd_status status = fnd_storage_settle(s, err);
    if (status == FND_OK) s->owner->ops->forget(s->owner->self, &s->block);
    fnd_storage_unlock(s->owner);
    return status;
}

fnd_status fnd_storage_free_for_host(const foundry *f, const fnd_tensor *t, fnd_error *err) {
    fnd_storage *s;
    FND_TRY(fnd_storage_find(f, t, &s, err));
    return fnd_storage_settle(s, err);
}

/* ---- before a launch ----------------------------------------------------------------------------- */

/* The later of two that take it; a plain launch is later than any submission. */
static void take(fnd_storage *s, uint64_t submission) {
    uint64_t last = atomic_load_explicit(&s->bound, memory_order_relaxed);
    while (last < submission && !atomic_compare_exchange_weak_explicit(&s->bound, &last, submission, memory_order_relaxed, memory_order_relaxed)) {
    }
}

fnd_status fnd_storage_bind(const foundry *f, const fnd_tensor *t, bool for_write, uint64_t submission, fnd_storage_ref *out, fnd_error *err) {
    fnd_storage *s;
    if (for_write && t->flags & FND_TENSOR_READ_ONLY) {
        char text[192];
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s is read-only and cannot be an output", fnd_tensor_describe(t, text, sizeof text));
    }
    FND_TRY(fnd_storage_find(f, t, &s, err));
    uint64_t extent = fnd_tensor_extent_bytes(t), usable = atomic_load_explicit(&s->usable, memory_order_relaxed);
    if (extent == 0 || t->offset_bytes > s->bytes || extent > s->bytes - t->offset_bytes) {
        char text[192];
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s reaches beyond the %llu bytes of its storage", fnd_tensor_describe(t, text, sizeof text), (unsigned long long)s->bytes);
    }
    if (atomic_load_explicit(&s->mirror, memory_order_acquire)) {
        fnd_storage_lock(s->owner);
        fnd_status status = flush(s, err);
        if (for_write) s->mirror_valid = false;
        fnd_storage_unlock(s->owner);
        FND_TRY(status);
    }
    take(s, submission);
    uint64_t left = usable > t->offset_bytes ? usable - t->offset_bytes : 0;
    *out = (fnd_storage_ref){
        .address = s->block.address + s->base + t->offset_bytes,
        .bytes = extent < left ? extent : left,
        .partial = left < extent,
        .host = s->block.host ? (uint8_t *)s->block.host + s->base + t->offset_bytes : NULL,
    };
    return FND_OK;
}

fnd_status fnd_storage_for_read(const foundry *f, const fnd_tensor *t, fnd_storage_ref *out, fnd_error *err) {
    return fnd_storage_bind(f, t, false, FND_PLAIN_LAUNCH, out, err);
}

fnd_status fnd_storage_for_write(const foundry *f, const fnd_tensor *t, fnd_storage_ref *out, fnd_error *err) {
    return fnd_storage_bind(f, t, true, FND_PLAIN_LAUNCH, out, err);
}
