/* test_sim.c - the simulator finds planted mistakes, and lets right kernels pass with right results. */
#include "test.h"

#include "backend/sim/sim.h"
#include "backend/backend.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "compose/source.h"

#include <math.h>
#include <unistd.h>

static const fnd_backend *const sim = &fnd_backend_sim;

/* ---- building and launching ------------------------------------------------------------------- */
static fnd_status flatten(const char *name, const char *text, fnd_text *out, fnd_error *err) {
    fnd_sources *sources;
    FND_TRY(fnd_sources_open(NULL, &sources, err));
    fnd_status status = fnd_sources_flatten(sources, "", name, text, out, err);
    fnd_sources_close(sources);
    return status;
}

static fnd_status build_text(void *self, const char *name, const char *text, uint32_t warps, fnd_blob *out, fnd_error *err) {
    fnd_text flat = { 0 };
    fnd_status status = flatten(name, text, &flat, err);
    if (status == FND_OK) status = sim->build(self, &(fnd_build_desc){ .entry = name, .text = fnd_text_get(&flat), .warps = warps }, out, err);
    fnd_text_free(&flat);
    return status;
}

static fnd_status build_file(void *self, const char *path, uint32_t warps, fnd_blob *out, fnd_error *err) {
    char *text;
    size_t bytes;
    FND_TRY(fnd_file_read(path, 1 << 20, &text, &bytes, err));
    fnd_status status = build_text(self, path, text, warps, out, err);
    fnd_free_memory(text);
    return status;
}

static bool at_root(void) { return access("tests/sim_texts/bugs.h", R_OK) == 0; }

typedef struct device {
    void *self;
    fnd_device_info info;
    fnd_error err;
} device;

static bool open_device(device *d, const char *compiler) {
    *d = (device){ 0 };
    fnd_status status = sim->open(&(fnd_backend_desc){ .compiler = compiler }, &d->self, &d->info, &d->err);
    CHECK_OK(status, &d->err);
    return status == FND_OK;
}

/* Launch one entry point of a blob and wait. */
static fnd_status run(device *d, const fnd_blob *blob, const char *entry, fnd_launch launch, fnd_error *err) {
    void *code;
    FND_TRY(sim->load(d->self, entry, blob->data, blob->bytes, &code, err));
    launch.label = entry;
    launch.code = code;
    fnd_status status = sim->launch(d->self, &launch, err);
    if (status == FND_OK) status = sim->wait(d->self, err);
    sim->unload(d->self, code);
    return status;
}

typedef struct tensor {
    fnd_memory memory;
    float *f;
} tensor;

static tensor make(device *d, size_t count) {
    tensor t = { 0 };
    CHECK_OK(sim->alloc(d->self, count * sizeof(float), &t.memory, &d->err), &d->err);
    t.f = t.memory.host;
    return t;
}

static fnd_launch_buffer bound(const char *name, const tensor *t, bool reads, bool writes) {
    return (fnd_launch_buffer){ name, t->memory.address, t->memory.bytes, reads, writes };
}

/* ---- planted mistakes -------------------------------------------------------------------------- */
typedef struct bug {
    const char *entry, *says[3];
} bug;

