/* test_profiler.c - records, scopes, files, loss, and switching while others record. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "fake_backend.h"
#include "foundry/profile.h"
#include "foundry/run.h"
#include "run/profiler_ring.h"
#include "run/profiler_table.h"
#include "session_bench.h"
#include "test.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static void dispatch(foundry *f, const char *kernel, uint64_t duration_ns, uint64_t bytes) {
    if (!fnd_profile_on(&f->profiler)) return;
    fnd_profile_record(&f->profiler, &(fnd_profile_event){ .kernel = kernel, .start_ns = fnd_now_ns(), .duration_ns = duration_ns, .bytes_read = bytes, .bytes_written = 8, .ops = 2 });
}

static const fnd_profile_row *find_row(const fnd_profile_row *rows, size_t count, const char *path, const char *kernel) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].path, path) == 0 && strcmp(rows[i].kernel, kernel) == 0) return &rows[i];
    }
    return NULL;
}

static int decode(foundry *f, int tokens) {
    for (int i = 0;; i++) {
        FND_SCOPE(f, "token") {
            if (i == tokens) return i; /* leaves both scopes */
            dispatch(f, "qkv", 1000, 4000);
            FND_SCOPE(f, "mlp") {
                dispatch(f, "gate_up", 3000, 9000);
                if (i == 1) break; /* leaves one */
                dispatch(f, "down", 500, 1000);
            }
        }
    }
}

TEST(profiler_adds_up_by_path) {
    fnd_error err = { 0 };
    fnd_profile_row rows[16];
    foundry *f = fake_open(true);
    REQUIRE(f);
    dispatch(f, "before", 1, 1);
    CHECK(!fnd_profile_running(f));
    CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
    CHECK(fnd_profile_running(f));
    FND_SCOPE(f, "decode")
    CHECK(decode(f, 3) == 3);
    CHECK_STR(fnd_profile_path(), "");
    dispatch(f, "sample", 100, 10);
    size_t count = fnd_profile_rows(f, rows, FND_COUNT(rows));
    CHECK(count == 7); /* while running, with all that was recorded so far */
    const fnd_profile_row *qkv = find_row(rows, count, "decode/token", "qkv");
    const fnd_profile_row *gate_up = find_row(rows, count, "decode/token/mlp", "gate_up");
    const fnd_profile_row *down = find_row(rows, count, "decode/token/mlp", "down");
    const fnd_profile_row *mlp = find_row(rows, count, "decode/token/mlp", "");
    const fnd_profile_row *token = find_row(rows, count, "decode/token", "");
    const fnd_profile_row *sample = find_row(rows, count, "", "sample");
    REQUIRE(qkv && gate_up && down && mlp && token && sample && find_row(rows, count, "decode", ""));
    CHECK(qkv->calls == 3 && qkv->total_ns == 3000 && qkv->bytes_read == 12000 && qkv->bytes_written == 24 && qkv->ops == 6 && qkv->min_ns == 1000 && qkv->max_ns == 1000);
    CHECK(gate_up->calls == 3 && down->calls == 2 && mlp->calls == 3 && token->calls == 4);
    CHECK(mlp->bytes_read == 3 * 9000 + 2 * 1000 && token->bytes_read == mlp->bytes_read + 12000);
    for (size_t i = 1; i < count; i++) CHECK(rows[i - 1].total_ns >= rows[i].total_ns);
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    dispatch(f, "after", 1, 1);
    fnd_profile_totals totals;
    fnd_profile_get_totals(f, &totals);
    CHECK(totals.records == 3 + 3 + 2 + 3 + 4 + 1 + 1 && totals.lost == 0);
    CHECK(totals.dispatch_ns == 3000 + 9000 + 1000 + 100);
    CHECK_OK(fnd_profile_start(f, NULL, &err), &err); /* empty again */
    CHECK(fnd_profile_rows(f, NULL, 0) == 0);
    FAILS(fnd_profile_start(f, NULL, &why), FND_ERR_USAGE, "runs already");
    fnd_close(f, NULL);
    FAILS(fnd_profile_start(f, NULL, &why), FND_ERR_USAGE, "the context is closed");
    CHECK(fnd_profile_rows(f, rows, 1) == 0 && !fnd_profile_running(f));
}

