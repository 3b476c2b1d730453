/* storage_table.h - the inside of the storage table, for the files of this folder. */
#ifndef TENSOR_STORAGE_TABLE_H
#define TENSOR_STORAGE_TABLE_H

#include "tensor/storage.h"

#include <pthread.h>
#include <stdatomic.h>

/* Storages up to this size keep a copy on the host where the device's memory is not the host's. */
enum { FND_MIRROR_BYTES = 4 << 20 };
enum { FND_POOL_ALIGNMENT = 128 };

/*    id               what happened to a tensor; %s is the name of its pool or context */
#define FND_FATES(X)                                         \
    X(FREED,           "it was freed")                       \
    X(POOL_RESET,      "its pool '%s' was reset")            \
    X(POOL_DESTROYED,  "its pool '%s' was destroyed")        \
    X(DESTROYED,       "it was destroyed")                   \
    X(UNADOPTED,       "its host memory was given back")     \
    X(CONTEXT_CLOSED,  "its context (%s) was closed")

typedef enum fnd_fate {
#define FND_FATE_ROW_(id, text) FND_FATE_##id,
    FND_FATES(FND_FATE_ROW_)
#undef FND_FATE_ROW_
} fnd_fate;

typedef enum fnd_storage_kind {
    FND_STORAGE_DEDICATED,
    FND_STORAGE_GROWING,
    FND_STORAGE_ADOPTED,
    FND_STORAGE_POOL,   /* the memory of a pool */
    FND_STORAGE_POOLED  /* a tensor in a pool: shares its block */
} fnd_storage_kind;

/* A slot. Written under the table's lock while it is free, by its one user afterwards; what several
 * threads may touch at once is atomic or under the owner's lock. */
typedef struct fnd_storage {
    _Atomic uint32_t   generation;
    uint32_t           id;
    fnd_storage_kind   kind;
    fnd_storage_owner *owner;
    const foundry     *context;
    fnd_block          block;
    uint64_t           base;      /* of this storage in the block */
    uint64_t           bytes;     /* from there */
    _Atomic uint64_t   usable;    /* committed so far; = bytes unless growing */
    uint64_t           held;      /* device memory that goes with it */
    _Atomic uint64_t   bound;     /* the last submission that took it since the host last waited for it; 0: none */

    /* The host's copy, under the owner's lock except where noted. */
    _Atomic(uint8_t *) mirror;
    bool               mirror_valid;        /* the same as the device's, but for the dirty bytes */
    uint64_t           dirty_lo, dirty_hi;  /* written by the host, not yet uploaded */

    /* By age within the owner; tensors of a pool by age within the pool. Numbers, 0 = none. */
    uint32_t           older, newer;
    uint32_t           pool, pool_newest, pool_older;
    uint64_t           pool_used, pool_tensors;
    char               name[FND_NAME_BYTES]; /* of a pool */

    /* What became of the generation before this one. */
    fnd_fate           fate;
    char               fate_name[FND_NAME_BYTES];
    uint32_t           next_free;
} fnd_storage;

struct fnd_storage_owner {
    const fnd_storage_ops *ops;
    void                  *self;
    const foundry         *context;
    char                   name[FND_NAME_BYTES];
    pthread_mutex_t        lock; /* recursive */
    uint32_t               newest, oldest;
    fnd_storage_owner     *next;
    _Atomic uint64_t       allocations, bytes_held, bytes_peak, uploaded_bytes, downloaded_bytes, uploads, downloads, waits;
};

/* What a slot starts with. */
typedef struct fnd_storage_new {
    fnd_storage_kind kind;
    fnd_block        block;
    uint64_t         base, bytes, usable, held;
    uint32_t         pool;
    const char      *name;
} fnd_storage_new;

/* Take a slot; the block is the slot's from then on (not for POOLED). On failure the caller still
 * has it. */
FND_USE_RESULT fnd_status fnd_storage_add(fnd_storage_owner *owner, const fnd_storage_new *n, fnd_storage **out, fnd_error *err);
/* The storage goes: everything that names it is stale. Frees mirror and block. */
void fnd_storage_retire(fnd_storage *s, fnd_fate fate, const char *fate_name);
/* The slot of a number, live or not; NULL for 0 and numbers never given. */
fnd_storage *fnd_storage_slot(uint32_t id);
/* NULL when the number or the generation is not that of a live slot. */
fnd_storage *fnd_storage_by_id(uint32_t id, uint32_t generation);
/* The storage of a tensor, in context f; sentences for zero, stale and foreign ones. */
FND_USE_RESULT fnd_status fnd_storage_find(const foundry *f, const fnd_tensor *t, fnd_storage **out, fnd_error *err);
/* FND_ERR_STALE with "<what> cannot be used: <what happened>". */
fnd_status fnd_storage_stale(const char *what, uint32_t id, uint32_t generation, fnd_error *err);
/* The owner of f, else FND_ERR_USAGE: "the context is closed". */
FND_USE_RESULT fnd_status fnd_storage_owner_get(const foundry *f, fnd_storage_owner **out, fnd_error *err);
/* Wait for what took this storage since the last time this was called. */
FND_USE_RESULT fnd_status fnd_storage_settle(fnd_storage *s, fnd_error *err);
/* A storage holds so many bytes of device memory more. */
void fnd_storage_hold(fnd_storage *s, uint64_t bytes);

/* Host access to the bytes of a storage, lo from its base. They take the owner's lock. */
FND_USE_RESULT fnd_status fnd_storage_put(fnd_storage *s, uint64_t lo, const void *data, uint64_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_storage_get(fnd_storage *s, uint64_t lo, void *data, uint64_t bytes, fnd_error *err);

/* tensor_shape.c: a contiguous tensor of this format and shape, without storage, and its size. */
FND_USE_RESULT fnd_status fnd_tensor_plan(fnd_format format, fnd_shape shape, uint32_t tile_rows, fnd_tensor *out, uint64_t *bytes, fnd_error *err);
/* "f32 [4, 896]" */
char *fnd_shape_describe(fnd_format format, const fnd_shape *shape, char *text, size_t bytes);
/* tensor_data.c: fill freshly made storage. */
FND_USE_RESULT fnd_status fnd_tensor_fill(fnd_storage *s, const fnd_tensor *t, const fnd_init *init, bool zeroed, fnd_error *err);

#endif