static const bug bugs[] = {
    { "none", { NULL, NULL, NULL } },
    { "write_past_end", { "write_past_end: out of bounds: group ", "writes 4 bytes at byte 1204 (element 301 of 4 bytes)", "past the end of argument y (1204 bytes)" } },
    { "read_past_end", { "out of bounds: group ", "reads 4 bytes at byte 1204 (element 301 of 4 bytes)", "past the end of argument x" } },
    { "read_before_start", { "out of bounds: group 0, warp 0, lane 0", "begin 4 bytes before the start of", "argument x" } },
    { "vector_past_end", { "out of bounds: ", "writes 16 bytes", "past the end of argument y" } },
    { "wild_pointer", { "out of bounds: group 0, warp 0, lane 0", "at address 0x40", "no argument of this launch" } },
    { "writes_input", { "group 0, warp 0, lane 0", "writes argument x (1204 bytes), which may only be read", "byte 0" } },
    { "scratch_past_end", { "out of bounds: group 0, warp 0, lane 0", "byte 64", "past the end of the group's scratch (64 bytes)" } },
    { "group_array_past_end", { "out of bounds: group 0, warp 2, lane 0", "element 64 of 4 bytes", "past the end of group memory tile (256 bytes)" } },
    { "own_array_past_end", { "out of bounds: group 0, warp 0, lane 4", "index 4 of an array of type 'f32", "bugs.h:" } },
    { "constant_past_end", { "out of bounds: group 0, warp 0, lane 3", "index 3 of an array", "bugs.h:" } },
    { "another_threads_memory", { "out of bounds: group 0, warp 0, lane 1", "reads 4 bytes", "another thread's own memory" } },
    { "struct_past_end", { "out of bounds: group 0, warp 0, lane 0", "writes 96 bytes", "past the end of argument y" } },
    { "copy_past_end", { "out of bounds: group 0, warp 0, lane 0", "reads 96 bytes", "past the end of argument x" } },
    { "short_copy_past_end", { "out of bounds: group 0, warp 0, lane 0", "writes 16 bytes", "past the end of argument y" } },
    { "set_past_end", { "out of bounds: group 0, warp 0, lane 0", "writes 1204 bytes", "past the end of argument y" } },
    { "misaligned", { "group 0, warp 0, lane 0 reads 4 bytes at byte 2", "argument x", "must be aligned" } },
    { "divides_by_zero", { "divides an integer by zero", "bugs.h:", "group 0, warp 0, lane 0" } },
    { "group_memory_full", { "group memory big needs 36000 bytes", "are left", "" } },
    { "group_memory_race", { "race on group memory tile (512 bytes), byte ", "group 0, warp 0, lane 0", "with no barrier in between" } },
    { "second_round_race", { "race on group memory tile", "writes what group 0, warp ", "read, with no barrier in between" } },
    { "all_write_one", { "race on group memory tile (4 bytes), byte 0", "lane 1 writes what group 0, warp 0, lane 0 wrote", "no barrier" } },
    { "warp_race", { "race on group memory tile", "warp 0", "no barrier" } },
    { "byte_race", { "race on group memory tile (128 bytes), byte 76", "writes what group 0, warp 2, lane 1", "wrote" } },
    { "many_readers_race", { "race on group memory tile", "warp 2, lane 31 writes what group 0, warp ", "read" } },
    { "scratch_race", { "race on the group's scratch (64 bytes), byte 0", "writes what group 0, warp 0, lane 0 wrote", "no barrier" } },
    { "group_race_on_output", { "race on argument y", "group 1, warp 0, lane 0 writes what group 0, warp 0, lane 0 wrote", "in the same launch" } },
    { "group_reads_group", { "race on argument y", "group 1, warp ", "reads what group 0, warp 0, lane 0 wrote in the same launch" } },
    { "last_group_reads", { NULL, NULL, NULL } },
    { "late_group_reads", { "race on argument y", "group 2, warp ", "reads what group 0, warp 0, lane 0 wrote in the same launch" } },
    { "barrier_in_branch", { "divergent barrier in group 0", "64 threads (first: warp 0, lane 0) at a group barrier (", "64 threads (first: warp 0, lane 16) finished" } },
    { "return_before_barrier", { "divergent barrier in group 0", "96 threads (first: warp 0, lane 0) at a group barrier (tests/sim_texts/bugs.h:", "32 threads (first: warp 2, lane 0) finished" } },
    { "two_barriers", { "divergent barrier in group 0", "32 threads (first: warp 0, lane 0) at a group barrier", "96 threads (first: warp 1, lane 0) at a group barrier" } },
    { "lane_sum_in_branch", { "divergent barrier in group 0", "(first: warp 0, lane 0) at a lane sum", "(first: warp 0, lane 5) finished" } },
    { "two_lane_operations", { "divergent barrier in group 0", "16 threads (first: warp 0, lane 0) at a lane maximum", "16 threads (first: warp 0, lane 1) at a lane sum" } },
    { "sum_against_barrier", { "divergent barrier in group 0", "at a lane sum", "at a group barrier" } },
    { "no_such_lane", { "asks for the value of lane 32 of 32", "bugs.h:", "warp 0, lane 31" } },
    { "unwritten_output", { "unwritten output: 4 bytes of argument y (1204 bytes)", "byte 800", "" } },
    { "reads_output", { "group 0, warp 0, lane 0 reads output argument y", "byte 0", "before anything was written there" } },
};

