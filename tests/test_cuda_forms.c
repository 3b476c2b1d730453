/* test_cuda_forms.c - the forms that programs run in: on the stand-in for NVIDIA's driver, which writes down what is
 * launched, the same kernels in the same order with the same arguments; on the cpu, the same bits. And the stand-in
 * itself: what is no order of things that a driver knows, it refuses. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/dynlib.h"
#include "cuda_standin.h"
#include "fake_backend.h"
#include "foundry/model.h"
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 3 };

/* What the stand-in wrote of a run in this form: to be freed. "" after a failed check. */
static char *log_of(const char *form) {
    const char *path = program_temp("launches");
    program_result r;
    setenv("CUDA_STANDIN_LOG", path, 1);
    program_run(&r, (const char *const[]){ "bench", "--backend", "cuda", "--program", form, "--model", tiny_model(), "--prompt-tokens", "4", "--tokens", "3", "--repeat", "1", NULL });
    unsetenv("CUDA_STANDIN_LOG");
    CHECK_MSG(r.exit_code == 0, "%s: %s", form, r.err);
    program_free(&r);
    FILE *from = fopen(path, "r");
    char *text = calloc(1, 1 << 20);
    if (!text) abort();
    size_t bytes = from ? fread(text, 1, (1 << 20) - 1, from) : 0;
    CHECK_MSG(bytes > 0, "%s: nothing was launched", form);
    if (from) fclose(from);
    remove(path);
    return text;
}

/* Take out the lines that begin with #, and return how many begin with `what`. */
static size_t strip(char *text, const char *what) {
    size_t count = 0;
    char *to = text;
    for (const char *line = text; *line;) {
        size_t bytes = strcspn(line, "\n") + 1;
        count += strncmp(line, what, strlen(what)) == 0;
        if (line[0] != '#') {
            memmove(to, line, bytes);
            to += bytes;
        }
        line += bytes;
    }
    *to = '\0';
    return count;
}

static size_t count_of(const char *text, const char *what) {
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, what)); p++) count++;
    return count;
}

TEST(cuda_forms_launch_the_same) {
    STAND_IN("");
    char *launch = log_of("launch"), *graph = log_of("graph"), *persistent = log_of("persistent");
    stand_out();
    CHECK(count_of(launch, "# ") == 0 && count_of(launch, "together") == count_of(graph, "together"));
    /* A token's kernels are captured once; then only attention, which knows where the token is, is told anew. */
    CHECK_MSG(count_of(graph, "# captured 12\n") == 1 && count_of(graph, "# graph of 12, 0 told anew\n") >= 1, "%s", graph);
    CHECK_MSG(count_of(graph, "# graph of 12, 2 told anew\n") >= TOKENS - 1, "%s", graph);
    CHECK(count_of(graph, "left") == 0);
    strip(graph, "#");
    CHECK_MSG(strcmp(launch, graph) == 0, "launches:\n%s\na graph:\n%s", launch, graph);
    CHECK(count_of(launch, "attention_decode_kernel 132 512 ") >= 2 * TOKENS);
    CHECK_MSG(strip(persistent, "decode 132 512 ") >= TOKENS && count_of(persistent, " together | @") >= TOKENS, "%s", persistent);
    CHECK(count_of(persistent, "attention_decode") == 0);
    free(launch);
    free(graph);
    free(persistent);
}

/* ---- other devices ---- */

/* The logits behind a few tokens, each evaluated alone: to be freed. NULL after a failed check. */
static float *logits_in(fnd_program_form form) {
    static const uint32_t ids[] = { 72, 101, 108, 108, 111 };
    foundry *f = NULL;
    fnd_model *m = NULL;
    fnd_session *s = NULL;
    fnd_error err = { 0 };
    float *logits = calloc(TINY_MODEL_VOCAB, sizeof *logits);
    fnd_status status = fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" }, &f, &err);
    if (status == FND_OK) status = fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model(), .program = form }, &m, &err);
    if (status == FND_OK) status = fnd_session_open(m, NULL, &s, &err);
    for (size_t i = 0; i < FND_COUNT(ids) && status == FND_OK; i++) status = fnd_session_eval(s, &ids[i], 1, &err);
    if (status == FND_OK) status = fnd_session_logits(s, logits, &err);
    CHECK_MSG(status == FND_OK, "%s: %s", fnd_program_form_name(form), err.text);
    fnd_session_close(s);
    fnd_model_free(m);
    if (f) CHECK_OK(fnd_close(f, &err), &err);
    if (status == FND_OK) return logits;
    free(logits);
    return NULL;
}

TEST(program_forms_give_the_same_bits) {
    float *persistent = logits_in(FND_PROGRAM_PERSISTENT), *launch = logits_in(FND_PROGRAM_LAUNCH);
    CHECK(persistent && launch && memcmp(persistent, launch, TINY_MODEL_VOCAB * sizeof *launch) == 0);
    free(persistent);
    free(launch);
}

