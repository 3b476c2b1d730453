/* storage.h - the storage table: which memory a tensor lives in, and whether it still exists.
 *
 * One table for the process, which outlives pools and contexts. A slot is found by the number in a
 * tensor, and is the tensor's own as long as both carry the same generation: when the storage goes,
 * the slot's generation goes up, and every tensor that still names the old one is stale.
 *
 * An fnd_storage_owner is one context's share: the calls that reach its device, a lock, and all its
 * storages by age. Calls to the device are made with the owner's lock held; whoever else uses the
 * same device (launches, waits) holds it too. It may be taken again by the thread that holds it.
 */
#ifndef TENSOR_STORAGE_H
#define TENSOR_STORAGE_H

#include "foundry/tensor.h"

#include <stdint.h>

/* A piece of device memory, as a backend describes it. */
typedef struct fnd_block {
    uint64_t address; /* what kernels see */
    void    *host;    /* where the host sees it; NULL when it cannot */
    size_t   bytes;
    void    *handle;  /* the device's own */
} fnd_block;

/* How this layer reaches a device. */
typedef struct fnd_storage_ops {
    bool host_memory; /* kernels work in the host's memory: block.host is never NULL */
    bool can_adopt;
    fnd_status (*alloc)(void *self, size_t bytes, fnd_block *out, fnd_error *err); /* zeroed */
    fnd_status (*reserve)(void *self, size_t bytes, fnd_block *out, fnd_error *err);
    fnd_status (*commit)(void *self, fnd_block *block, size_t bytes, fnd_error *err);
    void (*forget)(void *self, const fnd_block *block); /* what is in it, and in scratch memory; NULL: it stays */
    void (*release)(void *self, fnd_block *block);
    fnd_status (*adopt)(void *self, const void *host, size_t bytes, fnd_block *out, fnd_error *err);
    fnd_status (*upload)(void *self, fnd_block *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
    fnd_status (*download)(void *self, void *to, const fnd_block *from, size_t offset, size_t bytes, fnd_error *err);
    fnd_status (*wait)(void *self, fnd_error *err); /* for all launches so far */
    fnd_status (*wait_for)(void *self, uint64_t submission, fnd_error *err); /* and those before it */
} fnd_storage_ops;

typedef struct fnd_storage_owner fnd_storage_owner;

typedef struct fnd_storage_counts {
    uint64_t allocations, bytes_held, bytes_peak, uploaded_bytes, downloaded_bytes, uploads, downloads, waits;
} fnd_storage_counts;

/* `ops` and `context` must outlive the owner; `name` is for messages. */
FND_USE_RESULT fnd_status fnd_storage_open(const fnd_storage_ops *ops, void *self, const foundry *context, const char *name, fnd_storage_owner **out, fnd_error *err);
/* Frees every storage, newest first; all are stale from now on, with "its context was closed".
 * Nothing may run on the device any more. */
void fnd_storage_close(fnd_storage_owner *owner);
/* The owner of an open context; NULL when it is closed (or never was). Does not look into it. */
fnd_storage_owner *fnd_storage_owner_of(const foundry *context);
void fnd_storage_lock(fnd_storage_owner *owner);
void fnd_storage_unlock(fnd_storage_owner *owner);
void fnd_storage_get_counts(const fnd_storage_owner *owner, fnd_storage_counts *out);
/* Nobody needs what is in a tensor of fnd_reserve: its memory may go until it is written again, and the
 * device's scratch memory with it. Waits for launches that may use it. */
FND_USE_RESULT fnd_status fnd_storage_forget(const foundry *f, const fnd_dedicated *x, fnd_error *err);
/* Wait for the launches that took a tensor: what the host writes next waits for nothing that is launched until then. */
FND_USE_RESULT fnd_status fnd_storage_free_for_host(const foundry *f, const fnd_tensor *t, fnd_error *err);
/* Wait for all launches so far. */
FND_USE_RESULT fnd_status fnd_storage_wait(fnd_storage_owner *owner, fnd_error *err);

/* What a launch needs to know of a bound tensor. */
typedef struct fnd_storage_ref {
    uint64_t address; /* of the tensor's first value */
    uint64_t bytes;   /* from there to its last, or to the end of what fnd_grow has committed */
    bool     partial; /* the latter: less than its shape says */
    void    *host;    /* the same memory for the host; NULL when it cannot see it */
} fnd_storage_ref;

/* What takes a tensor: a submission by its number, or a launch outside of them, which only a wait for all
 * tells of. */
#define FND_PLAIN_LAUNCH UINT64_MAX

/* Before every launch, for each tensor it is bound to: check that the storage exists in this
 * context, upload what the host wrote, and note that host access has to wait for the device first;
 * for_write also marks the host's copy as old, and refuses read-only tensors. A few loads when there
 * is nothing to do. */
FND_USE_RESULT fnd_status fnd_storage_bind(const foundry *f, const fnd_tensor *t, bool for_write, uint64_t submission, fnd_storage_ref *out, fnd_error *err);
/* The same for a plain launch. */
FND_USE_RESULT fnd_status fnd_storage_for_read(const foundry *f, const fnd_tensor *t, fnd_storage_ref *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_storage_for_write(const foundry *f, const fnd_tensor *t, fnd_storage_ref *out, fnd_error *err);

#endif