typedef struct bug_args {
    uint64_t x, y;
    uint32_t n, pad;
} bug_args;

static void find_bugs(const char *compiler) {
    enum { N = 301 };
    device d;
    fnd_blob blob;
    if (!open_device(&d, compiler)) return;
    tensor x = make(&d, N), y = make(&d, N);
    fnd_status built = build_file(d.self, "tests/sim_texts/bugs.h", 4, &blob, &d.err);
    CHECK_OK(built, &d.err);
    for (size_t i = 0; built == FND_OK && i < FND_COUNT(bugs); i++) {
        const fnd_launch_buffer buffers[] = { bound("x", &x, true, false), bound("y", &y, false, true) };
        bug_args args = { x.memory.address, y.memory.address, N, 0 };
        fnd_error err = { 0 };
        fnd_status status = run(&d, &blob, bugs[i].entry, (fnd_launch){ .args = &args, .args_bytes = sizeof args, .groups = 3, .warps = 4, .scratch_bytes = 64, .buffers = buffers, .buffer_count = 2 }, &err);
        CHECK_MSG(status == (bugs[i].says[0] ? FND_ERR_DEVICE : FND_OK), "%s with %s: status %d, %s", bugs[i].entry, compiler, status, err.text);
        for (size_t k = 0; bugs[i].says[0] && k < 3; k++) {
            CHECK_MSG(strstr(err.text, bugs[i].says[k]), "%s with %s: \"%s\" lacks \"%s\"", bugs[i].entry, compiler, err.text, bugs[i].says[k]);
        }
    }
    fnd_free_memory(blob.data);
    sim->close(d.self);
}

TEST(sim_finds_planted_mistakes) {
    char path[FND_PROCESS_PATH_BYTES];
    NEED(at_root(), "run from the root of the project");
    NEED(fnd_process_find("gcc", path) || fnd_process_find("clang", path), "no C compiler");
    if (fnd_process_find("gcc", path)) find_bugs("gcc");
    if (fnd_process_find("clang", path)) find_bugs("clang");
}

/* ---- right kernels ----------------------------------------------------------------------------- */
typedef struct right {
    device d;
    fnd_blob blob;
    uint32_t warps;
} right;

static float noise(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

static void fill(tensor *t, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) t->f[i] = noise(&seed);
}

static bool close_to(double got, double want, double scale) { return fabs(got - want) <= 1e-5 * (scale + fabs(want)); }

static void launch_right(right *r, const char *entry, const void *args, size_t args_bytes, size_t scratch_bytes, const fnd_launch_buffer *buffers, size_t count) {
    fnd_error err = { 0 };
    fnd_launch launch = { .args = args, .args_bytes = args_bytes, .groups = r->d.info.groups, .warps = r->warps, .scratch_bytes = scratch_bytes, .buffers = buffers, .buffer_count = count };
    CHECK_MSG(run(&r->d, &r->blob, entry, launch, &err) == FND_OK, "%u warps: %s", r->warps, err.text);
}

static void check_reduce(right *r) {
    enum { N = 1000,
           GROUPS = 3 };
    tensor x = make(&r->d, N), y = make(&r->d, 3 * GROUPS);
    fill(&x, N, 1);
    bug_args args = { x.memory.address, y.memory.address, N, 0 };
    launch_right(r, "reduce", &args, sizeof args, 0, (fnd_launch_buffer[]){ bound("x", &x, true, false), bound("y", &y, false, true) }, 2);
    double sum = 0.0, most = -1e30;
    for (size_t i = 0; i < N; i++) {
        sum += (double)x.f[i];
        most = fmax(most, (double)x.f[i]);
    }
    for (size_t g = 0; g < GROUPS; g++) {
        CHECK(close_to((double)y.f[g], sum, 10.0));
        CHECK((double)y.f[GROUPS + g] == most);
        CHECK(y.f[2 * GROUPS + g] == x.f[7] + 1.0f);
    }
    sim->release(r->d.self, &x.memory);
    sim->release(r->d.self, &y.memory);
}

