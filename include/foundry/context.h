/* context.h - a foundry: one open device and everything made on it.
 *
 * Zero in every field of an fnd_desc means the default. The library reads no environment variable
 * except in fnd_options_from_environment. Calls on one foundry may come from several threads;
 * fnd_close only when no other thread uses it any more.
 */
#ifndef FOUNDRY_CONTEXT_H
#define FOUNDRY_CONTEXT_H

#include "foundry/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct foundry foundry;

enum { FND_PATH_BYTES = 1024, FND_MAX_THREADS = 1024, FND_COMPILER_SECONDS = 300, FND_WATCHDOG_SECONDS = 60 };
#define FND_NO_WATCHDOG UINT32_MAX

typedef struct fnd_desc {
    const char *backend;    /* "cpu" (default), "cuda", "metal", "sim" */
    uint32_t    threads;    /* workers, at most FND_MAX_THREADS; 0: as tuned, else one per core this process may use */
    uint32_t    unit_from;  /* cpu, isa "amx": tokens read together from which on codes of 8 bits go to the matrix unit, which
                             * changes no bit of a result; 0: as tuned, else 48 */
    uint32_t    device;     /* which device of its kind; 0: the first */
    const char *isa;        /* "generic" forces the portable texts; NULL: the best here. On sim, "metal": texts for Metal */
    const char *compiler;   /* C compiler of the backends that need one; NULL: first on the PATH */
    const char *metal_library; /* metal: opened in place of Apple's frameworks (tests); NULL: those */
    uint32_t    compiler_seconds; /* a compiler that takes longer for one text is stopped; 0: FND_COMPILER_SECONDS */
    uint32_t    watchdog_seconds; /* cuda: a GPU that finishes none of its work for so long is lost, and every call
                             * says so; 0: FND_WATCHDOG_SECONDS; FND_NO_WATCHDOG: it may take any time */
    const char *kernel_dir; /* kernel texts found here replace those inside the library */
    const char *cache_dir;  /* compiled kernels on disk; NULL: default_cache_dir */
    bool        no_cache;   /* neither read nor write compiled kernels on disk */
    bool        no_baked;   /* do not use kernels compiled into the library */
    bool        untuned;    /* do not look for what `foundry tune` has measured, in the cache's folder */
    bool        no_build;   /* never call a compiler */
    bool        wait_for_build; /* compile programs before their first run, not beside it; where that
                                 * fails, the library's kernels serve all the same, with a notice */
    bool        quick_build; /* compile fast rather than well: tests */
    char        default_cache_dir[FND_PATH_BYTES]; /* filled by fnd_options_from_environment; empty: no
                                                    * cache on disk unless cache_dir names one */
} fnd_desc;

/* How a program runs (foundry/run.h): as one kernel after the other, or as one thing. The results are the same. */
typedef enum fnd_program_form {
    FND_PROGRAM_AUTO,      /* persistent where the device runs programs so, else launches */
    FND_PROGRAM_LAUNCH,    /* a launch for every call */
    FND_PROGRAM_GRAPH,     /* these launches, captured once and then given to the device as one (cuda) */
    FND_PROGRAM_PERSISTENT /* one function, whose groups meet at barriers (cpu, cuda) */
} fnd_program_form;
enum { FND_PROGRAM_FORMS = FND_PROGRAM_PERSISTENT + 1 };

/* "auto", "launch", "graph", "persistent". */
const char *fnd_program_form_name(fnd_program_form form);
/* FND_ERR_UNSUPPORTED, with a sentence that names those it has, where the device runs no programs in this form. */
FND_USE_RESULT fnd_status fnd_program_form_check(const foundry *f, fnd_program_form form, fnd_error *err);

typedef struct fnd_context_info {
    const char *backend;       /* "cpu" */
    const char *device;        /* "Intel Xeon ... (2 threads, v4_vnni)" */
    const char *target;        /* all that decides which code fits the device */
    uint32_t    groups, lanes; /* resident groups of a launch; lanes of a warp */
    uint32_t    tile_rows;     /* rows of a weight tile; 0: weights stay as in the file */
    bool        reads_rows;    /* kernels made for this device read weights as in the file, be there tiles or not */
    bool        host_memory;   /* kernels work in the host's memory */
    bool        can_build;     /* a compiler is there */
    const char *why_not_build; /* "" when it is */
} fnd_context_info;

