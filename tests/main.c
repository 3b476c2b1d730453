/* main.c - runs the registered tests. */
#include "metal_standin.h"
#include "test.h"
#include "vector_headers.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static fnd_test *first;
static int failures;
static const char *skipped;

void fnd_test_add(fnd_test *test) {
    fnd_test **at = &first;
    while (*at && (strcmp((*at)->file, test->file) < 0 || (strcmp((*at)->file, test->file) == 0 && strcmp((*at)->name, test->name) < 0))) at = &(*at)->next;
    test->next = *at;
    *at = test;
}

void fnd_test_failed(const char *file, int line, const char *format, ...) {
    failures++;
    if (failures > 20) return; /* a loop of failures is shown by its first */
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void fnd_test_skip(const char *why) { skipped = why; }

static bool wanted(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i])) return true;
    }
    return argc < 2;
}

/* What all workers have done so far: in memory that they share. */
enum { MOST_JOBS = 16,
       MOST_TESTS = 4096,
       SLOWEST = 10 };
typedef struct results {
    _Atomic unsigned next; /* the first test that nobody has taken */
    _Atomic int passed, failed, skipped;
    const fnd_test *running[MOST_JOBS];
    double cpu[MOST_TESTS]; /* seconds of processors, by number of the test */
} results;

static double seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Of all threads, and of the compilers and programs that ended: other load does not change it. */
static double cpu_seconds(void) {
    double sum = 0;
    for (int child = 0; child < 2; child++) {
        struct rusage u;
        getrusage(child ? RUSAGE_CHILDREN : RUSAGE_SELF, &u);
        sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    }
    return sum;
}

static void run(const fnd_test *t, results *r, unsigned index) {
    failures = 0;
    skipped = NULL;
    double start = seconds(), cpu = cpu_seconds();
    t->run();
    fnd_test_metal_leaks();
    double took = seconds() - start;
    cpu = cpu_seconds() - cpu;
    if (index < MOST_TESTS) r->cpu[index] = cpu;
    if (failures) {
        atomic_fetch_add(&r->failed, 1);
        fprintf(stderr, "FAIL %s (%s)\n", t->name, t->file);
    } else if (skipped) {
        atomic_fetch_add(&r->skipped, 1);
        printf("skip %s: %s\n", t->name, skipped);
    } else {
        atomic_fetch_add(&r->passed, 1);
        if (took > 1.0 || getenv("FOUNDRY_TEST_VERBOSE")) printf("ok   %s (%.1f s, cpu %.1f s)\n", t->name, took, cpu);
    }
    fflush(stdout);
}

/* Tests that no other worker has taken yet, in their order. */
static void work(results *r, unsigned worker, int argc, char **argv) {
    unsigned index = 0;
    for (const fnd_test *t = first; t; t = t->next) {
        if (!wanted(t->name, argc, argv)) continue;
        if (index++ < atomic_load(&r->next)) continue;
        unsigned mine = index - 1;
        if (!atomic_compare_exchange_strong(&r->next, &mine, index)) continue;
        r->running[worker] = t;
        run(t, r, mine);
        r->running[worker] = NULL;
    }
}

/* A worker that ends before its tests do has failed, and with it the test it was at; so has one with leaks. */
static void wait_for(results *r, unsigned jobs, const pid_t *children) {
    for (unsigned i = 0; i < jobs; i++) {
        int status = 0;
        if (waitpid(children[i], &status, 0) != children[i] || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) continue;
        atomic_fetch_add(&r->failed, 1);
        fprintf(stderr, "FAIL %s: the process ended with %s %d\n", r->running[i] ? r->running[i]->name : "behind the last test", WIFSIGNALED(status) ? "signal" : "exit code", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

/* Where the time went, after a run that took long. */
static void show_slowest(const results *r, int argc, char **argv) {
    enum { LONG_RUN = 20 }; /* seconds */
    const fnd_test *slowest[SLOWEST] = { NULL };
    double cpu[SLOWEST] = { 0 }, sum = 0;
    unsigned index = 0;
    for (const fnd_test *t = first; t && index < MOST_TESTS; t = t->next) {
        if (!wanted(t->name, argc, argv)) continue;
        double its = r->cpu[index++];
        sum += its;
        for (int i = 0; i < SLOWEST; i++) {
            if (its <= cpu[i]) continue;
            memmove(slowest + i + 1, slowest + i, (SLOWEST - 1 - (size_t)i) * sizeof *slowest);
            memmove(cpu + i + 1, cpu + i, (SLOWEST - 1 - (size_t)i) * sizeof *cpu);
            slowest[i] = t, cpu[i] = its;
            break;
        }
    }
    if (sum < LONG_RUN) return;
    printf("%.0f s of processors; most of them for", sum);
    for (int i = 0; i < SLOWEST && slowest[i]; i++) printf("%s %s %.1f", i ? "," : "", slowest[i]->name, cpu[i]);
    puts("");
}

/* FOUNDRY_TEST_JOBS: so many tests at a time, each worker a process of its own. */
int main(int argc, char **argv) {
    const char *wish = getenv("FOUNDRY_TEST_JOBS");
    long number = wish ? strtol(wish, NULL, 10) : 1;
    unsigned jobs = number < 1 ? 1 : number > MOST_JOBS ? MOST_JOBS
                                                        : (unsigned)number;
    pid_t children[MOST_JOBS];
    results *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED) return perror("mmap"), 1;
    fnd_test_precompile_headers();
    if (jobs == 1) work(r, 0, argc, argv);
    for (unsigned i = 0; jobs > 1 && i < jobs; i++) {
        children[i] = fork();
        if (children[i] < 0) return perror("fork"), 1;
        if (children[i] > 0) continue;
        work(r, i, argc, argv);
        exit(0);
    }
    if (jobs > 1) wait_for(r, jobs, children);
    show_slowest(r, argc, argv);
    printf("%d passed, %d failed", r->passed, r->failed);
    if (r->skipped) printf(", %d skipped", r->skipped);
    puts("");
    return r->failed != 0;
}
