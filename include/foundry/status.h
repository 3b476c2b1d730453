/* status.h - how Foundry says that something went wrong.
 *
 * Three kinds of failure:
 *   the caller's bug      an assert in debug builds, FND_ERR_USAGE in release builds;
 *   the world             (file, memory, device, compiler, text) a status to be used, and an
 *                         fnd_error that keeps the *first* failure: what, where, expected, found;
 *   while in flight       kept, told by fnd_wait or by reading a tensor (run.h, submit.h).
 *
 * An fnd_error belongs to the caller; start it with { 0 }. Every function that takes one accepts
 * NULL. Once it holds a failure, later failures do not overwrite it.
 */
#ifndef FOUNDRY_STATUS_H
#define FOUNDRY_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*    id               value  short text */
#define FND_STATUSES(X)                                             \
    X(OK,               0,    "ok")                                 \
    X(ERR_MEMORY,      -1,    "out of memory")                      \
    X(ERR_FILE,        -2,    "file cannot be used")                \
    X(ERR_FORMAT,      -3,    "malformed input")                    \
    X(ERR_SHAPE,       -4,    "shapes do not match")                \
    X(ERR_TYPE,        -5,    "types do not match")                 \
    X(ERR_DEVICE,      -6,    "device failure")                     \
    X(ERR_COMPILE,     -7,    "kernel did not compile")             \
    X(ERR_COMPOSE,     -8,    "stages do not compose")              \
    X(ERR_UNSUPPORTED, -9,    "not supported")                      \
    X(ERR_USAGE,      -10,    "wrong use")                          \
    X(ERR_STALE,      -11,    "storage is gone")                    \
    X(ERR_LIMIT,      -12,    "limit exceeded")                     \
    X(ERR_CANCELLED,  -13,    "cancelled")

typedef enum fnd_status {
#define FND_STATUS_ROW_(id, value, text) FND_##id = value,
    FND_STATUSES(FND_STATUS_ROW_)
#undef FND_STATUS_ROW_
} fnd_status;

#if defined(__GNUC__)
  #define FND_USE_RESULT       __attribute__((warn_unused_result))
  #define FND_PRINTF_(f, a)    __attribute__((format(printf, f, a)))
#else
  #define FND_USE_RESULT
  #define FND_PRINTF_(f, a)
#endif

enum { FND_ERROR_TEXT_BYTES = 1024 };

typedef struct fnd_error {
    fnd_status status;                     /* FND_OK: nothing failed yet */
    char       text[FND_ERROR_TEXT_BYTES]; /* one sentence, NUL-terminated, no newline at its end */
} fnd_error;

/* Short text of a status, e.g. "out of memory". Never NULL. */
const char *fnd_status_text(fnd_status status);

/* Record a failure in *err (unless it already holds one) and return `status`. */
fnd_status fnd_fail(fnd_error *err, fnd_status status, const char *format, ...) FND_PRINTF_(3, 4);

#ifdef __cplusplus
}
#endif
#endif