TEST(program_forms_that_a_device_lacks_are_refused) {
    NEED(program_there(), "the program is not built beside the tests");
    PROGRAM_REFUSED(1, "cpu runs no program in the form 'graph'; it can: launch, persistent, auto", "logits", "--program", "graph", "--model", tiny_model(), "--prompt", "x");
    PROGRAM_REFUSED(1, "sim runs no program in the form 'persistent'; it can: launch, auto", "logits", "--backend", "sim", "--program=persistent", "--model", tiny_model(), "--prompt", "x");
    PROGRAM_REFUSED(2, "--program often: a token runs as launches (launch), as a graph of them (graph)", "logits", "--program", "often", "--model", tiny_model(), "--prompt", "x");
    PROGRAM_REFUSED(2, "--program is decode, prefill or head, not 'graph'", "emit", "--program", "graph", "--model", tiny_model());
}

/* ---- waits that would never end ---- */

TEST(cuda_ring_without_room_is_refused) {
    fnd_cuda c = { .group_bytes = 12288 };
    fnd_cuda_code code = { .max_threads = 512, .shared_bytes = 1024, .dynamic_bytes = 12288 };
    fnd_launch l = { .label = "decode", .code = &code, .is_program = true, .groups = 1, .warps = 15, .scratch_bytes = 3000, .ring_bytes = 8193 };
    fnd_cuda_config config;
    FAILS(fnd_cuda_configure(&c, &l, &config, &why), FND_ERR_LIMIT, "decode is not run: it would wait for ever for its weights, which need a ring of 8193 bytes in a group's memory; of 11264 bytes, 8192 are left");
    /* One byte less has room: the GPU is asked whether the groups have it too. */
    code.resident_threads = 512;
    code.resident_shared = 11264;
    l.ring_bytes = 8192;
    FAILS(fnd_cuda_configure(&c, &l, &config, &why), FND_ERR_LIMIT, "decode is not run: its 1 groups wait for each other, and 0 of them fit");
    code.resident = 1;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cuda_configure(&c, &l, &config, &err), &err);
    CHECK(config.together && config.threads == 512 && config.shared == 11264 && config.stride == 3072);
}

/* ---- the stand-in ---- */

static void *call_named(fnd_dynlib *driver, const char *name) {
    void *p = fnd_dynlib_find(driver, name);
    CHECK_MSG(p != NULL, "there is no %s", name);
    return p;
}

TEST(cuda_standin_refuses_misuse) {
    NEED(stand_in_path(), "the stand-in is not built beside the tests");
    fnd_dynlib *driver;
    fnd_error err = { 0 };
    fnd_cuda_api cu;
    fnd_cu_graph graph = NULL;
    fnd_cu_graph_exec exec = NULL;
    fnd_cu_event event = NULL;
    fnd_cu_address memory = 0;
    CHECK_OK(fnd_dynlib_open(stand_in_path(), &driver, &err), &err);
    if (err.status != FND_OK) return;
#define FIND(field, name, parameters) \
    do { \
        void *p_ = call_named(driver, name); \
        memcpy(&cu.field, &p_, sizeof p_); \
    } while (0);
    FND_CUDA_CALLS(FIND)
#undef FIND
    CHECK(cu.capture_end(NULL, &graph) == 401); /* nothing was begun */
    CHECK(cu.capture_begin(NULL, 0) == 401);    /* in a way that other threads would notice */
    CHECK(cu.event_create(&event, 0) == 0 && cu.capture_begin(NULL, FND_CU_CAPTURE_THREAD) == 0);
    CHECK(cu.capture_begin(NULL, FND_CU_CAPTURE_THREAD) == 401);
    /* What waits, allocates or asks while the stream captures. */
    CHECK(cu.stream_wait(NULL) == 900 && cu.stream_query(NULL) == 900 && cu.event_record(event, NULL) == 900 && cu.alloc(&memory, 64) == 900);
    CHECK(cu.release(memory) == 0);
    CHECK(cu.capture_end(NULL, &graph) == 0);
    CHECK(cu.graph_launch(NULL, NULL) == 400);
    CHECK(cu.graph_instantiate(&exec, graph, 0) == 0 && cu.graph_launch(exec, NULL) == 0);
    CHECK(cu.graph_exec_destroy(exec) == 0 && cu.graph_exec_destroy(exec) == 400 && cu.graph_launch(exec, NULL) == 400);
    CHECK(cu.graph_destroy(graph) == 0 && cu.graph_destroy(graph) == 400 && cu.graph_instantiate(&exec, graph, 0) == 400);
    CHECK(cu.event_destroy(event) == 0);
    fnd_dynlib_close(driver);
}
