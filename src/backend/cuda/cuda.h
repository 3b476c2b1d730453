/* cuda.h - one opened NVIDIA GPU. */
#ifndef BACKEND_CUDA_CUDA_H
#define BACKEND_CUDA_CUDA_H

#include "backend/backend.h"
#include "backend/cuda/api.h"
#include "backend/cuda/usage.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    FND_CUDA_STAGING_BYTES = 8 << 20, /* of each of the two pinned buffers */
};

/* Two pinned buffers: one is filled while the other is copied. */
typedef struct fnd_cuda_staging {
    uint8_t     *buffer[2];
    fnd_cu_event done[2];
    unsigned     next;
} fnd_cuda_staging;

/* Submissions round which events stand; ticket n has place n % FND_MAX_TICKETS. */
typedef struct fnd_cuda_submissions {
    fnd_cu_event     start[FND_MAX_TICKETS], end[FND_MAX_TICKETS]; /* made when first needed */
    fnd_cu_event     base;     /* recorded when the GPU was last idle, */
    uint64_t         base_ns;  /* which was then */
    uint64_t         given;    /* tickets so far */
    _Atomic uint64_t finished;
    bool             open;
} fnd_cuda_submissions;

/* Launches one behind the other, and an event behind the last of them when the next ones begin. */
enum { FND_CUDA_MARKS = 16,
       FND_CUDA_MARK_LAUNCHES = 32 };
typedef struct fnd_cuda_mark {
    fnd_cu_event event; /* made when first needed */
    uint32_t     launches;
    char         first[64], last[64]; /* labels */
} fnd_cuda_mark;

/* What the GPU has been given and is not known to have done: how a wait sees that it gets on, and says where it
 * stands. */
typedef struct fnd_cuda_watch {
    pthread_mutex_t lock;
    uint32_t        seconds; /* 0: nobody watches, and all below is unused */
    fnd_cuda_mark   marks[FND_CUDA_MARKS];
    uint64_t        begun, passed; /* marks whose event was recorded; which the GPU has passed. Mark `begun` is filled */
    _Atomic bool    lost;
    fnd_error       why;     /* once lost */
} fnd_cuda_watch;

typedef struct fnd_cuda_graph fnd_cuda_graph;

typedef struct fnd_cuda {
    const fnd_cuda_api *cu;
    const fnd_nvrtc_api *nvrtc;  /* NULL: nothing can be compiled */
    int                  device;
    fnd_cu_context       context;
    fnd_cu_stream        stream;
    fnd_cuda_staging     staging;
    fnd_cuda_submissions submissions;
    fnd_cuda_watch       watch;
    fnd_cuda_graph      *graphs; /* all that there are */
    fnd_cu_address       scratch, shared, table; /* shared: of all groups */
    size_t               scratch_bytes, shared_bytes, table_bytes, granularity;
    char                 arch[16]; /* "sm_90a" */
    char                 name[80];
    size_t               group_bytes; /* of fast memory, at most */
    uint32_t             groups, processors; /* groups: resident */
    fnd_error            failure; /* the first since the last wait */
} fnd_cuda;

typedef struct fnd_cuda_code {
    fnd_cu_module   module;
    fnd_cu_function function;
    int             registers, local_bytes, shared_bytes, max_threads;
    fnd_cuda_usage  usage; /* as the compiler told it, */
    bool            told;  /* where it did */
    size_t          dynamic_bytes; /* of fast memory that was asked for so far */
    unsigned        resident_threads, resident_shared; /* for which it was asked how many groups fit; 0: not yet */
    uint64_t        resident; /* that many, on all processors */
} fnd_cuda_code;

/* A launch as the driver is told of it. */
typedef struct fnd_cuda_config {
    fnd_cu_function function;
    unsigned        groups, threads, shared;
    bool            together; /* its groups meet */
    uint64_t        scratch, stride, shared_scratch;
} fnd_cuda_config;

/* Turn the driver's answer into a status and a sentence: "<what>: <the driver's words>". */
FND_USE_RESULT fnd_status fnd_cuda_check(const fnd_cuda_api *cu, int result, const char *what, fnd_error *err);
/* Make this device the calling thread's. Every call of the backend begins with it: none goes on where the device is
 * lost. */
FND_USE_RESULT fnd_status fnd_cuda_enter(fnd_cuda *c, fnd_error *err);

/* memory.c */
fnd_status fnd_cuda_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_cuda_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_cuda_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err);
void fnd_cuda_release(void *self, fnd_memory *memory);
fnd_status fnd_cuda_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
fnd_status fnd_cuda_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err);
FND_USE_RESULT fnd_status fnd_cuda_staging_open(fnd_cuda *c, fnd_error *err);
void fnd_cuda_staging_close(fnd_cuda *c);

/* build.c */
fnd_status fnd_cuda_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err);

/* launch.c */
fnd_status fnd_cuda_load(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err);
void fnd_cuda_unload(void *self, void *code);
bool fnd_cuda_usage_of(void *self, const void *code, fnd_code_usage *out);
fnd_status fnd_cuda_launch(void *self, const fnd_launch *launch, fnd_error *err);
fnd_status fnd_cuda_wait(void *self, fnd_error *err);
/* Memory in place, groups resident: what remains is the launch. The addresses hold until the next one is configured
 * that needs more memory. */
FND_USE_RESULT fnd_status fnd_cuda_configure(fnd_cuda *c, const fnd_launch *launch, fnd_cuda_config *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_cuda_start(fnd_cuda *c, const fnd_cuda_config *config, const void *args, const char *label, fnd_error *err);

/* graph.c */
FND_USE_RESULT fnd_status fnd_cuda_run_graph(fnd_cuda *c, const fnd_launch *launch, fnd_error *err);
void fnd_cuda_free_graph(void *self, void *made);

/* watch.c */
/* Wait for an event, or (NULL) for all that was launched: FND_ERR_DEVICE when the GPU gets nowhere for as long as is
 * allowed, and it is lost then. From any thread. */
fnd_status fnd_cuda_await(fnd_cuda *c, fnd_cu_event event, const char *what, fnd_error *err);
void fnd_cuda_watch_launched(fnd_cuda *c, const char *label);
void fnd_cuda_watch_passed(fnd_cuda *c); /* nothing runs */
FND_USE_RESULT fnd_status fnd_cuda_watch_check(fnd_cuda *c, fnd_error *err); /* is it lost? */
void fnd_cuda_watch_close(fnd_cuda *c);

/* submit.c */
fnd_status fnd_cuda_begin(void *self, const char *label, fnd_error *err);
fnd_status fnd_cuda_submit(void *self, uint64_t *ticket, fnd_error *err);
fnd_status fnd_cuda_finish(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err);
void fnd_cuda_submissions_close(fnd_cuda *c);

#endif
