/* base.h - small helpers every layer may use. Nothing here knows what a tensor is. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include "foundry/status.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FND_TRY(expr)                                  \
    do {                                               \
        fnd_status try_status_ = (expr);               \
        if (try_status_ != FND_OK) return try_status_; \
    } while (0)

#define FND_COUNT(array) (sizeof(array) / sizeof *(array))

/* Overflow-checked size arithmetic: true when the result fits and is stored in *out. */
static inline bool fnd_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool fnd_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool fnd_add_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool fnd_mul_u64(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* The end of a noun that there are n of: "%zu token%s". */
static inline const char *fnd_plural(uint64_t n) { return n == 1 ? "" : "s"; }

static inline size_t fnd_min_size(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t fnd_max_size(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t fnd_round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/* Monotonic time in nanoseconds. */
uint64_t fnd_now_ns(void);

#endif
