/* cores.c - pieces of work on all cores. */
#include "check.h"

#include "base/cpuinfo.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MAX_WORKERS = 64 };

typedef struct pieces {
    void (*work)(void *ctx, size_t index);
    void *ctx;
    size_t count;
    atomic_size_t next;
} pieces;

static void *worker(void *arg) {
    pieces *p = arg;
    for (size_t index; (index = atomic_fetch_add(&p->next, 1)) < p->count;) p->work(p->ctx, index);
    return NULL;
}

void check_on_all_cores(size_t count, void (*work)(void *ctx, size_t index), void *ctx) {
    pthread_t threads[MAX_WORKERS];
    uint32_t workers = fnd_cpu_cores() < MAX_WORKERS ? fnd_cpu_cores() : MAX_WORKERS, started = 1;
    pieces p = { .work = work, .ctx = ctx, .count = count };
    while (started < workers && pthread_create(&threads[started], NULL, worker, &p) == 0) started++;
    worker(&p); /* this thread is one of them */
    for (uint32_t i = 1; i < started; i++) pthread_join(threads[i], NULL);
}
