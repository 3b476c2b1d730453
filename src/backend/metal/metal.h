/* metal.h - one opened Apple GPU. */
#ifndef BACKEND_METAL_METAL_H
#define BACKEND_METAL_METAL_H

#include "backend/backend.h"
#include "backend/metal/api.h"
#include "base/process.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    FND_METAL_LANES = 32,
    FND_METAL_STAGING_BYTES = 8 << 20, /* of one copy to private memory */
    FND_METAL_MAX_PATH = 160,
};

/* Memory that Foundry allocated, reserved or adopted, as one buffer, or where it is longer than Metal's longest
 * buffer, as several over the same memory, each beginning half a length behind the one before: what is at most
 * half a length long lies in one of them. */
typedef struct fnd_metal_block {
    uint64_t address;        /* what tensors are bound with: the host's address, or one of our own */
    size_t   bytes, usable;  /* reserved; with memory behind it */
    size_t   pad;            /* the buffers begin this many bytes before `address` */
    size_t   step;           /* from one buffer's beginning to the next; 0: there is one */
    uint8_t *mapping;        /* address space of our own, page by page; NULL: Metal's or the caller's */
    size_t   mapping_bytes;
    bool     on_host;
    uint32_t buffer_count;
    fnd_id   buffers[];
} fnd_metal_block;

/* A command buffer that was given to the GPU. The completion handler fills in what is below `done`. */
typedef struct fnd_metal_flight {
    struct fnd_metal_flight *next;
    struct fnd_metal        *metal;
    fnd_id                   commands;
    uint64_t                 ticket;  /* 0: nobody asks for it. Parts of one submission share theirs */
    char                     label[FND_METAL_MAX_PATH];
    bool                     done;
    double                   start_s, end_s;
    uint64_t                 seen_ns; /* on the host's clock, when its end was known */
    fnd_error                failure;
} fnd_metal_flight;

/* A pipeline that was built and not yet asked for by load. */
typedef struct fnd_metal_fresh {
    struct fnd_metal_fresh *next;
    uint64_t                hash[2]; /* of the blob */
    fnd_id                  pipeline;
} fnd_metal_fresh;

typedef struct fnd_metal {
    const fnd_metal_api *m;
    fnd_id               device, queue;
    char                 name[80];
    bool                 unified;         /* one memory for processor and GPU */
    uint64_t             max_buffer, group_bytes;
    uint32_t             max_warps;
    char                 xcrun[FND_PROCESS_PATH_BYTES]; /* "": no offline compiler */
    uint32_t             compiler_seconds;
    atomic_bool          library_refused; /* Metal does not take what the offline compiler makes */

    /* memory.c */
    fnd_metal_block    **blocks;          /* by address */
    size_t               block_count;
    uint64_t             next_address;    /* of memory that the host cannot see */
    fnd_id               nothing;         /* a small buffer, bound where there is nothing to bind */

    /* submit.c: what is being recorded */
    fnd_id               commands, compute, blit;
    uint32_t             recorded;        /* launches in `commands` */
    uint64_t             ops, most_ops;   /* of them; of a command buffer, but for a launch that is longer by itself */
    uint32_t             since_barrier;   /* launches in `compute` since its last barrier */
    bool                 begun;
    uint64_t             part_ticket;     /* of what is begun, where some of it is with the GPU already; 0: nothing */
    char                 label[FND_METAL_MAX_PATH];
    fnd_id               scratch;
    size_t               scratch_bytes, scratch_used;

    /* submit.c: what is in flight, oldest first */
    pthread_mutex_t      lock;
    pthread_cond_t       changed;
    fnd_metal_flight    *flights, *spare;
    uint64_t             tickets;
    int64_t              clock_offset_ns; /* from the GPU's clock to the host's, at most */
    bool                 clock_known;
    fnd_error            failure;         /* the first since the last wait */

    /* build.c */
    pthread_mutex_t      fresh_lock;
    fnd_metal_fresh     *fresh;
} fnd_metal;

typedef struct fnd_metal_code {
    fnd_id   pipeline;
    uint32_t warps;
} fnd_metal_code;

/* memory.c */
fnd_status fnd_metal_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_metal_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_metal_commit_memory(void *self, fnd_memory *memory, size_t bytes, fnd_error *err);
void fnd_metal_release(void *self, fnd_memory *memory);
fnd_status fnd_metal_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err);
void fnd_metal_release_all(fnd_metal *c);
/* The buffer in which [address, address + bytes) lies, and where in it. */
FND_USE_RESULT fnd_status fnd_metal_find(const fnd_metal *c, uint64_t address, uint64_t bytes, fnd_id *buffer, uint64_t *offset, fnd_error *err);
/* A buffer of the device's own, or what is missing: FND_ERR_MEMORY with a sentence. */
FND_USE_RESULT fnd_status fnd_metal_new_buffer(fnd_metal *c, size_t bytes, bool on_host, const char *label, fnd_id *out, fnd_error *err);

/* copy.c */
fnd_status fnd_metal_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
fnd_status fnd_metal_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err);

/* build.c */
fnd_status fnd_metal_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err);
fnd_status fnd_metal_load(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err);
void fnd_metal_unload(void *self, void *code);
void fnd_metal_forget_fresh(fnd_metal *c);
/* errors.c: the first errors of a compiler's output on one line, with the files and lines of the texts. */
void fnd_metal_explain(const char *text, const char *said, char *out, size_t bytes);
/* offline.c: text to a library by Apple's command line tools, where they are; c->xcrun says so. */
void fnd_metal_find_tools(fnd_metal *c, char *version, size_t bytes);
FND_USE_RESULT fnd_status fnd_metal_compile_offline(const fnd_metal *c, const fnd_build_desc *desc, const char *text, fnd_blob *out, fnd_error *err);

/* launch.c */
fnd_status fnd_metal_launch(void *self, const fnd_launch *launch, fnd_error *err);

/* submit.c */
/* The open encoder, of a command buffer that is begun when there is none. */
FND_USE_RESULT fnd_status fnd_metal_compute_encoder(fnd_metal *c, fnd_error *err);
FND_USE_RESULT fnd_status fnd_metal_blit_encoder(fnd_metal *c, fnd_error *err);
/* Give what is recorded to the GPU. */
FND_USE_RESULT fnd_status fnd_metal_commit(fnd_metal *c, uint64_t *ticket, fnd_error *err);
/* Give what is recorded to the GPU when another launch of so many operations would make it too long. */
FND_USE_RESULT fnd_status fnd_metal_cut(fnd_metal *c, uint64_t ops, fnd_error *err);
/* Commit, and wait until the GPU has done all. The first failure is kept for wait. */
fnd_status fnd_metal_drain(fnd_metal *c, fnd_error *err);
void fnd_metal_discard(fnd_metal *c); /* what is recorded, unrun */
void fnd_metal_forget_flights(fnd_metal *c);
fnd_status fnd_metal_wait(void *self, fnd_error *err);
fnd_status fnd_metal_begin(void *self, const char *label, fnd_error *err);
fnd_status fnd_metal_submit(void *self, uint64_t *ticket, fnd_error *err);
fnd_status fnd_metal_finish(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err);

#endif
