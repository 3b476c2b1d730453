/* handoff.h - the time that a word needs from one processor to another: two threads, each bound to one, answer each
 * other's stores. Half of a round trip, in ns. */
#ifndef BENCH_HANDOFF_H
#define BENCH_HANDOFF_H
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { HANDOFF_ROUNDS = 200, /* at most, of a measurement */
       HANDOFF_TRIPS = 100 };

typedef struct handoff {
    _Alignas(128) atomic_int word;
    _Alignas(128) int rounds, processors[2];
    double ns[HANDOFF_ROUNDS];
} handoff;

static double handoff_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static void handoff_pin(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void *handoff_answer(void *arg) {
    handoff *h = arg;
    handoff_pin(h->processors[1]);
    for (int i = 0; i < h->rounds * HANDOFF_TRIPS; i++) {
        while (atomic_load_explicit(&h->word, memory_order_acquire) != 2 * i + 1) continue;
        atomic_store_explicit(&h->word, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static void *handoff_ask(void *arg) {
    handoff *h = arg;
    handoff_pin(h->processors[0]);
    for (int round = 0; round < h->rounds; round++) {
        double start = handoff_now();
        for (int i = round * HANDOFF_TRIPS; i < (round + 1) * HANDOFF_TRIPS; i++) {
            atomic_store_explicit(&h->word, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&h->word, memory_order_acquire) != 2 * i + 2) continue;
        }
        h->ns[round] = (handoff_now() - start) / (2.0 * HANDOFF_TRIPS);
    }
    return NULL;
}

static int handoff_ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double handoff_median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, handoff_ascending);
    return values[count / 2];
}

/* The median of `rounds`, or -1. */
static double handoff_ns(int first, int second, int rounds) {
    static handoff h;
    pthread_t threads[2];
    atomic_store(&h.word, 0);
    h.rounds = rounds;
    h.processors[0] = first;
    h.processors[1] = second;
    if (pthread_create(&threads[0], NULL, handoff_answer, &h)) return -1.0;
    if (pthread_create(&threads[1], NULL, handoff_ask, &h)) exit(1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return handoff_median(h.ns, rounds);
}
#endif
