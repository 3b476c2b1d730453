/* fake_backend.h - a device for tests of what lies above backends: memory that may or may not be the
 * host's, no code, and counts of every call. */
#ifndef TESTS_FAKE_BACKEND_H
#define TESTS_FAKE_BACKEND_H

#include "run/context.h"

/* What the next opened device is like, and what happened on it. One device at a time. */
typedef struct fake_device {
    bool     host_memory;
    bool     fail_wait, fail_upload, fail_commit_above;
    size_t   commit_limit_bytes; /* with fail_commit_above */
    unsigned live, allocs, uploads, downloads, waits, commits, opened, closed;
    uint64_t released[64]; /* addresses, in order */
    unsigned released_count;
} fake_device;

extern fake_device fake;
extern const fnd_backend fake_backend;       /* cannot adopt */
extern const fnd_backend fake_backend_adopts;

/* Zero `fake` and open a context; NULL after a failed check. */
foundry *fake_open(bool host_memory);
/* The device's bytes behind an address that kernels would see. */
void *fake_bytes(uint64_t address);

/* The status and the sentence of a call that must fail; in it, the error is called `why`. */
#define FAILS(expr, wanted, part)                                                                                  \
    do {                                                                                                           \
        fnd_error why = { 0 };                                                                                     \
        fnd_status status_ = (expr);                                                                               \
        CHECK_MSG(status_ == (wanted), "%s: %s (%s)", #expr, fnd_status_text(status_), why.text);                  \
        CHECK_MSG(why.status == status_ && strstr(why.text, part), "%s: \"%s\" lacks \"%s\"", #expr, why.text, part); \
    } while (0)

#endif
