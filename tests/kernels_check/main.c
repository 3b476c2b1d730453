/* main.c - `make kernels`: every shipped kernel, or what a user's folder declares, composed for every
 * machine, must compile with every compiler that can be found; and the strict Metal check must find what is
 * planted. */
#include "check.h"

#include "base/base.h"
#include "base/cpuinfo.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

/* One text with one tool. */
typedef struct job {
    const check_tool *tool;
    const check_text *text;
    fnd_text said;
    bool ok;
} job;

enum { MAX_JOBS = 512,
       MAX_WORKERS = 64,
       SHOWN_BYTES = 3000 };

static struct {
    job list[MAX_JOBS];
    size_t count;
    atomic_size_t next;
} jobs;

static void *work(void *unused) {
    for (;;) {
        size_t index = atomic_fetch_add(&jobs.next, 1);
        if (index >= jobs.count) return unused;
        job *j = &jobs.list[index];
        j->ok = check_tool_run(j->tool, j->text, &j->said);
    }
}

/* All texts for this tool, on all cores. */
static void run_jobs(const check_tool *tool, const check_texts *texts) {
    pthread_t threads[MAX_WORKERS];
    uint32_t count = fnd_cpu_cores() < MAX_WORKERS ? fnd_cpu_cores() : MAX_WORKERS, started = 0;
    jobs.count = 0;
    atomic_store(&jobs.next, 0);
    for (size_t i = 0; i < texts->count && jobs.count < MAX_JOBS; i++) {
        if (strcmp(texts->list[i].suffix, tool->suffix) == 0) jobs.list[jobs.count++] = (job){ .tool = tool, .text = &texts->list[i] };
    }
    while (started < count && pthread_create(&threads[started], NULL, work, NULL) == 0) started++;
    if (started == 0) work(NULL);
    for (uint32_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

/* A line per tool, after what it complained about. */
static void check_tool_all(const check_tool *tool, const check_texts *texts, uint32_t *passed, uint32_t *failed) {
    uint32_t bad = 0, kernels = 0;
    uint64_t start = fnd_now_ns();
    if (tool->missing[0]) {
        printf("skip %-18s %s\n", tool->name, tool->missing);
        return;
    }
    run_jobs(tool, texts);
    for (size_t i = 0; i < jobs.count; i++) {
        job *j = &jobs.list[i];
        bad += !j->ok;
        kernels += j->text->kernels;
        if (!j->ok) printf("FAIL %s: %s (%s)\n%.*s\n", tool->name, j->text->name, j->text->path, bad > 2 && !j->text->decode ? 0 : SHOWN_BYTES, fnd_text_get(&j->said));
        fnd_text_free(&j->said);
    }
    printf("%-4s %-18s %3zu texts, %4u kernels, %5.1f s\n", bad ? "FAIL" : "ok", tool->name, jobs.count, kernels, 1e-9 * (double)(fnd_now_ns() - start));
    fflush(stdout);
    *passed += (uint32_t)jobs.count - bad;
    *failed += bad;
}

int main(int argc, char **argv) {
    static check_tools tools;
    check_texts texts;
    fnd_error err = { 0 };
    uint32_t passed = 0;
    const char *program = argv[0], *user = NULL;
    if (argc > 2 && strcmp(argv[1], "--user") == 0) {
        user = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: %s [--user FOLDER] DIR [WORD], in the project's folder: texts go to DIR; only tools with WORD in their name;\n"
                        "--user: check the kernels and policies that the texts in FOLDER declare, instead of the shipped ones\n",
                program);
        return 2;
    }
    mkdir(argv[1], 0777);
    check_tools_find(&tools);
    if (check_texts_write(argv[1], user, &texts, &err) != FND_OK || (!user && (check_random_write(argv[1], &texts, &err) != FND_OK || check_decode_write(argv[1], argc > 2 && strcmp(argv[2], "decode") == 0, &texts, &err) != FND_OK))) {
        printf("%s\n0 passed, 1 failed\n", err.text);
        return 1;
    }
    uint32_t failed = texts.not_composed;
    for (size_t i = 0; i < tools.count; i++) {
        if (argc < 3 || strstr(tools.list[i].name, argv[2])) check_tool_all(&tools.list[i], &texts, &passed, &failed);
    }
    fnd_free_memory(texts.list);
    if (!user && (argc < 3 || strstr("planted", argv[2]) || strstr("metal", argv[2]))) check_planted(argv[1], &passed, &failed);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
