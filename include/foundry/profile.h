/* profile.h - where the time and the bytes go.
 *
 * Every dispatch is recorded by itself, named after its kernel, with its time and the bytes that its
 * argument list says it moves. FND_SCOPE adds levels:
 *
 *     FND_SCOPE(f, "decode") {
 *         ... everything recorded here has the path "decode" ...
 *     }
 *
 * While the profiler is off, a dispatch or scope costs one branch. While on, records leave through a
 * ring buffer that a thread of its own drains; records that find it full are counted and reported.
 * It can be switched at any time, also while other threads record. Times are nanoseconds of
 * the monotonic clock, bytes are bytes, bandwidths are bytes per second.
 */
#ifndef FOUNDRY_PROFILE_H
#define FOUNDRY_PROFILE_H

#include "foundry/context.h"
#include "foundry/status.h"

#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FND_PROFILE_PATH_BYTES = 128, FND_PROFILE_KERNEL_BYTES = 64 };

/* What multiplies: each has a rate of its own, under which kernels are seen.
 *    id              name */
#define FND_UNITS(X)                              \
    X(FLOATS,         "float products")           \
    X(BF16_DOTS,      "bf16 dot products")        \
    X(INT8_DOTS,      "int8 dot products")        \
    X(BF16_MATRICES,  "bf16 matrix products")     \
    X(INT8_MATRICES,  "int8 matrix products")

typedef enum fnd_unit {
#define FND_UNIT_ROW_(id, name) FND_UNIT_##id,
    FND_UNITS(FND_UNIT_ROW_)
#undef FND_UNIT_ROW_
    FND_UNIT_COUNT
} fnd_unit;

const char *fnd_unit_name(fnd_unit unit);

typedef struct fnd_profile_desc {
    uint32_t    ring_records;    /* rounded up to a power of two; 0: 16384. The first start decides */
    const char *lines_path;      /* write JSON lines here; NULL: none */
    const char *trace_path;      /* write a Chrome trace here (chrome://tracing, Perfetto); NULL: none */
    double      bandwidth;       /* read bandwidth measured on this machine, bytes/s; 0: not known */
    double      ops_rates[FND_UNIT_COUNT]; /* products and sums a second, each counted, measured on it; 0: not known */
} fnd_profile_desc;

/* Start with empty tables; desc may be NULL. Already running: FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_profile_start(foundry *f, const fnd_profile_desc *desc, fnd_error *err);
/* Stop, drain what was recorded and finish the files. The tables stay for the calls below until the
 * next start. Not running: FND_OK. A file that could not be written in full: FND_ERR_FILE. */
fnd_status fnd_profile_stop(foundry *f, fnd_error *err);
bool       fnd_profile_running(const foundry *f);

/* One line of the table: all calls of one kernel under one path, or all passes of a scope. */
typedef struct fnd_profile_row {
    char     path[FND_PROFILE_PATH_BYTES];     /* labels joined by '/', outermost first; may be "" */
    char     kernel[FND_PROFILE_KERNEL_BYTES]; /* "" for a scope */
    uint64_t calls;
    uint64_t total_ns, min_ns, max_ns;
    uint64_t self_ns;                          /* of a scope: less what is spent in scopes and dispatches within it */
    uint64_t bytes_read, bytes_written, ops;   /* of a scope: of the dispatches below it */
    uint64_t unit_ops[FND_UNIT_COUNT];         /* the same operations by what computes them; all zero: not known */
} fnd_profile_row;

typedef struct fnd_profile_totals {
    uint64_t records, lost;     /* drained; lost because the ring was full */
    uint64_t dispatch_ns;       /* sum over dispatches */
    uint64_t bytes_read, bytes_written, ops;
    double   bandwidth, ops_rates[FND_UNIT_COUNT]; /* as given to start */
} fnd_profile_totals;

/* Copy up to `capacity` rows, most total time first, and return how many there are. Works while
 * running too, with everything recorded before the call. rows may be NULL with capacity 0. */
size_t fnd_profile_rows(foundry *f, fnd_profile_row *rows, size_t capacity);
void   fnd_profile_get_totals(foundry *f, fnd_profile_totals *out);
/* Share of the roof over it that a row reached, 0 to 1 (more where caches served): of the bandwidth, or of the
 * rates of what computes it where its operations for each byte are too many for that (Williams et al. 2009).
 * 0: not known. `roof`, if not NULL: "memory", or the name of the unit that takes longest; "-": not known. */
