/* session_bench.h - a device, a tiny model and a session, for tests of what is done with them. */
#ifndef TESTS_SESSION_BENCH_H
#define TESTS_SESSION_BENCH_H

#include "foundry/model.h"

typedef struct session_bench {
    foundry     *f;
    fnd_model   *m;
    fnd_session *s;
    fnd_error    err;
} session_bench;

/* The tiny model with a context of 512 on the cpu; any model on any backend. False: it failed, and the
 * test with it. */
bool session_bench_open(session_bench *b, const fnd_session_desc *desc);
bool session_bench_open_at(session_bench *b, const char *model, const char *backend, const fnd_session_desc *desc);
void session_bench_close(session_bench *b);

/* The largest difference of their logits, relative to the largest logit; infinite when it is no number. */
double session_apart(fnd_session *a, fnd_session *b);

/* A path in a folder that is removed when the tests end; valid until the eighth call from now. */
const char *session_temp(const char *name);

#endif