TEST(profiler_scopes_survive_switching) {
    fnd_error err = { 0 };
    fnd_profile_row rows[8];
    foundry *f = fake_open(true);
    REQUIRE(f);
    FND_SCOPE(f, "outer") { /* begins while off: no level */
        CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
        FND_SCOPE(f, "inner") {
            CHECK_STR(fnd_profile_path(), "inner");
            CHECK_OK(fnd_profile_stop(f, &err), &err);
            FND_SCOPE(f, "off")
            CHECK_STR(fnd_profile_path(), "inner");
            CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
        }
        CHECK_STR(fnd_profile_path(), "");
    }
    CHECK(fnd_profile_rows(f, rows, 8) == 0); /* inner began in the session before */
    FND_SCOPE(f, "closing") {
        CHECK_OK(fnd_close(f, &err), &err);
    }
    CHECK_STR(fnd_profile_path(), "");
}

TEST(profiler_long_labels_are_cut) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
    char label[300];
    memset(label, 'x', sizeof label - 1);
    label[sizeof label - 1] = '\0';
    FND_SCOPE(f, "a") {
        FND_SCOPE(f, label) {
            CHECK(strlen(fnd_profile_path()) == FND_PROFILE_PATH_BYTES - 1);
            FND_SCOPE(f, "deeper")
            dispatch(f, label, 1, 1);
            CHECK(strlen(fnd_profile_path()) == FND_PROFILE_PATH_BYTES - 1);
        }
        CHECK_STR(fnd_profile_path(), "a");
    }
    fnd_close(f, NULL);
}

/* ---- loss -------------------------------------------------------------------------------------------- */

TEST(profiler_ring_keeps_order_and_says_when_full) {
    fnd_ring *ring = fnd_ring_create(5);
    REQUIRE(ring);
    CHECK(fnd_ring_capacity(ring) == 8);
    fnd_profile_entry e = { 0 };
    CHECK(!fnd_ring_pop(ring, &e));
    uint64_t in = 0, out = 0;
    for (int round = 0; round < 100; round++) {
        e.start_ns = in;
        while (fnd_ring_push(ring, &e)) e.start_ns = ++in;
        CHECK(in - out == 8);
        for (int i = 0; i < 1 + round % 8 && fnd_ring_pop(ring, &e); i++) CHECK(e.start_ns == out++);
    }
    fnd_ring_destroy(ring);
}

TEST(profiler_overflow_is_counted) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .ring_records = 64 }, &err), &err);
    pthread_mutex_lock(&f->profiler.drain); /* the drain is held up */
    for (int i = 0; i < 1000; i++) dispatch(f, "gemv", 10, 10);
    CHECK(atomic_load(&f->profiler.lost) == 1000 - 64);
    pthread_mutex_unlock(&f->profiler.drain);
    fnd_profile_totals totals;
    fnd_profile_get_totals(f, &totals);
    CHECK(totals.records == 64 && totals.lost == 936);
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    CHECK_OK(fnd_profile_print(f, to, &err), &err);
    fclose(to);
    CHECK_HAS(text, "936 records lost, 64 kept: the ring of 64 was full");
    free(text);
    fnd_close(f, NULL);
}

typedef struct recorder {
    foundry *f;
    _Atomic bool *stop;
    uint64_t recorded;
} recorder;

static void *record_until_stopped(void *argument) {
    recorder *r = argument;
    while (!atomic_load(r->stop)) {
        FND_SCOPE(r->f, "thread")
        dispatch(r->f, "gemv", 5, 5);
        r->recorded++;
    }
    return NULL;
}

