/* test_start.c - what starting costs: nothing is compiled twice, and memory is taken once. */
#include "base/base.h"
#include "base/process.h"
#include "foundry/model.h"
#include "foundry/profile.h"
#include "foundry/run.h"
#include "foundry/tokenizer.h"
#include "golden.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct start {
    const char *path, *cache_dir;
    fnd_session_desc session;
} start;

/* Load, evaluate a few tokens, choose one; how many kernels were compiled. */
static uint64_t compilations(const start *s) {
    static const uint32_t ids[] = { 1, 2, 3, 4, 5 };
    fnd_error err = { 0 };
    foundry *f;
    fnd_model *m = NULL;
    fnd_session *session = NULL;
    uint32_t id;
    CHECK_OK(fnd_open(&(fnd_desc){ .cache_dir = s->cache_dir, .no_baked = true, .quick_build = true }, &f, &err), &err);
    fnd_status status = fnd_model_load(f, &(fnd_model_desc){ .path = s->path }, &m, &err);
    if (status == FND_OK) status = fnd_session_open(m, &s->session, &session, &err);
    if (status == FND_OK) status = fnd_session_eval(session, ids, FND_COUNT(ids), &err);
    if (status == FND_OK) status = fnd_session_sample(session, NULL, &id, &err);
    if (status == FND_OK) status = fnd_session_eval(session, &id, 1, &err);
    CHECK_OK(status, &err);
    uint64_t count = fnd_counter_get(f, FND_COUNTER_COMPILATIONS);
    fnd_session_close(session);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
    return count;
}

TEST(start_compiles_nothing_again) {
    char dir[FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    start s = { .path = tiny_model(), .cache_dir = dir, .session = { .context = 200 } };
    CHECK(compilations(&s) > 0);
    CHECK(compilations(&s) == 0);
    s.session = (fnd_session_desc){ .context = 400, .batch = 32 }; /* what a user varies is in no kernel */
    CHECK(compilations(&s) == 0);
    fnd_process_remove_dir(dir);
}

/* ---- memory ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEASURABLE = 0 };
#else
enum { MEASURABLE = 1 };
#endif

/* KiB that this process holds and no file does; 0: it cannot be known. */
static long held_kib(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[128];
    long kib = 0, part;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "RssAnon: %ld", &part) == 1 || sscanf(line, "RssShmem: %ld", &part) == 1) kib += part;
    }
    if (f) fclose(f);
    return kib;
}

/* Temporaries are as large as a batch is: while it rests, a program leaves their memory to others. */
TEST(memory_of_a_program_at_rest) {
    enum { ROWS = 1024,
           COLS = 2048,
           KIB = ROWS * COLS * 4 / 1024 };
    NEED(held_kib() > 0, "memory cannot be measured here");
    fnd_error err = { 0 };
    foundry *f;
    fnd_kernel *copy;
    fnd_program *p;
    fnd_tensor between;
    fnd_dedicated x, y;
    float got[COLS];
    CHECK_OK(fnd_open(&(fnd_desc){ .isa = "generic", .quick_build = true }, &f, &err), &err);
    CHECK_OK(fnd_kernel_get(f, "copy", &copy, &err), &err);
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape2(ROWS, COLS), FND_ONES, &x, &err), &err);
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape2(ROWS, COLS), FND_ZEROS, &y, &err), &err);
    CHECK_OK(fnd_program_begin(f, &(fnd_program_desc){ .name = "rests" }, &p, &err), &err);
    CHECK_OK(fnd_program_temporary(p, FND_F32, fnd_shape2(ROWS, COLS), "between", &between, &err), &err);
    CHECK_OK(fnd_program_call(p, copy, (fnd_binding[]){ fnd_bind_in("x", &x.t), fnd_bind_out("y", &between) }, 2, &err), &err);
    CHECK_OK(fnd_program_call(p, copy, (fnd_binding[]){ fnd_bind_in("x", &between), fnd_bind_out("y", &y.t) }, 2, &err), &err);
    CHECK_OK(fnd_program_finish(p, &err), &err);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(fnd_tensor_write(f, &y.t, 0, memset(got, 0, sizeof got), sizeof got, &err), &err);
        CHECK_OK(fnd_program_run(p, &err), &err);
        CHECK_OK(fnd_tensor_read(f, &y.t, 0, got, sizeof got, &err), &err);
        CHECK(got[0] == 1.0f && got[COLS - 1] == 1.0f);
        long full = held_kib();
        CHECK_OK(fnd_program_rest(p, &err), &err);
        long rest = held_kib();
        CHECK_MSG(full - rest > KIB * 9 / 10 && full - rest < KIB * 11 / 10, "%ld KiB went, of temporaries of %d", full - rest, KIB);
    }
    fnd_program_free(p);
    CHECK_OK(fnd_close(f, &err), &err);
}

/* Fill a context of 2,048 tokens in a process of its own; millions of bytes it then holds, rounded up, or 255. */
static int megabytes_of_a_full_context(const char *path) {
    enum { TOKENS = 2048 };
    uint32_t ids[TOKENS];
    fnd_error err = { 0 };
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    fnd_ids text = { 0 };
    fnd_desc d = { .wait_for_build = true }; /* as it is once kernels are compiled */
    if (fnd_options_from_environment(&d, &err) != FND_OK) return 255;
    long before = held_kib();
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = 100 + i % 1000;
    if (fnd_open(&d, &f, &err) != FND_OK || fnd_model_load(f, &(fnd_model_desc){ .path = path }, &m, &err) != FND_OK) return 255;
    if (fnd_tokenize(fnd_model_tokenizer(m), "the sea", 7, 0, &text, &err) != FND_OK) return 255;
    if (fnd_session_open(m, &(fnd_session_desc){ .context = TOKENS }, &s, &err) != FND_OK) return 255;
    if (fnd_session_eval(s, ids, TOKENS - 1, &err) != FND_OK || fnd_session_sample(s, NULL, ids, &err) != FND_OK || fnd_session_eval(s, ids, 1, &err) != FND_OK) return 255;
    long megabytes = ((held_kib() - before) * 1024 + 999999) / 1000000;
    return megabytes > 254 ? 254 : (int)megabytes;
}

TEST(golden_smollm2_fits_in_memory) {
    const char *path = golden_model_file(GOLDEN_SMOLLM2);
    NEED(path, "FOUNDRY_TEST_SMOLLM2 names no model");
    NEED(MEASURABLE && held_kib() > 0, "memory cannot be measured here");
    pid_t child = fork();
    if (child == 0) _exit(megabytes_of_a_full_context(path));
    int state;
    REQUIRE(child > 0 && waitpid(child, &state, 0) == child);
    CHECK_MSG(WIFEXITED(state) && WEXITSTATUS(state) > 100 && WEXITSTATUS(state) <= 150, "%d MB beside the file", WIFEXITED(state) ? WEXITSTATUS(state) : -1);
}
