/* registry.c - resources: made on first use, released in reverse order. */
#include "run/registry.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/context.h"

struct fnd_resource_entry {
    const fnd_resource_type *type;
    void *object;
    fnd_resource_entry *next;
};

void fnd_registry_init(fnd_registry *r) {
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&r->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

void fnd_registry_release(fnd_registry *r, foundry *f) {
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    fnd_resource_entry *e;
    while ((e = atomic_load(&r->newest))) {
        atomic_store(&r->newest, e->next);
        if (e->type->release) e->type->release(f, e->object);
        fnd_free_memory(e->object);
        fnd_free_memory(e);
    }
    pthread_mutex_unlock(&r->lock);
}

void fnd_registry_free(fnd_registry *r) { pthread_mutex_destroy(&r->lock); }

static void *find(fnd_resource_entry *e, const fnd_resource_type *type) {
    while (e && e->type != type) e = e->next;
    return e ? e->object : NULL;
}

/* Make the object with the lock held. An init that asks for the same resource again would wait for
 * itself: that is a sentence. */
static fnd_status make(fnd_registry *r, foundry *f, const fnd_resource_type *type, void **object, fnd_error *err) {
    for (const fnd_resource_entry *e = r->making; e; e = e->next) {
        if (e->type == type) return fnd_fail(err, FND_ERR_USAGE, "resource %s needs itself while it is made", type->name);
    }
    if (r->closed) return fnd_fail(err, FND_ERR_USAGE, "resource %s cannot be made: the context is being closed", type->name);
    fnd_resource_entry *e = fnd_alloc_zeroed(1, sizeof *e);
    void *memory = fnd_alloc_zeroed(1, type->bytes);
    if (!e || !memory) {
        fnd_free_memory(e);
        fnd_free_memory(memory);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for resource %s of %zu bytes", type->name, type->bytes);
    }
    *e = (fnd_resource_entry){ .type = type, .object = memory, .next = r->making };
    r->making = e;
    fnd_error first = { 0 };
    fnd_status status = type->init ? type->init(f, memory, &first) : FND_OK;
    r->making = e->next;
    if (status != FND_OK) {
        fnd_free_memory(e);
        fnd_free_memory(memory);
        return fnd_fail(err, status, "resource %s could not be made: %s", type->name, first.text[0] ? first.text : fnd_status_text(status));
    }
    e->next = atomic_load(&r->newest);
    atomic_store_explicit(&r->newest, e, memory_order_release);
    *object = memory;
    return FND_OK;
}

void *fnd_resource_any(foundry *f, const fnd_resource_type *type, fnd_error *err) {
    if (fnd_context_check(f, err) != FND_OK) return NULL;
    fnd_registry *r = &f->registry;
    void *object = find(atomic_load_explicit(&r->newest, memory_order_acquire), type);
    if (object) return object;
    pthread_mutex_lock(&r->lock);
    object = find(atomic_load_explicit(&r->newest, memory_order_relaxed), type);
    if (!object && make(r, f, type, &object, err) != FND_OK) object = NULL;
    pthread_mutex_unlock(&r->lock);
    return object;
}