TEST(profiler_switches_while_threads_record) {
    fnd_error err = { 0 };
    _Atomic bool stop = false;
    foundry *f = fake_open(true);
    REQUIRE(f);
    recorder recorders[3];
    pthread_t threads[3];
    for (size_t i = 0; i < FND_COUNT(threads); i++) {
        recorders[i] = (recorder){ .f = f, .stop = &stop };
        REQUIRE(pthread_create(&threads[i], NULL, record_until_stopped, &recorders[i]) == 0);
    }
    uint64_t records = 0;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .ring_records = 1024 }, &err), &err);
        usleep(2000);
        fnd_profile_row rows[4];
        fnd_profile_rows(f, rows, 4);
        CHECK_OK(fnd_profile_stop(f, &err), &err);
        fnd_profile_totals totals;
        fnd_profile_get_totals(f, &totals);
        size_t count = fnd_profile_rows(f, rows, 4);
        CHECK(count <= 3); /* "thread/", "thread/gemv", "/gemv" of a scope that began while off */
        uint64_t calls = 0;
        for (size_t k = 0; k < count; k++) calls += rows[k].calls;
        CHECK(calls == totals.records);
        records += totals.records;
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < FND_COUNT(threads); i++) pthread_join(threads[i], NULL);
    CHECK(records > 0);
    fnd_close(f, NULL);
}

/* Every record is drained or counted as lost, with many writers and a ring that is too small. */
static void *record_many(void *argument) {
    for (int i = 0; i < 20000; i++) dispatch((foundry *)argument, "gemv", 1, 1);
    return NULL;
}

TEST(profiler_loses_nothing_in_silence) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .ring_records = 256 }, &err), &err);
    pthread_t threads[3];
    for (size_t i = 0; i < FND_COUNT(threads); i++) REQUIRE(pthread_create(&threads[i], NULL, record_many, f) == 0);
    for (size_t i = 0; i < FND_COUNT(threads); i++) pthread_join(threads[i], NULL);
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    fnd_profile_totals totals;
    fnd_profile_get_totals(f, &totals);
    CHECK_MSG(totals.records + totals.lost == 60000, "%llu + %llu", (unsigned long long)totals.records, (unsigned long long)totals.lost);
    fnd_close(f, NULL);
}

/* ---- files -------------------------------------------------------------------------------------------- */

static void check_lines(const char *path) {
    char *data = NULL;
    size_t bytes = 0, dispatches = 0, scopes = 0, summaries = 0;
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(path, 1 << 20, &data, &bytes, &err), &err);
    REQUIRE(data);
    for (char *rest = NULL, *line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_error_t bad;
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &bad);
        CHECK_MSG(json, "%s: %s", line, bad.text);
        const char *type = json_string_value(json_object_get(json, "type"));
        REQUIRE(type);
        dispatches += strcmp(type, "dispatch") == 0;
        scopes += strcmp(type, "scope") == 0;
        if (strcmp(type, "summary") == 0) {
            summaries++;
            CHECK(json_integer_value(json_object_get(json, "records")) == 3);
            CHECK(json_integer_value(json_object_get(json, "lost")) == 0);
            CHECK(json_integer_value(json_object_get(json_object_get(json, "counters"), "bytes_held")) == 64);
        } else if (strcmp(type, "dispatch") == 0) {
            CHECK(json_integer_value(json_object_get(json, "bytes_read")) == 4096);
            CHECK(json_integer_value(json_object_get(json, "duration_ns")) == 1500);
            CHECK_STR(json_string_value(json_object_get(json, "kernel")), "ge\"mv\\\n");
        }
        json_decref(json);
    }
    CHECK(dispatches == 2 && scopes == 1 && summaries == 1);
    fnd_free_memory(data);
}

static void check_trace(const char *path) {
    json_error_t bad;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &bad), *event;
    CHECK_MSG(json, "%s", bad.text);
    json_t *events = json_object_get(json, "traceEvents");
    CHECK(json_array_size(events) == 3);
    size_t i;
    json_array_foreach(events, i, event) {
        CHECK_STR(json_string_value(json_object_get(event, "ph")), "X");
        CHECK(json_is_number(json_object_get(event, "ts")) && json_is_number(json_object_get(event, "dur")) && json_is_integer(json_object_get(event, "tid")));
        if (strcmp(json_string_value(json_object_get(event, "cat")), "scope") == 0) {
            CHECK_STR(json_string_value(json_object_get(event, "name")), "d\xC3\xA9"
                                                                         "code?");
        } else {
            CHECK(json_real_value(json_object_get(event, "dur")) == 1.5);
        }
    }
    CHECK(json_integer_value(json_object_get(json_object_get(json, "otherData"), "records")) == 3);
    json_decref(json);
}

