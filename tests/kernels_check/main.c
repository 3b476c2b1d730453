/* main.c - `make kernels`: every shipped kernel, or what a user's folder declares, composed for every
 * machine, must compile with every compiler that can be found; and the strict Metal check must find what is
 * planted. */
#include "check.h"

#include "base/base.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

/* One text with one tool. */
typedef struct job {
    const check_tool *tool;
    const check_text *text;
    fnd_text said;
    uint64_t ns;
    bool ok;
} job;

/* What is left of a tool's texts, and what became of them. */
typedef struct account {
    size_t first, count;
    atomic_size_t left;
} account;

typedef struct queue {
    job *list;
    size_t count;
    account of[CHECK_MAX_TOOLS];
    const check_tools *tools;
    atomic_uint passed, failed;
} queue;

enum { SHOWN_BYTES = 3000 };

/* A line per tool, after what it complained about. */
static void report(queue *q, const account *a) {
    uint32_t bad = 0, kernels = 0;
    uint64_t ns = 0;
    fnd_text out = { 0 };
    const check_tool *tool = &q->tools->list[a - q->of];
    for (job *j = q->list + a->first; j < q->list + a->first + a->count; j++) {
        bad += !j->ok;
        kernels += j->text->kernels;
        ns += j->ns;
        if (!j->ok) fnd_text_printf(&out, "FAIL %s: %s (%s)\n%.*s\n", tool->name, j->text->name, j->text->path, bad > 2 && !j->text->decode ? 0 : SHOWN_BYTES, fnd_text_get(&j->said));
        fnd_text_free(&j->said);
    }
    printf("%s%-4s %-18s %3zu texts, %4u kernels, %5.1f s\n", fnd_text_get(&out), bad ? "FAIL" : "ok", tool->name, a->count, kernels, 1e-9 * (double)ns);
    fflush(stdout);
    fnd_text_free(&out);
    atomic_fetch_add(&q->passed, (uint32_t)a->count - bad);
    atomic_fetch_add(&q->failed, bad);
}

static void run_job(void *ctx, size_t index) {
    queue *q = ctx;
    job *j = &q->list[index];
    account *a = &q->of[j->tool - q->tools->list];
    uint64_t start = fnd_now_ns();
    j->ok = check_tool_run(j->tool, j->text, &j->said);
    j->ns = fnd_now_ns() - start;
    if (atomic_fetch_sub(&a->left, 1) == 1) report(q, a);
}

/* All texts for all tools with this word in their name, in one queue: no core waits for a tool's last text. */
static void check_tools_all(const check_tools *tools, const check_texts *texts, const char *word, uint32_t *passed, uint32_t *failed) {
    static queue q;
    q.tools = tools;
    q.list = fnd_alloc_zeroed(fnd_max_size(tools->count * texts->count, 1), sizeof *q.list);
    if (!q.list) abort();
    for (size_t i = 0; i < tools->count; i++) {
        const check_tool *tool = &tools->list[i];
        if (!strstr(tool->name, word)) continue;
        if (tool->missing[0]) printf("skip %-18s %s\n", tool->name, tool->missing);
        q.of[i].first = q.count;
        for (size_t t = 0; t < texts->count && !tool->missing[0]; t++) {
            if (strcmp(texts->list[t].suffix, tool->suffix) == 0) q.list[q.count++] = (job){ .tool = tool, .text = &texts->list[t] };
        }
        q.of[i].count = q.count - q.of[i].first;
        atomic_store(&q.of[i].left, q.of[i].count);
        if (!q.of[i].count && !tool->missing[0]) report(&q, &q.of[i]);
    }
    check_on_all_cores(q.count, run_job, &q);
    fnd_free_memory(q.list);
    *passed += atomic_load(&q.passed);
    *failed += atomic_load(&q.failed);
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
    check_tools_all(&tools, &texts, argc < 3 ? "" : argv[2], &passed, &failed);
    fnd_free_memory(texts.list);
    if (!user && (argc < 3 || strstr("planted", argv[2]) || strstr("metal", argv[2]))) check_planted(argv[1], &passed, &failed);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
