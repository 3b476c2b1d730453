/* main.c - runs the registered tests. */
#include "metal_standin.h"
#include "test.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

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

static double seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0, skips = 0;
    for (fnd_test *t = first; t; t = t->next) {
        if (!wanted(t->name, argc, argv)) continue;
        failures = 0;
        skipped = NULL;
        double start = seconds();
        t->run();
        fnd_test_metal_leaks();
        double took = seconds() - start;
        if (failures) {
            failed++;
            fprintf(stderr, "FAIL %s (%s)\n", t->name, t->file);
        } else if (skipped) {
            skips++;
            printf("skip %s: %s\n", t->name, skipped);
        } else {
            passed++;
            if (took > 1.0 || getenv("FOUNDRY_TEST_VERBOSE")) printf("ok   %s (%.1f s)\n", t->name, took);
        }
        fflush(stdout);
    }
    printf("%d passed, %d failed", passed, failed);
    if (skips) printf(", %d skipped", skips);
    puts("");
    return failed != 0;
}