TEST(profiler_files_are_json) {
    fnd_error err = { 0 };
    fnd_dedicated x;
    char folder[] = "/tmp/foundry-profile-XXXXXX", lines[64], trace[64];
    REQUIRE(mkdtemp(folder));
    snprintf(lines, sizeof lines, "%s/lines", folder);
    snprintf(trace, sizeof trace, "%s/trace", folder);
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(16), FND_ZEROS, &x, &err), &err);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .lines_path = lines, .trace_path = trace, .bandwidth = 39e9 }, &err), &err);
    FND_SCOPE(f, "d\xC3\xA9"
                 "code\xE2") { /* ends in half a character */
        dispatch(f, "ge\"mv\\\n", 1500, 4096);
        dispatch(f, "ge\"mv\\\n", 1500, 4096);
    }
    CHECK_OK(fnd_close(f, &err), &err); /* stops, and finishes the files */
    check_lines(lines);
    check_trace(trace);
    f = fake_open(true);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .trace_path = trace }, &err), &err); /* no event at all */
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    json_t *json = json_load_file(trace, 0, NULL);
    CHECK(json && json_array_size(json_object_get(json, "traceEvents")) == 0);
    json_decref(json);
    FAILS(fnd_profile_start(f, &(fnd_profile_desc){ .lines_path = "/nowhere/at/all" }, &why), FND_ERR_FILE, "cannot write /nowhere/at/all");
    CHECK(!fnd_profile_running(f));
    fnd_close(f, NULL);
    unlink(lines);
    unlink(trace);
    rmdir(folder);
}

TEST(profiler_full_disk_is_reported) {
    NEED(access("/dev/full", W_OK) == 0, "no /dev/full here");
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .lines_path = "/dev/full" }, &err), &err);
    for (int i = 0; i < 100; i++) dispatch(f, "gemv", 1, 1);
    FAILS(fnd_profile_stop(f, &why), FND_ERR_FILE, "/dev/full was not written in full");
    fnd_close(f, NULL);
}