static void check_transpose(right *r) {
    enum { ROWS = 45,
           COLS = 70 };
    tensor x = make(&r->d, ROWS * COLS), y = make(&r->d, ROWS * COLS);
    fill(&x, ROWS * COLS, 2);
    struct {
        uint64_t x, y;
        uint32_t rows, cols;
    } args = { x.memory.address, y.memory.address, ROWS, COLS };
    launch_right(r, "transpose", &args, sizeof args, 0, (fnd_launch_buffer[]){ bound("x", &x, true, false), bound("y", &y, false, true) }, 2);
    for (size_t i = 0; i < ROWS * COLS; i++) CHECK(y.f[i % COLS * ROWS + i / COLS] == x.f[i]);
    sim->release(r->d.self, &x.memory);
    sim->release(r->d.self, &y.memory);
}

static void check_meetings(right *r) {
    enum { N = 777 };
    tensor x = make(&r->d, N), y = make(&r->d, N);
    fill(&x, N, 3);
    bug_args args = { x.memory.address, y.memory.address, N, 0 };
    launch_right(r, "exchange", &args, sizeof args, 0, (fnd_launch_buffer[]){ bound("x", &x, true, false), bound("y", &y, false, true) }, 2);
    for (size_t i = 0; i < N; i++) CHECK(y.f[i] == x.f[i] + (float)((i % (32 * r->warps) ^ 1) & 255));
    fill(&y, N, 4);
    fill(&x, N, 4);
    struct {
        uint64_t y;
        uint32_t n, pad;
    } in_place = { y.memory.address, N, 0 };
    launch_right(r, "reverse", &in_place, sizeof in_place, 0, (fnd_launch_buffer[]){ bound("y", &y, true, true) }, 1);
    for (size_t i = 0; i < N; i++) CHECK(y.f[i] == x.f[N - 1 - i] + 1.0f);
    sim->release(r->d.self, &x.memory);
    sim->release(r->d.self, &y.memory);
}

static void check_norm(right *r) {
    enum { TOKENS = 4,
           DIM = 133 };
    const float eps = 1e-5f;
    tensor x = make(&r->d, TOKENS * DIM), gamma = make(&r->d, DIM), y = make(&r->d, TOKENS * DIM);
    fill(&x, TOKENS * DIM, 5);
    fill(&gamma, DIM, 6);
    struct {
        uint64_t x, gamma, y;
        float eps;
        uint32_t tokens, dim, pad;
    } args = { x.memory.address, gamma.memory.address, y.memory.address, eps, TOKENS, DIM, 0 };
    launch_right(r, "norm", &args, sizeof args, 0, (fnd_launch_buffer[]){ bound("x", &x, true, false), bound("gamma", &gamma, true, false), bound("y", &y, false, true) }, 3);
    for (size_t m = 0; m < TOKENS; m++) {
        double square = 0.0;
        for (size_t i = 0; i < DIM; i++) square += (double)x.f[m * DIM + i] * (double)x.f[m * DIM + i];
        for (size_t i = 0; i < DIM; i++) {
            double want = (double)x.f[m * DIM + i] / sqrt(square / DIM + (double)eps) * (double)gamma.f[i];
            CHECK(close_to((double)y.f[m * DIM + i], want, 1.0));
        }
    }
    sim->release(r->d.self, &x.memory);
    sim->release(r->d.self, &gamma.memory);
    sim->release(r->d.self, &y.memory);
}

/* Q4_1 blocks of 32 weights: d = 1/16 and m = -1/2 as halves, then 16 bytes of codes. */
static double q4_1_weight(const uint8_t *row, size_t k) {
    unsigned code = row[k / 32 * 20 + 4 + k % 16];
    return (double)(k % 32 < 16 ? code & 15u : code >> 4) / 16.0 - 0.5;
}

