/* tensor.c - making tensors and giving them back. */
#include "foundry/tensor.h"
#include "base/base.h"
#include "tensor/storage_table.h"

#include <stdio.h>

enum { FIRST_COMMIT_BYTES = 64 << 10 };

static void place(fnd_tensor *t, const fnd_storage *s, uint64_t offset_bytes) {
    t->storage = s->id;
    t->generation = atomic_load_explicit(&s->generation, memory_order_relaxed);
    t->offset_bytes = offset_bytes;
}

/* Ask the device for memory and put it into a slot. */
static fnd_status make_storage(fnd_storage_owner *owner, fnd_storage_kind kind, uint64_t bytes, fnd_storage **out, fnd_error *err) {
    fnd_storage_new n = { .kind = kind, .bytes = bytes };
    fnd_storage_lock(owner);
    fnd_status status;
    if (kind == FND_STORAGE_GROWING) {
        status = owner->ops->reserve(owner->self, (size_t)bytes, &n.block, err);
    } else {
        status = owner->ops->alloc(owner->self, (size_t)bytes, &n.block, err);
        n.usable = n.held = bytes;
    }
    atomic_fetch_add_explicit(&owner->allocations, 1, memory_order_relaxed);
    if (status == FND_OK) {
        status = fnd_storage_add(owner, &n, out, err);
        if (status != FND_OK) owner->ops->release(owner->self, &n.block);
    }
    fnd_storage_unlock(owner);
    return status;
}

/* init NULL: what is in it is whatever was there. */
static fnd_status make_tensor(foundry *f, fnd_format format, fnd_shape shape, uint32_t tile_rows, const fnd_init *init, fnd_dedicated *out, fnd_error *err) {
    fnd_storage_owner *owner;
    fnd_storage *s;
    fnd_tensor t;
    uint64_t bytes;
    FND_TRY(fnd_storage_owner_get(f, &owner, err));
    FND_TRY(fnd_tensor_plan(format, shape, tile_rows, &t, &bytes, err));
    FND_TRY(make_storage(owner, FND_STORAGE_DEDICATED, bytes, &s, err));
    fnd_status status = init ? fnd_tensor_fill(s, &t, init, true, err) : FND_OK;
    if (status != FND_OK) {
        fnd_storage_retire(s, FND_FATE_FREED, "");
        return status;
    }
    place(&t, s, 0);
    out->t = t;
    return FND_OK;
}

fnd_status fnd_alloc(foundry *f, fnd_format format, fnd_shape shape, fnd_init init, fnd_dedicated *out, fnd_error *err) {
    *out = (fnd_dedicated){ 0 };
    return make_tensor(f, format, shape, 0, &init, out, err);
}

fnd_status fnd_alloc_tiled(foundry *f, fnd_format format, fnd_shape shape, uint32_t tile_rows, fnd_dedicated *out, fnd_error *err) {
    *out = (fnd_dedicated){ 0 };
    if (tile_rows == 0) return fnd_fail(err, FND_ERR_SHAPE, "a tiled tensor with tiles of 0 rows was asked for");
    return make_tensor(f, format, shape, tile_rows, NULL, out, err);
}

fnd_status fnd_tensor_free(foundry *f, fnd_dedicated *x, fnd_error *err) {
    if (x->t.storage == 0) return FND_OK;
    fnd_storage *s;
    FND_TRY(fnd_storage_find(f, &x->t, &s, err));
    if (s->kind != FND_STORAGE_DEDICATED && s->kind != FND_STORAGE_GROWING) {
        char text[192];
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s does not own its storage and cannot be freed", fnd_tensor_describe(&x->t, text, sizeof text));
    }
    fnd_status status = fnd_storage_settle(s, err);
    fnd_storage_retire(s, FND_FATE_FREED, "");
    *x = (fnd_dedicated){ 0 };
    return status;
}

/* ---- growing ----------------------------------------------------------------------------------- */

fnd_status fnd_reserve(foundry *f, fnd_format format, fnd_shape limit, fnd_dedicated *out, fnd_error *err) {
    *out = (fnd_dedicated){ 0 };
    fnd_storage_owner *owner;
    fnd_storage *s;
    fnd_tensor t;
    uint64_t bytes;
    FND_TRY(fnd_storage_owner_get(f, &owner, err));
    FND_TRY(fnd_tensor_plan(format, limit, 0, &t, &bytes, err));
    FND_TRY(make_storage(owner, FND_STORAGE_GROWING, bytes, &s, err));
    place(&t, s, 0);
    out->t = t;
    return FND_OK;
}

static fnd_status commit(fnd_storage *s, uint64_t bytes, fnd_error *err) {
    fnd_storage_owner *owner = s->owner;
    uint64_t before = atomic_load_explicit(&s->usable, memory_order_relaxed);
    fnd_storage_lock(owner);
    fnd_status status = owner->ops->commit(owner->self, &s->block, (size_t)bytes, err);
    fnd_storage_unlock(owner);
    atomic_fetch_add_explicit(&owner->allocations, 1, memory_order_relaxed);
    if (status != FND_OK) return status;
    atomic_store_explicit(&s->usable, bytes, memory_order_relaxed);
    fnd_storage_hold(s, bytes - before);
    return FND_OK;
}