TEST(profiler_table_and_counters) {
    fnd_error err = { 0 };
    foundry *f = fake_open(false);
    REQUIRE(f);
    fnd_dedicated x;
    fnd_storage_ref ref;
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(1024), FND_ONES, &x, &err), &err);
    CHECK_OK(fnd_storage_for_write(f, &x.t, &ref, &err), &err);
    float one;
    CHECK_OK(fnd_tensor_read(f, &x.t, 0, &one, 4, &err), &err);
    fnd_count(f, FND_COUNTER_COMPILATIONS, 3);
    CHECK(fnd_counter_get(f, FND_COUNTER_COMPILATIONS) == 3 && fnd_counter_get(f, FND_COUNTER_ALLOCATIONS) == 1 && fnd_counter_get(f, FND_COUNTER_BYTES_HELD) == 4096);
    CHECK(fnd_counter_get(f, FND_COUNTER_UPLOADED_BYTES) == 4096 && fnd_counter_get(f, FND_COUNTER_DOWNLOADED_BYTES) == 4096 && fnd_counter_get(f, FND_COUNTER_WAITS) == 1);
    CHECK(fnd_counter_get(f, FND_COUNTER_COUNT) == 0);
    CHECK_OK(fnd_profile_start(f, &(fnd_profile_desc){ .bandwidth = 20e9, .ops_rates = { [FND_UNIT_FLOATS] = 10e9, [FND_UNIT_INT8_DOTS] = 40e9 } }, &err), &err);
    FND_SCOPE(f, "decode")
    dispatch(f, "gemv", 1000000, 10000000);
    const uint64_t floats[FND_UNIT_COUNT] = { [FND_UNIT_FLOATS] = 8000000 }, mixed[FND_UNIT_COUNT] = { [FND_UNIT_FLOATS] = 1000000, [FND_UNIT_INT8_DOTS] = 20000000 };
    fnd_profile_record(&f->profiler, &(fnd_profile_event){ .kernel = "gemm", .path = "prefill", .start_ns = fnd_now_ns(), .duration_ns = 1000000, .bytes_read = 2000000, .ops = 8000000, .unit_ops = floats });
    fnd_profile_record(&f->profiler, &(fnd_profile_event){ .kernel = "dots", .path = "prefill", .start_ns = fnd_now_ns(), .duration_ns = 1000000, .bytes_read = 2000000, .ops = 21000000, .unit_ops = mixed });
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    CHECK_OK(fnd_profile_print(f, to, &err), &err);
    fclose(to);
    const char *row = strstr(text, "decode/gemv ");
    REQUIRE(row);
    char values[200];
    snprintf(values, sizeof values, "%.*s", (int)strcspn(row, "\n"), row);
    CHECK_HAS(values, " 1       1000.0    1000.00    10.000     0.000     10.00    50.0      0.0      0.0     50.0  memory                  33.3");
    row = strstr(text, "prefill/gemm "); /* many operations for each byte: under the other roof */
    REQUIRE(row);
    snprintf(values, sizeof values, "%.*s", (int)strcspn(row, "\n"), row);
    CHECK_HAS(values, " 1       1000.0    1000.00     2.000     8.000      2.00    10.0      4.0      8.0     80.0  float products          33.3");
    row = strstr(text, "prefill/dots "); /* 0.1 ms of floats, 0.5 ms of dot products */
    REQUIRE(row);
    snprintf(values, sizeof values, "%.*s", (int)strcspn(row, "\n"), row);
    CHECK_HAS(values, "     10.5     21.0     60.0  int8 dot products       33.3");
    CHECK_HAS(text, "23.3 % of the measured 20.00 GB/s");
    CHECK_HAS(text, "roofs: memory 20.00 GB/s, float products 10 Gop/s, int8 dot products 40 Gop/s\n");
    CHECK_HAS(text, "compilations 3, ");
    free(text);
    fnd_close(f, NULL);
}

TEST(profiler_survives_no_memory) {
    for (uint64_t n = 1; n < 8; n++) {
        fnd_error err = { 0 };
        foundry *f = fake_open(true);
        REQUIRE(f);
        fnd_memory_fail_after(n);
        fnd_status status = fnd_profile_start(f, &(fnd_profile_desc){ .trace_path = "/dev/null" }, &err);
        if (status == FND_OK) dispatch(f, "gemv", 1, 1);
        fnd_profile_stop(f, NULL);
        fnd_memory_fail_after(0);
        CHECK(status == FND_OK || status == FND_ERR_MEMORY);
        fnd_profile_totals totals;
        fnd_profile_get_totals(f, &totals);
        CHECK(status != FND_OK || totals.records == 1);
        fnd_close(f, NULL);
    }
}

/* Off, a dispatch costs one branch; on, it neither allocates nor blocks. */
/* What a scope and a dispatch cost while nobody listens, in ns: the least of some rounds. */
static double cost_while_off(foundry *f) {
    enum { CALLS = 200000 };
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < 10; round++) {
        uint64_t start = fnd_now_ns();
        for (int i = 0; i < CALLS; i++) FND_SCOPE(f, "token")
        dispatch(f, "gemv", 1, 1);
        uint64_t took = fnd_now_ns() - start;
        if (took < best) best = took;
    }
    return (double)best / CALLS;
}

/* Next to a token of a model that is smaller than any: what its launches cost for the profiler's sake is less
 * than 0.5 % of it. Both are the least of many, so that what else the machine does is in neither. */
