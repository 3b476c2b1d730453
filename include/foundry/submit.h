/* submit.h - several pieces of work in flight.
 *
 *     const fnd_work work[] = { fnd_work_program(step), fnd_work_kernel(argmax, b, 2) };
 *     fnd_submit(f, &(fnd_submission){ .label = "chat/token 17", .work = work, .count = 2,
 *                                      .done = told, .ctx = &mine }, &number, &err);
 *     ... other things of this thread ...
 *     fnd_wait_for(f, number, &err);
 *
 * fnd_submit checks everything as fnd_run and fnd_program_run do, hands the work to the device and
 * returns. All work of one foundry, submitted or run, is done in the order of the calls: a submission
 * may read what the one before it writes. Numbers that change (fnd_program_set, bindings) are copied,
 * so the next submission of the same program can be prepared at once; the room for copies is kept, and
 * nothing is allocated once FND_MAX_IN_FLIGHT submissions as large were made. Host access to a tensor waits for the last submission that was
 * bound to it and not for later ones: give inputs and outputs of submissions in flight tensors of
 * their own to work ahead. (On cuda a read takes its place in the stream, behind all of them.)
 *
 * The callback comes once for each submission that fnd_submit took, in order, from a thread of the
 * foundry's own (the same one on every backend), also when the work failed. It may not call the
 * foundry, nor wait for a thread that does: fnd_submit, fnd_run and waiting are refused there. When
 * fnd_wait_for, fnd_wait or fnd_close has returned, the callbacks of what it waited for have, too.
 *
 * When a submission fails, later ones that were in flight end as FND_ERR_CANCELLED, since they would
 * read what it did not write, and nothing more is taken: fnd_submit, fnd_run and fnd_program_run
 * return the failure until fnd_wait, fnd_wait_for or reading a tensor has told it.
 *
 * On a GPU a submission is one command buffer, or lies between two events of a stream. On cpu and sim
 * a thread of the foundry launches it, so that the caller's is free; other calls that touch the device
 * wait for it. A worker team then has one core less to itself: there is nothing to win for a program
 * that only waits.
 */
#ifndef FOUNDRY_SUBMIT_H
#define FOUNDRY_SUBMIT_H

#include "foundry/run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Submissions at a time; one more waits for the oldest. Bytes of a label path, with its end. */
enum { FND_MAX_IN_FLIGHT = 16, FND_LABEL_BYTES = 128 };

/* A program with its variables as they are now, or a kernel with bindings. */
typedef struct fnd_work {
    fnd_program       *program;
    fnd_kernel        *kernel;
    const fnd_binding *bindings;
    size_t             count;
} fnd_work;

static inline fnd_work fnd_work_program(fnd_program *program) {
    fnd_work w = { program, NULL, NULL, 0 };
    return w;
}
static inline fnd_work fnd_work_kernel(fnd_kernel *kernel, const fnd_binding *bindings, size_t count) {
    fnd_work w = { NULL, kernel, bindings, count };
    return w;
}

/* What became of a submission. Valid while the callback runs. */
typedef struct fnd_completion {
    uint64_t    number;
    const char *label;            /* the scopes of the profiler that it was submitted in, then its label */
    fnd_status  status;
    const char *text;             /* of a failure: one sentence; else "" */
    uint64_t    start_ns, end_ns; /* when the device ran it, on the monotonic clock; 0, 0: not known */
} fnd_completion;

typedef void fnd_done_fn(void *ctx, const fnd_completion *completion);

typedef struct fnd_submission {
    const char     *label;        /* a name or a path, "chat/token 17"; NULL: "submission" */
    const fnd_work *work;         /* in order */
    size_t          count;
    fnd_done_fn    *done;         /* may be NULL */
    void           *ctx;
} fnd_submission;

/* *number, which may be NULL, is 1, 2, 3 ... in order. On failure nothing was submitted and no callback
 * comes. */
FND_USE_RESULT fnd_status fnd_submit(foundry *f, const fnd_submission *submission, uint64_t *number, fnd_error *err);
/* Until this submission and those before it are done, and their callbacks have returned. The first
 * failure among them, unless it was told before. A number never given: FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_wait_for(foundry *f, uint64_t number, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