fnd_status fnd_grow(foundry *f, fnd_dedicated *x, uint64_t count, fnd_error *err) {
    fnd_storage *s;
    char text[192];
    FND_TRY(fnd_storage_find(f, &x->t, &s, err));
    if (count > x->t.shape[0]) {
        return fnd_fail(err, FND_ERR_LIMIT, "tensor %s cannot grow to %llu: %llu is its limit", fnd_tensor_describe(&x->t, text, sizeof text),
                        (unsigned long long)count, (unsigned long long)x->t.shape[0]);
    }
    uint64_t usable = atomic_load_explicit(&s->usable, memory_order_relaxed);
    uint64_t need = s->bytes / x->t.shape[0] * count;
    if (need <= usable) return FND_OK;
    if (s->kind != FND_STORAGE_GROWING) {
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s was not made by fnd_reserve and cannot grow", fnd_tensor_describe(&x->t, text, sizeof text));
    }
    uint64_t want = usable ? usable : FIRST_COMMIT_BYTES;
    while (want < need) want *= 2;
    if (want == usable) want *= 2;
    if (want > s->bytes) want = s->bytes;
    fnd_error first = { 0 };
    if (commit(s, want, want > need ? &first : err) == FND_OK) return FND_OK;
    if (want > need && commit(s, need, NULL) == FND_OK) return FND_OK; /* no room to double, but for what is needed */
    return fnd_fail(err, FND_ERR_MEMORY, "tensor %s cannot grow to %llu: %s", fnd_tensor_describe(&x->t, text, sizeof text), (unsigned long long)count, first.text);
}

uint64_t fnd_usable(const fnd_tensor *t) {
    const fnd_storage *s = fnd_storage_by_id(t->storage, t->generation);
    if (!s) return 0;
    uint64_t usable = atomic_load_explicit(&s->usable, memory_order_relaxed);
    if (usable == s->bytes) return t->shape[0];
    const fnd_format_info *info = fnd_format_get(t->format);
    uint64_t step = (t->rank > 1 ? t->stride[0] : 1) * info->block_bytes;
    if (usable <= t->offset_bytes || step == 0) return 0;
    uint64_t count = (usable - t->offset_bytes) / step * (t->rank > 1 ? 1 : info->block_weights);
    return count < t->shape[0] ? count : t->shape[0];
}

/* ---- host memory ------------------------------------------------------------------------------- */

/* In place where the device can see it, else a copy. */
static fnd_status adopt_block(fnd_storage_owner *owner, const fnd_adopt_desc *desc, fnd_storage_new *n, fnd_error *err) {
    if (owner->ops->can_adopt) return owner->ops->adopt(owner->self, desc->host, (size_t)n->bytes, &n->block, err);
    atomic_fetch_add_explicit(&owner->allocations, 1, memory_order_relaxed);
    FND_TRY(owner->ops->alloc(owner->self, (size_t)n->bytes, &n->block, err));
    n->held = n->bytes;
    atomic_fetch_add_explicit(&owner->uploads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&owner->uploaded_bytes, n->bytes, memory_order_relaxed);
    fnd_status status = owner->ops->upload(owner->self, &n->block, 0, desc->host, (size_t)n->bytes, err);
    if (status != FND_OK) owner->ops->release(owner->self, &n->block);
    return status;
}

fnd_status fnd_tensor_adopt(foundry *f, const fnd_adopt_desc *desc, fnd_const_view *out, fnd_error *err) {
    *out = (fnd_const_view){ 0 };
    fnd_storage_owner *owner;
    fnd_storage *s;
    fnd_tensor t;
    fnd_storage_new n = { .kind = FND_STORAGE_ADOPTED };
    FND_TRY(fnd_storage_owner_get(f, &owner, err));
    FND_TRY(fnd_tensor_plan(desc->format, desc->shape, 0, &t, &n.bytes, err));
    fnd_tensor_set_name(&t, desc->name);
    if (!desc->host || desc->bytes < n.bytes) {
        char text[192];
        return fnd_fail(err, FND_ERR_SHAPE, "tensor %s needs %llu bytes of host memory, %zu were given", fnd_tensor_describe(&t, text, sizeof text),
                        (unsigned long long)n.bytes, desc->host ? desc->bytes : 0);
    }
    n.usable = n.bytes;
    fnd_storage_lock(owner);
    fnd_status status = adopt_block(owner, desc, &n, err);
    if (status == FND_OK) {
        status = fnd_storage_add(owner, &n, &s, err);
        if (status != FND_OK) owner->ops->release(owner->self, &n.block);
    }
    fnd_storage_unlock(owner);
    if (status != FND_OK) return status;
    place(&t, s, 0);
    *out = fnd_const_view_of(&t);
    return FND_OK;
}

fnd_status fnd_tensor_unadopt(foundry *f, fnd_const_view *x, fnd_error *err) {
    if (x->private_.storage == 0) return FND_OK;
    fnd_storage *s;
    FND_TRY(fnd_storage_find(f, &x->private_, &s, err));
    if (s->kind != FND_STORAGE_ADOPTED) {
        char text[192];
        return fnd_fail(err, FND_ERR_USAGE, "tensor %s is not adopted host memory", fnd_tensor_describe(&x->private_, text, sizeof text));
    }
    fnd_status status = fnd_storage_settle(s, err);
    fnd_storage_retire(s, FND_FATE_UNADOPTED, "");
    *x = (fnd_const_view){ 0 };
    return status;
}