TEST(profiler_off_costs_next_to_nothing) {
    fnd_error err = { 0 };
    session_bench b;
    enum { TOKENS = 400 };
    if (!session_bench_open(&b, &(fnd_session_desc){ .context = 512 })) return;
    const uint32_t id = 72;
    uint64_t token_ns = UINT64_MAX, before = 0;
    for (int i = 0; i < TOKENS; i++) {
        if (i == 1) before = fnd_counter_get(b.f, FND_COUNTER_DISPATCHES);
        uint64_t start = fnd_now_ns();
        CHECK_OK(fnd_session_eval(b.s, &id, 1, &err), &err);
        CHECK_OK(fnd_wait(b.f, &err), &err);
        uint64_t took = fnd_now_ns() - start;
        if (took < token_ns) token_ns = took;
    }
    double launches = (double)(fnd_counter_get(b.f, FND_COUNTER_DISPATCHES) - before) / (TOKENS - 1), each = cost_while_off(b.f);
    CHECK_MSG(launches >= 1, "%.2f launches a token", launches);
    CHECK_MSG(launches * each < 0.005 * (double)token_ns, "%.2f launches of %.1f ns in a token of %llu ns", launches, each, (unsigned long long)token_ns);
    session_bench_close(&b);
}

TEST(profiler_on_allocates_nothing_in_a_dispatch) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
    dispatch(f, "gemv", 1, 1);
    CHECK(fnd_profile_rows(f, NULL, 0) == 1);
    uint64_t before = fnd_memory_allocations();
    for (int i = 0; i < 1000; i++) dispatch(f, "gemv", 1, 1);
    CHECK(fnd_memory_allocations() == before);
    fnd_close(f, NULL);
}

/* ---- whose time it is ---- */

TEST(profiler_gives_every_row_its_own_time) {
    static const struct {
        const char *path, *kernel;
        uint64_t total, own;
    } list[] = {
        { "", "sample", 100, 100 },
        { "run", "", 1000, 300 },        /* 700 of it in run/a/token, whose outer label is no scope */
        { "run/a/token", "", 700, 150 }, /* less 250 in qkv and 300 in mlp */
        { "run/a/token", "qkv", 250, 250 },
        { "run/a/token/mlp", "", 300, 0 }, /* what ran beside it took longer than it */
        { "run/a/token/mlp", "up", 400, 400 },
        { "runs", "", 50, 50 },
    };
    fnd_profile_table *table = fnd_profile_table_create();
    fnd_profile_row rows[FND_COUNT(list)];
    REQUIRE(table);
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        fnd_profile_entry e = { .duration_ns = list[i].total };
        snprintf(e.path, sizeof e.path, "%s", list[i].path);
        snprintf(e.kernel, sizeof e.kernel, "%s", list[i].kernel);
        CHECK(fnd_profile_table_add(table, &e));
    }
    CHECK(fnd_profile_table_rows(table, rows, FND_COUNT(rows)) == FND_COUNT(list));
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        const fnd_profile_row *row = find_row(rows, FND_COUNT(rows), list[i].path, list[i].kernel);
        CHECK_MSG(row && row->self_ns == list[i].own, "%s/%s has %llu of its own", list[i].path, list[i].kernel, row ? (unsigned long long)row->self_ns : 0);
    }
    fnd_profile_table_destroy(table);
}

TEST(profiler_shares_out_all_time_once) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    CHECK_OK(fnd_profile_start(f, NULL, &err), &err);
    FND_SCOPE(f, "outer") {
        FND_SCOPE(f, "inner") {
            dispatch(f, "short", 3000, 1);
            usleep(2000);
        }
        dispatch(f, "long", 400000, 1);
        usleep(2000);
    }
    CHECK_OK(fnd_profile_stop(f, &err), &err);
    FILE *to = tmpfile();
    REQUIRE(to);
    CHECK_OK(fnd_profile_print(f, to, &err), &err);
    rewind(to);
    char line[512];
    double sum = 0;
    size_t rows = 0;
    while (fgets(line, sizeof line, to)) {
        if (strncmp(line, "outer/", 6) != 0) continue;
        sum += strtod(strrchr(line, ' '), NULL);
        rows++;
    }
    CHECK(rows == 4);
    CHECK_MSG(sum > 99.7 && sum < 100.3, "all rows are %.1f %% of the time", sum);
    fclose(to);
    fnd_close(f, NULL);
}