/* Fill the fields of *desc that are still zero from the environment; all values are checked.
 *
 *   FOUNDRY_BACKEND     a name fnd_backend_name gives
 *   FOUNDRY_THREADS     1 .. FND_MAX_THREADS
 *   FOUNDRY_ISA         letters, digits and _
 *   FOUNDRY_KERNEL_DIR  folder of kernel texts
 *   FOUNDRY_CACHE_DIR   folder of compiled kernels, else $XDG_CACHE_HOME/foundry, else
 *                       $HOME/.cache/foundry, where these are absolute paths
 *   FOUNDRY_WATCHDOG_SECONDS  0 (no limit) .. 86400
 *   FOUNDRY_METAL_LIBRARY  path of a library in place of Apple's frameworks (tests)
 *
 * The strings are those of the environment: open the foundry before changing it. */
FND_USE_RESULT fnd_status fnd_options_from_environment(fnd_desc *desc, fnd_error *err);

/* Names of the backends in this library, by index; NULL after the last. */
const char *fnd_backend_name(size_t index);
const char *fnd_backend_doc(size_t index);

/* Open a device; desc may be NULL. Strings of the desc are copied. */
FND_USE_RESULT fnd_status fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err);
/* Wait for all work, release the resources in reverse order of their making, free all tensors and
 * pools (what is left of them is stale from now on) and close the device. NULL is fine; a foundry
 * closed before is FND_ERR_USAGE. Returns the first failure of work still running. */
fnd_status fnd_close(foundry *f, fnd_error *err);

/* What went on without failing anything and should be known: compiled kernels cannot be kept, a program
 * could not be compiled and runs from the library. True when there is one; each is told once. */
bool fnd_next_notice(foundry *f, char *text, size_t bytes);

/* Valid until fnd_close. */
FND_USE_RESULT fnd_status fnd_info(const foundry *f, fnd_context_info *out, fnd_error *err);

/* Look closer at the device than fnd_open does, as `foundry doctor` shows it: says[] is a sentence, or "" where
 * there is nothing to look at. FND_ERR_DEVICE: the device is not what this library expects. */
FND_USE_RESULT fnd_status fnd_device_check(foundry *f, char *says, size_t bytes, fnd_error *err);

/* ---- resources: one object of a type per foundry --------------------------------------------
 *
 *     FND_RESOURCE_DECLARE(kv_cache, kv_cache_type);                       in a header
 *     FND_RESOURCE_DEFINE(kv_cache, kv_cache_type, kv_init, kv_release)    in one .c file
 *
 *     kv_cache *kv = fnd_resource(f, &kv_cache_type, &err);                made on first use
 *
 * kv_init is fnd_status (*)(foundry *, kv_cache *, fnd_error *), on zeroed memory; it may ask for
 * other resources, not for its own. kv_release is void (*)(foundry *, kv_cache *); fnd_close calls
 * them in reverse order of creation. The result has the type the descriptor was declared with, so
 * that asking for another does not compile. NULL on failure, with the reason in *err. Thread-safe. */
typedef struct fnd_resource_type {
    const char *name;
    size_t      bytes;
    fnd_status (*init)(foundry *f, void *object, fnd_error *err);
    void       (*release)(foundry *f, void *object);
} fnd_resource_type;

FND_USE_RESULT void *fnd_resource_any(foundry *f, const fnd_resource_type *type, fnd_error *err);

#define FND_RESOURCE_DECLARE(type, descriptor)                                        \
    typedef struct descriptor##_s {                                                   \
        fnd_resource_type base;                                                       \
        type           *(*typed)(void); /* always NULL; carries the type */           \
    } descriptor##_s;                                                                 \
    extern const descriptor##_s descriptor

#define FND_RESOURCE_DEFINE(type, descriptor, init_fn, release_fn)                                \
    static fnd_status descriptor##_init(foundry *f_, void *object_, fnd_error *err_) {            \
        return init_fn(f_, (type *)object_, err_);                                                \
    }                                                                                             \
    static void descriptor##_release(foundry *f_, void *object_) { release_fn(f_, (type *)object_); } \
    const descriptor##_s descriptor = { { #type, sizeof(type), descriptor##_init, descriptor##_release }, NULL };

#define fnd_resource(f, descriptor, err) \
    ((__typeof__((descriptor)->typed()))fnd_resource_any(f, &(descriptor)->base, err))

#ifdef __cplusplus
}
#endif
#endif