double fnd_profile_of_roof(const fnd_profile_row *row, const fnd_profile_totals *totals, const char **roof);
/* The table as text: calls, total us, us/call, MB and 10^6 operations of a call, GB/s, per cent of the measured
 * bandwidth, operations for each byte, 10^9 operations/s, per cent of the roof and which, per cent of all time; the
 * roofs; counters. Of time each row has what is its own (self_ns), so that all rows together are 100. */
FND_USE_RESULT fnd_status fnd_profile_print(foundry *f, FILE *to, fnd_error *err);

/* ---- compiled code ---------------------------------------------------------------------------- */

/* What a compiled kernel takes of the device: of each thread; shared memory of each group, without what a
 * launch adds. Known on `cuda`. */
typedef struct fnd_profile_code {
    char     kernel[FND_PROFILE_KERNEL_BYTES]; /* its entry point */
    uint32_t max_threads, registers, local_bytes, shared_bytes;
    uint32_t spill_store_bytes, spill_load_bytes; /* registers that were put into memory, and fetched back */
} fnd_profile_code;

/* Copy up to `capacity` of the kernels compiled or loaded so far, those that spill first, and return how many
 * there are: 0 where the backend does not know. codes may be NULL with capacity 0. */
size_t fnd_profile_codes(foundry *f, fnd_profile_code *codes, size_t capacity);

/* ---- scopes --------------------------------------------------------------------------------- */

/* A level of the path of this thread. `open` is false when the profiler was off at its beginning. */
typedef struct fnd_scope {
    foundry *f;
    uint64_t start_ns;
    uint32_t before_bytes; /* length of the path outside */
    bool     open;
} fnd_scope;

fnd_scope fnd_scope_begin(foundry *f, const char *name);
void      fnd_scope_end(fnd_scope *scope);

/* The next statement or block is a scope. Leaving it by break, return or goto ends it too. */
#define FND_SCOPE(f, name) FND_SCOPE_AT_(f, name, __COUNTER__)
#define FND_SCOPE_AT_(f, name, number) FND_SCOPE_NAMED_(f, name, number)
#define FND_SCOPE_NAMED_(f, name, number)                                                                    \
    for (fnd_scope fnd_scope_##number __attribute__((cleanup(fnd_scope_end))) = fnd_scope_begin(f, name),    \
                                     *fnd_once_##number = &fnd_scope_##number;                               \
         fnd_once_##number; fnd_once_##number = NULL)

/* ---- counters: always on --------------------------------------------------------------------- */

/*    id                name                doc */
#define FND_COUNTERS(X)                                                                     \
    X(COMPILATIONS,     compilations,       "kernels compiled")                             \
    X(MEMORY_HITS,      memory_hits,        "kernels found in memory")                      \
    X(DISK_HITS,        disk_hits,          "kernels found in the cache on disk")           \
    X(DISCARDED,        discarded,          "kernels in the cache on disk that were of no use, and compiled anew") \
    X(BAKED_HITS,       baked_hits,         "kernels found in the library itself")          \
    X(ALLOCATIONS,      allocations,        "pieces of device memory asked for")            \
    X(BYTES_HELD,       bytes_held,         "bytes of device memory held now")              \
    X(BYTES_PEAK,       bytes_peak,         "bytes of device memory held at most")          \
    X(UPLOADED_BYTES,   uploaded_bytes,     "bytes copied to the device")                   \
    X(DOWNLOADED_BYTES, downloaded_bytes,   "bytes copied from the device")                 \
    X(WAITS,            waits,              "waits for the device")                         \
    X(SUBMISSIONS,      submissions,        "submissions to the device")                    \
    X(DISPATCHES,       dispatches,         "kernels launched")

typedef enum fnd_counter {
#define FND_COUNTER_ROW_(id, name, doc) FND_COUNTER_##id,
    FND_COUNTERS(FND_COUNTER_ROW_)
#undef FND_COUNTER_ROW_
    FND_COUNTER_COUNT
} fnd_counter;

uint64_t    fnd_counter_get(const foundry *f, fnd_counter counter);
const char *fnd_counter_name(fnd_counter counter);

#ifdef __cplusplus
}
#endif
#endif
