/* backend.h - what a machine must be able to do: one table of calls per backend.
 *
 * A backend knows memory, code and launches. It knows no kernel, no format and no model. Everything
 * above it (composition, binding, programs) is the same for all. Calls on one backend object come
 * from one thread at a time, except build and load, which any thread may call, and finish, which comes from
 * a second one. */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "base/process.h"
#include "foundry/profile.h"

#include <stdint.h>

typedef struct fnd_backend_desc {
    uint32_t    threads;   /* cpu: workers; 0 = one per core this process may use */
    uint32_t    unit_from; /* cpu: tokens from which on 8-bit products go to a matrix unit; 0 = as most like it */
    uint32_t    device;    /* which device of its kind; 0 = first */
    const char *isa;       /* cpu: "generic", "v3", "v4", "v4_vnni"...; NULL = best here. sim: "metal" runs the texts for Metal */
    const char *compiler;  /* cpu, sim: C compiler; NULL = first of cc, gcc, clang on the PATH */
    const char *metal_library; /* metal: in place of Apple's frameworks; NULL: those */
    uint32_t    compiler_seconds; /* a compiler that takes longer is stopped; 0 = FND_COMPILER_SECONDS */
    uint32_t    watchdog_seconds; /* cuda: a device that gets nowhere for so long is lost; 0 = none */
} fnd_backend_desc;

typedef struct fnd_device_info {
    char     name[96];        /* "Intel Xeon ... (2 threads, v4_vnni)" */
    char     target[192];     /* everything about the machine that decides what code fits it */
    const char *suffix;       /* ".cpu": which specialised texts fit; "" = portable texts only */
    uint32_t groups;          /* resident groups a launch should use */
    uint32_t lanes, warps;    /* of a group, by default */
    uint32_t max_threads;     /* of a group */
    uint32_t tile_rows;       /* rows of a weight tile; 0 = weights stay as the file has them */
    bool     reads_rows;      /* where there are tiles: texts for the device read weights as in the file too */
    uint32_t tile_tokens;     /* tokens that matrix kernels compute together in prefill */
    uint64_t panel_bytes, panel_token_bytes; /* scratch of each group that matrix kernels of many tokens ask for: once, and per token */
    uint32_t span_tokens;     /* 0, or: fewer tokens than tile_tokens are computed in spans of at most so many */
    bool     tile_rounds;     /* a whole tile's results are rounded otherwise than those of spans */
    uint32_t panel_tokens;    /* matrix kernels that compute so many tokens together have their stages in a group's
                               * panel_bytes, and activations in memory that all groups share (kernels/gemv/panel.cuda.h); 0: none */
    uint64_t flash_bytes;     /* of a group's memory for attention of many tokens (kernels/attention/flash.cuda.h); 0: none */
    uint64_t group_bytes;     /* group memory at most */
    bool     host_memory;     /* device pointers are host pointers */
    bool     counts_ops;      /* launches say how many operations they are: what is too long is cut */
    bool     runs_programs;   /* one function per program, groups meeting at fnd_grid_barrier */
    bool     runs_graphs;     /* takes launches with a fnd_graph */
    uint32_t stream_warps;    /* of a group beside one that brings a program's weights (dialect/stream.cuda.h); 0: no such */
    bool     can_build;       /* a compiler is present */
    char     why_not_build[256];
} fnd_device_info;

/* A piece of device memory. `address` is what kernels see. */
typedef struct fnd_memory {
    uint64_t address;
    void    *host;            /* where the host sees it; NULL when it cannot */
    size_t   bytes;
    void    *handle;          /* the backend's own */
} fnd_memory;

typedef struct fnd_blob {
    void  *data;              /* fnd_free_memory */
    size_t bytes;
} fnd_blob;

typedef struct fnd_build_desc {
    const char *entry;        /* name of the entry point */
    const char *text;         /* flattened: includes nothing but what the backend provides */
    uint32_t    warps;        /* FND_WARPS the text is compiled for (1 on the cpu) */
    bool        quick;        /* compile fast rather than well: tests */
    fnd_process_stop *stop;   /* ends it from another thread: FND_ERR_CANCELLED. NULL: nobody does */
} fnd_build_desc;

/* What loaded code takes, of each thread; shared memory of each group, without what a launch adds. */
typedef struct fnd_code_usage {
    uint32_t max_threads, registers, local_bytes, shared_bytes;
    uint32_t spill_store_bytes, spill_load_bytes; /* registers that were put into memory, and fetched back */
} fnd_code_usage;

/* One tensor argument of a launch, for backends that check accesses. */
typedef struct fnd_launch_buffer {
    const char *name;
    uint64_t    address, bytes;
    bool        reads, writes;
} fnd_launch_buffer;

typedef struct fnd_graph fnd_graph;

typedef struct fnd_launch {
    const char *label;
    void       *code;         /* from load */
    fnd_graph  *graph;        /* not NULL: these launches are to be made, and of the rest label and args count */
    size_t      args_at;      /* in a graph: where its part of the whole's args begins; `args` is then NULL */
    bool        is_program;   /* of a program's text: args are the table of its calls, its groups may meet */
    const void *args;         /* argument struct as the text declares it; copied by the call */
    size_t      args_bytes, values_at; /* where the numbers begin, behind the tensors */
    bool        concurrent;   /* needs nothing that the launches since the last one without this do */
    uint64_t    ops;          /* about; 0: not known, or nobody counts them */
    uint32_t    groups, warps;
    size_t      scratch_bytes;        /* device memory per group */
    size_t      ring_bytes;           /* of a weight stream: what must have room in its ring at once; 0: there is none */
    size_t      shared_scratch_bytes; /* cpu: seen by all groups */
    const fnd_launch_buffer *buffers;
    size_t      buffer_count;
} fnd_launch;