static void check_norm_gemv(right *r) {
    enum { ROWS = 61,
           COLS = 64,
           ROW_BYTES = COLS / 32 * 20 };
    static uint8_t w[ROWS * ROW_BYTES];
    static const uint8_t fields[4] = { 0x00, 0x2c, 0x00, 0xb8 };
    fnd_memory weights;
    uint32_t seed = 7;
    for (size_t i = 0; i < sizeof w; i++) w[i] = i % 20 < 4 ? fields[i % 20] : (uint8_t)(noise(&seed) * 127.0f + 128.0f);
    CHECK_OK(sim->adopt(r->d.self, w, sizeof w, &weights, &r->d.err), &r->d.err);
    tensor x = make(&r->d, COLS), gamma = make(&r->d, COLS), y = make(&r->d, ROWS);
    fill(&x, COLS, 8);
    fill(&gamma, COLS, 9);
    struct {
        uint64_t w, ops, x, gamma, y;
        float eps;
        uint32_t rows, cols, pad;
    } args = { weights.address, 0, x.memory.address, gamma.memory.address, y.memory.address, 1e-5f, ROWS, COLS, 0 };
    launch_right(r, "norm_gemv", &args, sizeof args, COLS * sizeof(float), (fnd_launch_buffer[]){ { "w", weights.address, weights.bytes, true, false }, bound("x", &x, true, false), bound("gamma", &gamma, true, false), bound("y", &y, false, true) }, 4);
    double square = 0.0;
    for (size_t i = 0; i < COLS; i++) square += (double)x.f[i] * (double)x.f[i];
    for (size_t row = 0; row < ROWS; row++) {
        double want = 0.0;
        for (size_t k = 0; k < COLS; k++) want += q4_1_weight(w + row * ROW_BYTES, k) * (double)x.f[k] * (double)gamma.f[k] / sqrt(square / COLS + 1e-5);
        CHECK(close_to((double)y.f[row], want, 10.0));
    }
    sim->release(r->d.self, &x.memory);
    sim->release(r->d.self, &gamma.memory);
    sim->release(r->d.self, &y.memory);
    sim->release(r->d.self, &weights);
}

TEST(sim_runs_right_kernels) {
    char path[FND_PROCESS_PATH_BYTES];
    static const char *const compilers[] = { "gcc", "clang" };
    static const uint32_t warps[] = { 1, 4, 32 };
    NEED(at_root(), "run from the root of the project");
    for (size_t i = 0; i < FND_COUNT(compilers) * FND_COUNT(warps); i++) {
        right r = { .warps = warps[i / FND_COUNT(compilers)] };
        const char *compiler = compilers[i % FND_COUNT(compilers)];
        if (!fnd_process_find(compiler, path) || !open_device(&r.d, compiler)) continue;
        fnd_status built = build_file(r.d.self, "tests/sim_texts/right.h", r.warps, &r.blob, &r.d.err);
        CHECK_OK(built, &r.d.err);
        for (uint64_t order = 0; built == FND_OK && order < 2; order++) {
            fnd_sim_set_order(r.d.self, order);
            check_reduce(&r);
            check_transpose(&r);
            check_meetings(&r);
            check_norm(&r);
            check_norm_gemv(&r);
        }
        fnd_free_memory(r.blob.data);
        sim->close(r.d.self);
    }
}

