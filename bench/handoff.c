/* handoff: the time in ns that a word needs from one CPU to the other and back, halved: the median
 * of 200 rounds of 100. On some small virtual machines the host places the two CPUs now near and now
 * far from each other, and two-thread timings follow; bench-cpu.py compares like with like. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 200,
       TRIPS = 100 };

static _Alignas(128) atomic_int word;

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void *answer(void *unused) {
    (void)unused;
    pin(1);
    for (int i = 0; i < ROUNDS * TRIPS; i++) {
        while (atomic_load_explicit(&word, memory_order_acquire) != 2 * i + 1) continue;
        atomic_store_explicit(&word, 2 * i + 2, memory_order_release);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void) {
    static double ns[ROUNDS];
    pthread_t other;
    pin(0);
    if (pthread_create(&other, NULL, answer, NULL)) return 1;
    for (int round = 0; round < ROUNDS; round++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (int trip = 0; trip < TRIPS; trip++) {
            int i = round * TRIPS + trip;
            atomic_store_explicit(&word, 2 * i + 1, memory_order_release);
            while (atomic_load_explicit(&word, memory_order_acquire) != 2 * i + 2) continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &b);
        ns[round] = (1e9 * (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec)) / (2.0 * TRIPS);
    }
    pthread_join(other, NULL);
    qsort(ns, ROUNDS, sizeof ns[0], ascending);
    printf("%.0f\n", ns[ROUNDS / 2]);
    return 0;
}