/* Launches that go to the device as one, again and again: each time the same code in the same order, with other
 * arguments. */
struct fnd_graph {
    fnd_launch *launches;
    size_t      count;
    void       *made;         /* the backend's own, NULL at first; goes with free_graph */
};

/* When a submission ran, on the monotonic clock of fnd_now_ns as near as the device can say; 0, 0: it cannot. */
typedef struct fnd_times {
    uint64_t start_ns, end_ns;
} fnd_times;

/* Submissions that were given a ticket and are not yet finished: a backend has room for this many. */
enum { FND_MAX_TICKETS = 64 };

typedef struct fnd_backend {
    const char *name;         /* "cpu" */
    const char *doc;
    /* Open the device. When it is not there: FND_ERR_UNSUPPORTED and a sentence that says why. */
    fnd_status (*open)(const fnd_backend_desc *desc, void **self, fnd_device_info *info, fnd_error *err);
    void (*close)(void *self);
    /* For `foundry doctor`: look closer at what cannot be looked at in every open, and say what was found. May
     * be NULL. */
    fnd_status (*check)(void *self, char *says, size_t bytes, fnd_error *err);

    /* Tokens from which on 8-bit products go to a matrix unit, for the launches that follow. NULL: there is no such choice. */
    void (*set_unit_from)(void *self, uint32_t tokens);

    /* Memory, zeroed, aligned to 64 bytes at least. */
    fnd_status (*alloc)(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
    /* Address space for `bytes`, of which nothing is usable before commit(bytes so far). */
    fnd_status (*reserve)(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
    fnd_status (*commit)(void *self, fnd_memory *memory, size_t bytes, fnd_error *err);
    /* Nobody needs what is in memory that was reserved and committed, nor in scratch memory of launches: it holds
     * anything from now on, and takes none of the machine's until it is written. Nothing runs. NULL: it stays. */
    void (*forget)(void *self, const fnd_memory *memory);
    void (*release)(void *self, fnd_memory *memory);
    /* Make host memory visible to kernels, read-only, in place (a mapped file). May be NULL. */
    fnd_status (*adopt)(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err);
    fnd_status (*upload)(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
    fnd_status (*download)(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err);

    /* Text -> loadable bytes. A compiler's complaint goes into err, first error first. */
    fnd_status (*build)(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err);
    fnd_status (*load)(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err);
    void (*unload)(void *self, void *code);
    /* What this code takes; false: it is not known. May be NULL. */
    bool (*usage)(void *self, const void *code, fnd_code_usage *out);

    /* What multiplies a matrix of so many bits a weight (8: codes of up to 8) with so many tokens, by texts of this
     * device's own; `tiles`: it lies in the device's tiles. NULL: not known. */
    fnd_unit (*unit)(const void *self, uint32_t bits, bool tiles, uint32_t tokens);

    /* Kernels compiled into the library, or NULL: code for the hash of a flattened text, for weights in tiles or in
     * rows as in the file, given back with unload; and what a weight of a format (by name) carries for kernels
     * of any format. NULL when there is none. */
    void *(*baked)(void *self, const uint64_t key[2], bool file_rows);
    const void *(*policy_ops)(void *self, const char *format, bool file_rows);

    /* Launches run in order; wait returns when all are done and reports the first failure of any that no
     * ticket tells of. */
    fnd_status (*launch)(void *self, const fnd_launch *launch, fnd_error *err);
    fnd_status (*wait)(void *self, fnd_error *err);
    /* Where info.runs_graphs: what `launch` made of a graph. It may be running. */
    void (*free_graph)(void *self, void *made);

    /* Work in flight: all three, or NULL where launch returns when the work is done.
     *   begin    what is launched from here to the next submit is one submission (a command buffer; two
     *            events round it); `label` is its path, "chat/token 17", copied by the call.
     *   submit   ends it, and gives it to the device. *ticket, if asked for, is to be finished. What was
     *            launched without begin and is still held back goes too; with ticket NULL nobody asks for it.
     *   finish   waits for the submission, tells its failure (here only, not in wait) and when it ran. From
     *            another thread than the other calls, beside them; once for each ticket, in their order.
     * At most FND_MAX_TICKETS tickets are not finished at a time. A failed begin, launch or submit leaves no
     * submission open and no ticket. */
    fnd_status (*begin)(void *self, const char *label, fnd_error *err);
    fnd_status (*submit)(void *self, uint64_t *ticket, fnd_error *err);
    fnd_status (*finish)(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err);
} fnd_backend;

/*    name  doc */
#define FND_BACKENDS(X)                                                              \
    X(cpu, "worker team on this machine's processor, kernels by the C compiler")     \
    X(cuda, "an NVIDIA GPU, kernels by NVRTC")                                       \
    X(metal, "an Apple GPU, kernels by Metal's compiler")                            \
    X(sim, "a GPU's geometry executed and checked on the processor: for tests")

#define FND_BACKEND_DECLARE_(name, doc) extern const fnd_backend fnd_backend_##name;
FND_BACKENDS(FND_BACKEND_DECLARE_)
#undef FND_BACKEND_DECLARE_

#endif