/* ---- the device -------------------------------------------------------------------------------- */
TEST(sim_describes_itself) {
    device d;
    if (!open_device(&d, NULL)) return;
    CHECK(d.info.lanes == 32 && d.info.warps == 4 && d.info.groups == 3 && d.info.max_threads == 1024);
    CHECK(d.info.group_bytes == 48 * 1024 && d.info.tile_rows == 0 && d.info.host_memory);
    CHECK_STR(d.info.suffix, "");
    sim->close(d.self);
    fnd_error err = { 0 };
    CHECK(sim->open(&(fnd_backend_desc){ .device = 1 }, &d.self, &d.info, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "no device 1");
}

TEST(sim_without_compiler) {
    device d;
    fnd_blob blob;
    if (!open_device(&d, "/nowhere/cc")) return;
    CHECK(!d.info.can_build);
    CHECK_HAS(d.info.why_not_build, "no C compiler /nowhere/cc");
    fnd_error err = { 0 };
    CHECK(sim->build(d.self, &(fnd_build_desc){ .entry = "k", .text = "", .warps = 4 }, &blob, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "no C compiler");
    sim->close(d.self);
}

TEST(sim_memory) {
    device d;
    if (!open_device(&d, NULL)) return;
    fnd_memory m;
    char bytes[100] = "some bytes", back[100] = "";
    CHECK_OK(sim->alloc(d.self, 100, &m, &d.err), &d.err);
    for (size_t i = 0; i < 100; i++) CHECK(((uint8_t *)m.host)[i] == 0);
    CHECK_OK(sim->upload(d.self, &m, 40, bytes, 60, &d.err), &d.err);
    CHECK_OK(sim->download(d.self, back, &m, 40, 60, &d.err), &d.err);
    CHECK_STR(back, "some bytes");
    fnd_error err = { 0 };
    CHECK(sim->upload(d.self, &m, 41, bytes, 60, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "outside of device memory of 100 bytes");
    sim->release(d.self, &m);
    CHECK_OK(sim->reserve(d.self, (size_t)1 << 34, &m, &d.err), &d.err);
    CHECK(sim->download(d.self, back, &m, 0, 1, NULL) == FND_ERR_USAGE);
    CHECK_OK(sim->commit(d.self, &m, 5000, &d.err), &d.err);
    CHECK_OK(sim->upload(d.self, &m, 4990, bytes, 10, &d.err), &d.err);
    CHECK(sim->upload(d.self, &m, 4991, bytes, 10, NULL) == FND_ERR_USAGE);
    CHECK_OK(sim->commit(d.self, &m, 10000, &d.err), &d.err);
    CHECK(((char *)m.host)[4990] == 's');
    fnd_memory adopted;
    CHECK_OK(sim->adopt(d.self, bytes, sizeof bytes, &adopted, &d.err), &d.err);
    CHECK_OK(sim->download(d.self, back, &adopted, 5, 5, &d.err), &d.err);
    CHECK(memcmp(back, "bytes", 5) == 0);
    CHECK(sim->upload(d.self, &adopted, 0, back, 5, NULL) == FND_ERR_USAGE);
    sim->release(d.self, &adopted);
    sim->close(d.self); /* releases what was not */
}

TEST(sim_compile_errors) {
    device d;
    fnd_blob blob;
    if (!open_device(&d, NULL)) return;
    NEED(d.info.can_build, d.info.why_not_build);
    fnd_error err = { 0 };
    static const char *const wrong = "#include \"fnd_device.h\"\n#define T(F) F(OUT, f32, y)\n#define V(F)\nFND_KERNEL(k, T, V, 8) {\n    a.y[0] = nowhere;\n}\n";
    CHECK(build_text(d.self, "folder/wrong.h", wrong, 4, &blob, &err) == FND_ERR_COMPILE);
    CHECK_HAS(err.text, "folder/wrong.h:5");
    CHECK_HAS(err.text, "nowhere");
    CHECK(strchr(err.text, '\n') == NULL);
    err = (fnd_error){ 0 };
    static const char *const large = "#include \"fnd_device.h\"\n#define T(F) F(OUT, f32, y)\n#define V(F)\nFND_KERNEL(k, T, V, 8) {\n    f32 own[40000];\n    for (u32 i = 0; i < 40000; i++) own[i] = a.y[i];\n    for (u32 i = 0; i < 40000; i++) a.y[i] = own[39999 - i];\n}\n";
    CHECK(build_text(d.self, "large.h", large, 4, &blob, &err) == FND_ERR_COMPILE);
    CHECK_HAS(err.text, "98304");
    err = (fnd_error){ 0 };
    static const char *const missing = "#include \"fnd_device.h\"\nextern u32 elsewhere(void);\n#define T(F) F(OUT, u32, y)\n#define V(F)\nFND_KERNEL(k, T, V, 8) { a.y[0] = elsewhere(); }\n";
    CHECK(build_text(d.self, "missing.h", missing, 4, &blob, &err) == FND_ERR_COMPILE);
    CHECK_HAS(err.text, "elsewhere");
    CHECK(sim->build(d.self, &(fnd_build_desc){ .entry = "k", .text = "", .warps = 33 }, &blob, NULL) == FND_ERR_USAGE);
    sim->close(d.self);
}

TEST(sim_refuses_wrong_launches) {
    NEED(at_root(), "run from the root of the project");
    device d;
    fnd_blob blob;
    void *code;
    if (!open_device(&d, NULL)) return;
    NEED(d.info.can_build, d.info.why_not_build);
    REQUIRE(build_file(d.self, "tests/sim_texts/bugs.h", 2, &blob, &d.err) == FND_OK);
    CHECK(sim->load(d.self, "no_such_entry", blob.data, blob.bytes, &code, NULL) == FND_ERR_DEVICE);
    CHECK(sim->load(d.self, "none", "not a library", 13, &code, NULL) != FND_OK);
    tensor x = make(&d, 64), y = make(&d, 64);
    fnd_launch_buffer buffers[] = { bound("x", &x, true, false), bound("y", &y, false, true) };
    bug_args args = { x.memory.address, y.memory.address, 64, 0 };
    fnd_launch launch = { .args = &args, .args_bytes = sizeof args, .groups = 1, .warps = 4, .buffers = buffers, .buffer_count = 2 };
    fnd_error err = { 0 };
    CHECK(run(&d, &blob, "none", launch, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "none: compiled for groups of 2 warps, launched with 4");
    launch.warps = 2;
    launch.groups = 0;
    CHECK(run(&d, &blob, "none", launch, NULL) == FND_ERR_USAGE);
    launch.groups = 3;
    err = (fnd_error){ 0 };
    buffers[1].bytes += 4096;
    CHECK(run(&d, &blob, "none", launch, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "argument y (4352 bytes) is not memory of this device");
    buffers[1].bytes -= 4096;
    fnd_memory adopted;
    CHECK_OK(sim->adopt(d.self, &blob, sizeof blob, &adopted, &d.err), &d.err);
    fnd_launch_buffer const_y = { "y", adopted.address, adopted.bytes, false, true };
    launch.buffers = &const_y;
    launch.buffer_count = 1;
    err = (fnd_error){ 0 };
    CHECK(run(&d, &blob, "none", launch, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "argument y is written, but its memory may only be read");
    launch.buffers = buffers;
    launch.buffer_count = 2;
    CHECK_OK(run(&d, &blob, "none", launch, &d.err), &d.err);
    fnd_free_memory(blob.data);
    sim->close(d.self);
}

/* A failure stays until wait tells it; what is launched meanwhile is void; then all is well again.
 * Tensors may be bound twice, and views may overlap. */
TEST(sim_keeps_the_first_failure) {
    NEED(at_root(), "run from the root of the project");
    device d;
    fnd_blob blob;
    void *bad, *good;
    if (!open_device(&d, NULL)) return;
    NEED(d.info.can_build, d.info.why_not_build);
    REQUIRE(build_file(d.self, "tests/sim_texts/bugs.h", 1, &blob, &d.err) == FND_OK);
    REQUIRE(sim->load(d.self, "unwritten_output", blob.data, blob.bytes, &bad, &d.err) == FND_OK);
    REQUIRE(sim->load(d.self, "none", blob.data, blob.bytes, &good, &d.err) == FND_OK);
    tensor x = make(&d, 300), y = make(&d, 300);
    fill(&x, 300, 10);
    fnd_launch_buffer buffers[] = { bound("x", &x, true, false), bound("y", &y, false, true) };
    bug_args args = { x.memory.address, y.memory.address, 300, 0 };
    fnd_launch launch = { .label = "first", .code = bad, .args = &args, .args_bytes = sizeof args, .groups = 3, .warps = 1, .buffers = buffers, .buffer_count = 2 };
    CHECK_OK(sim->launch(d.self, &launch, &d.err), &d.err);
    launch.label = "second";
    CHECK_OK(sim->launch(d.self, &launch, &d.err), &d.err);
    fnd_error err = { 0 };
    CHECK(sim->wait(d.self, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "first: unwritten output");
    CHECK_OK(sim->wait(d.self, &d.err), &d.err);
    launch.code = good;
    CHECK_OK(sim->launch(d.self, &launch, &d.err), &d.err);
    CHECK_OK(sim->wait(d.self, &d.err), &d.err);
    CHECK(memcmp(x.f, y.f, 300 * sizeof(float)) == 0);
    args.y = args.x; /* each element is read and then written by the one thread */
    buffers[1] = bound("y", &x, false, true);
    CHECK_OK(sim->launch(d.self, &launch, &d.err), &d.err);
    CHECK_OK(sim->wait(d.self, &d.err), &d.err);
    args.y = args.x + 400; /* views that overlap: one group reads what another writes */
    buffers[0].bytes = 800;
    buffers[1] = (fnd_launch_buffer){ "y", args.y, 800, false, true };
    args.n = 200;
    err = (fnd_error){ 0 };
    CHECK_OK(sim->launch(d.self, &launch, &d.err), &d.err);
    CHECK(sim->wait(d.self, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "race on argument");
    sim->unload(d.self, bad);
    sim->unload(d.self, good);
    fnd_free_memory(blob.data);
    sim->close(d.self);
}
