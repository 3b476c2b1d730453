/* test_metal.c - the metal backend on the stand-in: what it does with Metal beyond running kernels, and what it
 * says when Metal refuses. `make test-metal` runs the tests of kernels, programs and models there too. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"
#include "foundry/foundry.h"
#include "foundry/model.h"
#include "kernel_bench.h"
#include "metal_standin.h"
#include "test.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEED_STANDIN() NEED(!fnd_test_metal_missing(), fnd_test_metal_missing())

static void set(const char *name, long value) {
    char request[96];
    snprintf(request, sizeof request, "set %s %ld", name, value);
    CHECK_MSG(standin(request, NULL, 0) == 0, "the stand-in has no setting %s", name);
}

static void reset(void) { (void)standin("reset", NULL, 0); }

/* With a cache of kernels in `cache`; NULL: with none. */
static fnd_status open_metal_cached(foundry **f, const char *cache, fnd_error *err) {
    *err = (fnd_error){ 0 };
    return fnd_open(&(fnd_desc){ .backend = "metal", .quick_build = true, .no_cache = !cache, .cache_dir = cache }, f, err);
}
static fnd_status open_metal(foundry **f, fnd_error *err) { return open_metal_cached(f, NULL, err); }

/* ---- y = W x of ones: every result is the number of columns ---- */

enum { ROWS = 10,
       COLS = 64 };

typedef struct ones {
    foundry *f;
    fnd_kernel *linear;
    fnd_dedicated x, w, y, z;
    fnd_error err;
} ones;

static bool ones_open_cached(ones *t, const char *cache) {
    *t = (ones){ .f = NULL };
    fnd_status status = open_metal_cached(&t->f, cache, &t->err);
    if (status == FND_OK) status = fnd_kernel_get(t->f, "linear", &t->linear, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, COLS), FND_ONES, &t->x, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(ROWS, COLS), FND_ONES, &t->w, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &t->y, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &t->z, &t->err);
    CHECK_OK(status, &t->err);
    return status == FND_OK;
}

static bool ones_open(ones *t) { return ones_open_cached(t, NULL); }

static void ones_close(ones *t) {
    fnd_error err = { 0 };
    CHECK_OK(fnd_close(t->f, &err), &err);
    reset();
}

static fnd_status ones_start(ones *t) {
    const fnd_binding b[] = { fnd_bind_in("x", &t->x.t), fnd_bind_in("w", &t->w.t), fnd_bind_out("y", &t->y.t) };
    t->err = (fnd_error){ 0 };
    return fnd_run(t->f, t->linear, b, 3, &t->err);
}

static fnd_status ones_run(ones *t) {
    FND_TRY(ones_start(t));
    return fnd_wait(t->f, &t->err);
}

static void check_ones(ones *t, const fnd_dedicated *y) {
    float got[ROWS];
    CHECK_OK(fnd_tensor_read(t->f, &y->t, 0, got, sizeof got, &t->err), &t->err);
    for (size_t i = 0; i < ROWS; i++) CHECK_MSG(got[i] == COLS, "row %zu is %g", i, (double)got[i]);
}

TEST(metal_runs_a_kernel) {
    NEED_STANDIN();
    ones t;
    for (long unified = 0; unified <= 1; unified++) {
        set("unified", unified);
        long blits = standin("blits", NULL, 0), private = standin("private", NULL, 0), serial = standin("serial", NULL, 0), unlabelled = standin("unlabelled", NULL, 0);
        char group[96];
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        /* Private memory is filled and read by blits, shared memory by the host. */
        CHECK((standin("blits", NULL, 0) > blits) == !unified && (standin("private", NULL, 0) > private) == !unified);
        /* Launches may run side by side, groups are as large as the device has them, and everything has a name
         * in Apple's tools. */
        CHECK(standin("serial", NULL, 0) == serial && standin("threads", NULL, 0) == 64);
        CHECK(standin("unlabelled", NULL, 0) == unlabelled);
        (void)standin("group", group, sizeof group);
        CHECK_STR(group, "linear");
        ones_close(&t);
    }
}

/* ---- the device ---- */

TEST(metal_says_what_is_missing) {
    static const struct {
        const char *setting, *says;
        uint32_t device;
    } cases[] = {
        { "no_device", "Metal has no device here", 0 },
        { "no_device", "no GPU 2: Metal has 0 here", 2 },
        { "old_device", "is not of the family Apple7: kernels need its matrices of SIMD groups", 0 },
    };
    NEED_STANDIN();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        foundry *f = NULL;
        fnd_error err = { 0 };
        set(cases[i].setting, 1);
        CHECK(fnd_open(&(fnd_desc){ .backend = "metal", .device = cases[i].device }, &f, &err) == FND_ERR_UNSUPPORTED);
        CHECK_HAS(err.text, cases[i].says);
        reset();
    }
    foundry *f = NULL;
    fnd_error err = { 0 };
    CHECK(fnd_open(&(fnd_desc){ .backend = "metal", .metal_library = "/nonexistent/Metal" }, &f, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "there is no Metal here, which is a part of macOS");
    CHECK_HAS(err.text, "/nonexistent/Metal");
}

/* Devices of the list: the array is released with the others in it, ours stays; what is alive behind a test is
 * found. */
TEST(metal_takes_the_first_device_where_there_is_no_default) {
    NEED_STANDIN();
    ones t;
    set("no_default", 1);
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    check_ones(&t, &t.y);
    foundry *f = NULL;
    t.err = (fnd_error){ 0 };
    CHECK(fnd_open(&(fnd_desc){ .backend = "metal", .device = 1 }, &f, &t.err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(t.err.text, "there is no GPU 1: Metal has 1 here");
    ones_close(&t);
}

TEST(metal_compares_its_table_with_the_system) {
    NEED_STANDIN();
    foundry *f;
    fnd_error err;
    char says[256];
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_device_check(f, says, sizeof says, &err), &err);
    CHECK_HAS(says, "methods have the types of Foundry's table");
    set("wrong_encoding", 1);
    CHECK(fnd_device_check(f, says, sizeof says, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "setBuffer:offset:atIndex: of StandinCompute has the types v@:@II here, and v@:@QQ in Foundry's table");
    CHECK_HAS(err.text, "1 of ");
    set("wrong_encoding", 2); /* all are told */
    err = (fnd_error){ 0 };
    CHECK(fnd_device_check(f, says, sizeof says, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "2 of ");
    CHECK_HAS(err.text, "setBuffer:offset:atIndex: of StandinCompute has the types v@:@II here, and v@:@QQ in Foundry's table");
    CHECK_HAS(err.text, "commit of StandinCommands has the types B@: here, and v@: in Foundry's table");
    reset();
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(metal_takes_as_many_groups_and_threads_as_there_are) {
    NEED_STANDIN();
    foundry *f;
    fnd_error err;
    fnd_context_info info;
    set("cores", 3);
    set("max_threads", 1024);
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK(info.groups == 12 && info.host_memory);
    CHECK_OK(fnd_close(f, &err), &err);
    set("cores", 0); /* the registry does not tell */
    set("unified", 0);
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK(info.groups == 32 && !info.host_memory);
    CHECK_OK(fnd_close(f, &err), &err);
    set("max_threads", 16);
    CHECK(open_metal(&f, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "that is too little");
    reset();
}

/* ---- compiling ---- */

TEST(metal_tells_where_a_text_is_wrong) {
    NEED_STANDIN();
    static const char text[] =
        "#define WRONG_ARGS(X) X(OUT, f32, out, \"[n]\", \"never written\")\n"
        "FND_STAGE(wrong_stage, WRONG_ARGS, MAIN, NONE, NONE, OWN, \"does not compile\")\n"
        "FND_INLINE void wrong_stage(fnd_thread t, FND_GPU f32 *out, u32 n) {\n"
        "    out[t.lane] = undeclared + n;\n"
        "}\n"
        "FND_COMPOUND(wrong, \"wrong_stage\", \"a kernel with a mistake\")\n";
    foundry *f;
    fnd_kernel *kernel;
    fnd_dedicated out;
    fnd_error err;
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_register_text(f, "mine/wrong.h", text, &err), &err);
    CHECK_OK(fnd_kernel_get(f, "wrong", &kernel, &err), &err);
    CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(32), FND_ZEROS, &out, &err), &err);
    CHECK(fnd_run(f, kernel, &(fnd_binding){ .name = "out", .in = &out.t, .out = &out.t }, 1, &err) == FND_ERR_COMPILE);
    CHECK_HAS(err.text, "mine/wrong.h:4:");
    CHECK_HAS(err.text, "undeclared");
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(metal_finds_the_line_that_a_compiler_counts) {
    static const char text[] = "#define FND_WARPS 4\n#line 1 \"kernel\"\nfirst\n#line 40 \"a/b.h\"\nforty\nforty-one\n#line 3 \"kernel\"\nthird\n";
    static const char *const cases[][2] = {
        { "program_source:6:7: error: what is this\n  code\n  ^\nprogram_source:3:1: warning: no\nprogram_source:8:2: error: and this", "a/b.h:41:7: error: what is this; kernel:3:2: error: and this" },
        { "a/b.h:40:1: error: known already", "a/b.h:40:1: error: known already" },
        { "Compilation failed", "Compilation failed" },
        { "program_source:1:1: error: before any #line", "program_source:1:1: error: before any #line" },
        { "program_source:99999999999:1: error: far", "program_source:99999999999:1: error: far" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char told[200];
        fnd_metal_explain(text, cases[i][0], told, sizeof told);
        CHECK_STR(told, cases[i][1]);
    }
}

/* What Metal refuses while a kernel is built, and that the next attempt is a fresh one. */
TEST(metal_tells_why_a_kernel_is_refused) {
    static const struct {
        const char *setting;
        long value;
        fnd_status status;
        const char *says;
    } cases[] = {
        { "fail_compile", 1, FND_ERR_COMPILE, "planted: unknown type name" },
        { "fail_pipeline", 1, FND_ERR_COMPILE, "AGXMetal 2: Compute function exceeds available stack space" },
        { "width", 64, FND_ERR_UNSUPPORTED, "in SIMD groups of 64 threads, and kernels are written for 32" },
        { "group_bytes", 4096, FND_OK, "" },
        { "pipeline_threads", 16, FND_ERR_LIMIT, "at most 16 threads of it in a group; 32 are needed" },
        { "pipeline_threads", 32, FND_OK, "" },
    };
    NEED_STANDIN();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ones t;
        if (!ones_open(&t)) return;
        set(cases[i].setting, cases[i].value);
        fnd_status status = ones_run(&t);
        CHECK_MSG(status == cases[i].status, "%s: %d %s", cases[i].setting, (int)status, t.err.text);
        CHECK_HAS(t.err.text, cases[i].says);
        bool fewer = status == FND_OK && strcmp(cases[i].setting, "pipeline_threads") == 0;
        if (fewer) CHECK(standin("threads", NULL, 0) == cases[i].value); /* compiled anew for groups of so many */
        reset();
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* More threadgroup memory than the device has. */
TEST(metal_refuses_groups_with_too_much_memory) {
    NEED_STANDIN();
    void *self;
    fnd_device_info info;
    fnd_blob blob;
    fnd_error err = { 0 };
    const fnd_backend *metal = &fnd_backend_metal;
    const fnd_build_desc desc = { .entry = "wide", .text = "kernel void wide(device int *a) {\n threadgroup int shared[1100];\n shared[0] = 1;\n a[0] = shared[0];\n}", .warps = 1 };
    for (long bytes = 4096; bytes <= 8192; bytes *= 2) {
        set("group_bytes", bytes);
        CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &err), &err);
        CHECK(info.group_bytes == (uint64_t)bytes);
        fnd_status status = metal->build(self, &desc, &blob, &err);
        if (bytes == 8192) CHECK_OK(status, &err);
        if (bytes == 4096) CHECK(status == FND_ERR_LIMIT);
        if (bytes == 4096) CHECK_HAS(err.text, "wide takes 4400 bytes of threadgroup memory; Apple stand-in has 4096");
        err = (fnd_error){ 0 };
        fnd_free_memory(blob.data);
        metal->close(self);
        reset();
    }
}

/* A script in the place of Apple's tools: the text is the "library", which the stand-in takes, unless there is
 * a file "refused". It fails when it is called in any other way than this. */
static const char fake_xcrun[] =
    "#!/bin/sh\n"
    "here=${0%/*}\n"
    "[ -e \"$here/none\" ] && { echo dialog >> \"$here/calls\"; exit 1; }\n"
    "case \"$#:$*\" in\n"
    "'4:-sdk macosx metal --version' | '4:-sdk macosx metallib --version') echo 'metal version 1 (stand-in)'; exit 0;;\n"
    "'12:-sdk macosx metal -x metal -std=metal3.0 -mmacosx-version-min=13.0 -fno-fast-math -c - -o '*.air)\n"
    "    out=${12}; cat > \"$out\"; if grep -q wrong_word \"$out\"; then echo 'linear:1:1: error: a wrong word'; exit 1; fi;;\n"
    "'6:-sdk macosx metallib '*'.air -o '*.metallib)\n"
    "    { if [ -e \"$here/refused\" ]; then printf NEWER; else printf MTLB; fi; cat \"$4\"; } > \"$6\";;\n"
    "*) echo \"these are not the arguments of the tools: $*\"; exit 1;;\n"
    "esac\n"
    "echo $3 >> \"$here/calls\"\n";

/* Says where the tools are, unless there is a file "none": then xcrun would open a dialog. */
static const char fake_xcode_select[] =
    "#!/bin/sh\n"
    "[ \"$*\" = -p ] || exit 1\n"
    "[ -e \"${0%/*}/none\" ] && { echo 'xcode-select: error: unable to get active developer directory'; exit 2; }\n"
    "echo /Applications/Xcode.app/Contents/Developer\n";

typedef struct fake_tools {
    char dir[FND_PROCESS_PATH_BYTES], script[FND_PROCESS_PATH_BYTES + 16], calls[FND_PROCESS_PATH_BYTES + 16], *path;
} fake_tools;

static void fake_tools_file(const fake_tools *t, const char *name, const char *text, mode_t mode) {
    char path[FND_PROCESS_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    FILE *file = fopen(path, "w");
    REQUIRE(file);
    fputs(text, file);
    fclose(file);
    chmod(path, mode);
}

static void fake_tools_add(fake_tools *t) {
    char path[4096];
    fnd_error err = { 0 };
    CHECK_OK(fnd_process_temp_dir(t->dir, &err), &err);
    snprintf(t->script, sizeof t->script, "%s/xcrun", t->dir);
    snprintf(t->calls, sizeof t->calls, "%s/calls", t->dir);
    t->path = strdup(getenv("PATH"));
    REQUIRE(t->path);
    fake_tools_file(t, "xcrun", fake_xcrun, 0755);
    fake_tools_file(t, "xcode-select", fake_xcode_select, 0755);
    snprintf(path, sizeof path, "%s:%s", t->dir, t->path);
    setenv("PATH", path, 1);
}

static void fake_tools_remove(fake_tools *t) {
    setenv("PATH", t->path, 1);
    free(t->path);
    fnd_process_remove_dir(t->dir);
}

/* Libraries are kept like other code: the next process takes them as they are. */
TEST(metal_keeps_libraries_of_the_command_line_tools) {
    NEED_STANDIN();
    fake_tools tools;
    char cache[FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    fake_tools_add(&tools);
    CHECK_OK(fnd_process_temp_dir(cache, &err), &err);
    for (int time = 0; time < 2; time++) {
        ones t;
        if (!ones_open_cached(&t, cache)) break;
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
        CHECK_MSG((access(tools.calls, F_OK) == 0) == (time == 0), "%s time: the compiler was %s", time ? "second" : "first", time ? "called" : "not called");
        (void)unlink(tools.calls);
    }
    fnd_process_remove_dir(cache);
    fake_tools_remove(&tools);
}

TEST(metal_compiles_with_the_command_line_tools_where_they_are) {
    NEED_STANDIN();
    fake_tools tools;
    fake_tools_add(&tools);
    ones t;
    fnd_context_info info;
    if (ones_open(&t)) {
        CHECK_OK(fnd_info(t.f, &info, &t.err), &t.err);
        CHECK_HAS(info.target, "metal version 1 (stand-in)");
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        fnd_metal c = { .compiler_seconds = 20 };
        fnd_blob blob = { 0 };
        CHECK(fnd_process_find(tools.script, c.xcrun));
        t.err = (fnd_error){ 0 };
        CHECK(fnd_metal_compile_offline(&c, &(fnd_build_desc){ .entry = "linear" }, "wrong_word", &blob, &t.err) == FND_ERR_COMPILE);
        CHECK_HAS(t.err.text, "linear:1:1: error: a wrong word");
        ones_close(&t);
    }
    fake_tools_remove(&tools);
}

TEST(metal_leaves_xcrun_alone_where_no_tools_are_chosen) {
    NEED_STANDIN();
    fake_tools tools;
    fnd_context_info info;
    ones t;
    fake_tools_add(&tools);
    fake_tools_file(&tools, "none", "", 0644);
    if (ones_open(&t)) {
        CHECK_OK(fnd_info(t.f, &info, &t.err), &t.err);
        CHECK_HAS(info.target, "Apple stand-in source");
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        CHECK_MSG(access(tools.calls, F_OK) != 0, "xcrun was called, and would have opened a dialog");
        ones_close(&t);
    }
    fake_tools_remove(&tools);
}

/* A library that Metal does not take, as of tools that are newer than the system: the text is compiled instead,
 * and kept, and the tools are not asked again. */
TEST(metal_compiles_from_source_where_a_library_is_refused) {
    NEED_STANDIN();
    fake_tools tools;
    char cache[FND_PROCESS_PATH_BYTES], called[64] = "";
    fnd_error err = { 0 };
    fake_tools_add(&tools);
    CHECK_OK(fnd_process_temp_dir(cache, &err), &err);
    fake_tools_file(&tools, "refused", "", 0644);
    for (int time = 0; time < 2; time++) {
        ones t;
        fnd_kernel *other;
        if (!ones_open_cached(&t, cache)) break;
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        CHECK_OK(fnd_kernel_get(t.f, "linear_residual", &other, &t.err), &t.err);
        const fnd_binding b[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_in("residual", &t.y.t), fnd_bind_out("y", &t.z.t) };
        CHECK_OK(fnd_run(t.f, other, b, 4, &t.err), &t.err);
        CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
        ones_close(&t);
        FILE *file = fopen(tools.calls, "r");
        size_t got = file ? fread(called, 1, sizeof called - 1, file) : 0;
        called[got] = '\0';
        if (file) fclose(file);
        CHECK_STR(called, time ? "" : "metal\nmetallib\n"); /* for the first text of the first time */
        (void)unlink(tools.calls);
    }
    fnd_process_remove_dir(cache);
    fake_tools_remove(&tools);
}

/* Kept kernels are taken from disk, and refused when they are no kernels. */
TEST(metal_keeps_kernels) {
    NEED_STANDIN();
    ones t;
    void *self, *code;
    fnd_device_info info;
    fnd_blob blob;
    if (!ones_open(&t)) return;
    const fnd_backend *metal = &fnd_backend_metal;
    CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &t.err), &t.err);
    fnd_build_desc desc = { .entry = "one", .text = "kernel void one(device int *a) { a[0] = FND_WARPS; }", .warps = 2 };
    CHECK_OK(metal->build(self, &desc, &blob, &t.err), &t.err);
    for (int i = 0; i < 2; i++) { /* as it was built, and from its bytes */
        CHECK_OK(metal->load(self, "one", blob.data, blob.bytes, &code, &t.err), &t.err);
        metal->unload(self, code);
    }
    for (size_t cut = 0; cut < blob.bytes; cut += 7) CHECK(metal->load(self, "one", blob.data, cut, &code, &t.err) == FND_ERR_DEVICE);
    CHECK_HAS(t.err.text, "what should be a kernel for Metal is something else");
    fnd_free_memory(blob.data);
    desc.warps = 3;
    CHECK(metal->build(self, &desc, &blob, &t.err) == FND_ERR_USAGE);
    metal->close(self);
    ones_close(&t);
}

/* ---- memory ---- */

TEST(metal_tells_that_memory_is_out) {
    NEED_STANDIN();
    ones t;
    fnd_dedicated big;
    for (long unified = 0; unified <= 1; unified++) {
        set("unified", unified);
        if (!ones_open(&t)) return;
        set("fail_buffer", 1);
        CHECK(fnd_alloc(t.f, FND_F32, fnd_shape1(1000), FND_ZEROS, &big, &t.err) == FND_ERR_MEMORY);
        CHECK_HAS(t.err.text, "out of GPU memory");
        CHECK_HAS(t.err.text, "a smaller context, model or weight format would fit");
        t.err = (fnd_error){ 0 };
        CHECK(fnd_alloc(t.f, FND_U8, fnd_shape1((uint64_t)1 << 31), FND_ZEROS, &big, &t.err) == FND_ERR_MEMORY);
        CHECK_HAS(t.err.text, "in one piece");
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* Writes and reads at every odd place, of memory that grows. */
TEST(metal_copies_from_and_to_any_byte) {
    NEED_STANDIN();
    enum { BYTES = 50000 };
    for (long unified = 0; unified <= 1; unified++) {
        void *self;
        fnd_device_info info;
        fnd_error err = { 0 };
        fnd_memory m;
        const fnd_backend *metal = &fnd_backend_metal;
        uint8_t want[BYTES] = { 0 }, got[BYTES];
        set("unified", unified);
        CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &err), &err);
        CHECK_OK(metal->reserve(self, (size_t)1 << 34, &m, &err), &err);
        CHECK(metal->upload(self, &m, 0, want, 1, &err) == FND_ERR_USAGE);
        err = (fnd_error){ 0 };
        for (size_t usable = 1000; usable <= BYTES; usable *= 2) {
            CHECK_OK(metal->commit(self, &m, usable, &err), &err);
            for (int i = 0; i < 12; i++) {
                size_t at = bench_below((uint32_t)usable), count = bench_below((uint32_t)(usable - at)) + 1;
                for (size_t k = 0; k < count; k++) want[at + k] = (uint8_t)bench_random();
                CHECK_OK(metal->upload(self, &m, at, want + at, count, &err), &err);
                at = bench_below((uint32_t)usable), count = bench_below((uint32_t)(usable - at)) + 1;
                CHECK_OK(metal->download(self, got, &m, at, count, &err), &err);
                CHECK(memcmp(got, want + at, count) == 0);
            }
            CHECK(metal->download(self, got, &m, usable, 1, &err) == FND_ERR_USAGE);
            err = (fnd_error){ 0 };
        }
        metal->release(self, &m);
        metal->close(self);
        reset();
    }
}

/* A mapped file longer than Metal's longest buffer: each place of it is in one that holds what is bound. */
TEST(metal_shows_long_memory_in_pieces) {
    NEED_STANDIN();
    enum { LONGEST = 1 << 20,
           BYTES = 5 * LONGEST + 12345 };
    void *self;
    fnd_device_info info;
    fnd_error err = { 0 };
    fnd_memory m;
    const fnd_backend *metal = &fnd_backend_metal;
    uint8_t *host = fnd_alloc_aligned(BYTES + 100, 16384);
    REQUIRE(host);
    set("max_buffer", LONGEST);
    CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &err), &err);
    CHECK_OK(metal->adopt(self, host + 100, BYTES, &m, &err), &err);
    fnd_metal *c = self;
    for (int i = 0; i < 400; i++) {
        uint64_t at = bench_below(BYTES), count = 1 + bench_below(LONGEST / 2), offset;
        if (at + count > BYTES) count = BYTES - at;
        fnd_id buffer = NULL;
        CHECK_OK(fnd_metal_find(c, m.address + at, count, &buffer, &offset, &err), &err);
        uint8_t *contents = fnd_mtl_buffer_contents(c->m, buffer);
        CHECK(contents + offset == host + 100 + at && offset + count <= LONGEST);
    }
    fnd_id buffer;
    uint64_t offset;
    CHECK(fnd_metal_find(c, m.address, LONGEST + LONGEST / 2, &buffer, &offset, &err) == FND_ERR_MEMORY);
    CHECK_HAS(err.text, "longer than half of the longest buffer");
    err = (fnd_error){ 0 };
    CHECK(fnd_metal_find(c, m.address + BYTES - 1, 2, &buffer, &offset, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "are not memory of this device");
    metal->release(self, &m);
    metal->close(self);
    fnd_free_memory(host);
    reset();
}

/* ---- command buffers ---- */

TEST(metal_tells_that_the_gpu_failed) {
    NEED_STANDIN();
    for (long code = 1; code <= 8; code += 7) {
        ones t;
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        set("fail_code", code);
        set("fail_commands", 1);
        CHECK_OK(ones_start(&t), &t.err);
        t.err = (fnd_error){ 0 };
        CHECK(fnd_wait(t.f, &t.err) == (code == 8 ? FND_ERR_MEMORY : FND_ERR_DEVICE));
        CHECK_HAS(t.err.text, "the GPU did not finish: MTLCommandBufferErrorDomain");
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* The host writes only what the GPU has read: a launch under way sees what was there when it was made. */
TEST(metal_waits_before_the_host_writes) {
    NEED_STANDIN();
    float twos[COLS];
    for (int i = 0; i < COLS; i++) twos[i] = 2.0f;
    for (long unified = 0; unified <= 1; unified++) {
        ones t;
        set("unified", unified);
        if (!ones_open(&t)) return;
        CHECK_OK(ones_run(&t), &t.err);
        set("slow_ms", 30);
        CHECK_OK(ones_start(&t), &t.err);
        CHECK_OK(fnd_tensor_write(t.f, &t.x.t, 0, twos, sizeof twos, &t.err), &t.err);
        CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
        check_ones(&t, &t.y);
        ones_close(&t);
    }
}

/* Calls that have nothing to do with each other run side by side; a barrier stands where one reads what
 * another wrote. The stand-in runs those between two barriers backwards. */
TEST(metal_puts_barriers_where_programs_need_them) {
    NEED_STANDIN();
    ones t;
    fnd_program *p;
    fnd_dedicated square, out;
    float got[ROWS];
    if (!ones_open(&t)) return;
    CHECK_OK(fnd_alloc(t.f, FND_F32, fnd_shape2(ROWS, ROWS), FND_ONES, &square, &t.err), &t.err);
    CHECK_OK(fnd_alloc(t.f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &out, &t.err), &t.err);
    CHECK_OK(fnd_program_begin(t.f, &(fnd_program_desc){ .name = "two_and_one" }, &p, &t.err), &t.err);
    const fnd_binding one[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
    const fnd_binding other[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.z.t) };
    const fnd_binding last[] = { fnd_bind_in("x", &t.y.t), fnd_bind_in("w", &square.t), fnd_bind_out("y", &out.t) };
    CHECK_OK(fnd_program_call(p, t.linear, one, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_call(p, t.linear, other, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_call(p, t.linear, last, 3, &t.err), &t.err);
    CHECK_OK(fnd_program_finish(p, &t.err), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    long dispatches = standin("dispatches", NULL, 0), barriers = standin("barriers", NULL, 0), commands = standin("commands", NULL, 0), shared = standin("shared", NULL, 0);
    CHECK_OK(fnd_program_run(p, &t.err), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    CHECK(standin("dispatches", NULL, 0) - dispatches == 3);
    CHECK(standin("barriers", NULL, 0) - barriers == 1);
    CHECK(standin("commands", NULL, 0) - commands == 1); /* the whole program is one command buffer */
    CHECK(standin("shared", NULL, 0) == shared);         /* those side by side have scratch memory of their own */
    CHECK_OK(fnd_tensor_read(t.f, &out.t, 0, got, sizeof got, &t.err), &t.err);
    for (size_t i = 0; i < ROWS; i++) CHECK(got[i] == ROWS * COLS);
    check_ones(&t, &t.z);
    fnd_program_free(p);
    ones_close(&t);
}

/* What a kernel writes, the next run of the program reads: also from one command buffer to the next. */
typedef struct heard {
    int count, in_order;
    uint64_t last_end_ns;
    bool times_fit;
} heard;

static void hear(void *ctx, const fnd_completion *done) {
    heard *h = ctx;
    h->in_order += done->number == (uint64_t)++h->count && done->status == FND_OK;
    h->times_fit &= done->start_ns >= h->last_end_ns && done->end_ns >= done->start_ns && done->end_ns > 0;
    h->last_end_ns = done->start_ns;
}

TEST(metal_keeps_several_submissions_in_flight) {
    NEED_STANDIN();
    ones t;
    heard h = { .times_fit = true };
    uint64_t number = 0;
    char label[64];
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    const fnd_binding b[] = { fnd_bind_in("x", &t.x.t), fnd_bind_in("w", &t.w.t), fnd_bind_out("y", &t.y.t) };
    const fnd_work work = fnd_work_kernel(t.linear, b, 3);
    (void)standin("in_flight", NULL, 0);
    set("slow_ms", 20);
    for (int i = 0; i < 8; i++) CHECK_OK(fnd_submit(t.f, &(fnd_submission){ .label = i == 7 ? "chat/token 7" : "chat", .work = &work, .count = 1, .done = hear, .ctx = &h }, &number, &t.err), &t.err);
    CHECK_OK(fnd_wait_for(t.f, number, &t.err), &t.err);
    CHECK_MSG(h.count == 8 && h.in_order == 8, "%d of %d in order", h.in_order, h.count);
    CHECK(h.times_fit);
    CHECK(standin("in_flight", NULL, 0) >= 4);
    (void)standin("label", label, sizeof label);
    CHECK_STR(label, "chat/token 7");
    check_ones(&t, &t.y);
    ones_close(&t);
}

/* A token's pass through a model is one command buffer, and so is the choice of the next one: the GPU is at work
 * while that is recorded. Everything in them is labelled. */
TEST(metal_runs_the_pass_of_a_token_in_one_command_buffer) {
    NEED_STANDIN();
    enum { TOKENS = 5 };
    foundry *f;
    fnd_model *m;
    fnd_session *s;
    fnd_error err;
    uint32_t id = 7;
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_model_load(f, &(fnd_model_desc){ .path = tiny_model() }, &m, &err), &err);
    CHECK_OK(fnd_session_open(m, &(fnd_session_desc){ .context = 64 }, &s, &err), &err);
    long before = 0, unlabelled = standin("unlabelled", NULL, 0);
    for (int choose = 0; choose <= 1; choose++) {
        for (int i = 0; i <= TOKENS; i++) {
            CHECK_OK(fnd_session_eval(s, &id, 1, &err), &err);
            if (choose) CHECK_OK(fnd_session_sample(s, NULL, &id, &err), &err);
            if (i) continue;
            CHECK_OK(fnd_wait(f, &err), &err); /* behind what is done once */
            before = standin("commands", NULL, 0);
        }
        CHECK_OK(fnd_wait(f, &err), &err);
        long commands = standin("commands", NULL, 0) - before;
        CHECK_MSG(commands == TOKENS * (1 + choose), "%ld command buffers for %d tokens", commands, TOKENS);
    }
    CHECK(standin("unlabelled", NULL, 0) == unlabelled);
    fnd_session_close(s);
    fnd_model_free(m);
    CHECK_OK(fnd_close(f, &err), &err);
}

/* The GPU's own times: what the profiler shows does not count the time that a launch waited. */
TEST(metal_profiles_by_the_clock_of_the_gpu) {
    NEED_STANDIN();
    ones t;
    if (!ones_open(&t)) return;
    CHECK_OK(ones_run(&t), &t.err);
    CHECK_OK(fnd_profile_start(t.f, NULL, &t.err), &t.err);
    set("told_us", 1000000); /* and not what the host's clock says */
    for (int i = 0; i < 3; i++) CHECK_OK(ones_start(&t), &t.err);
    CHECK_OK(fnd_wait(t.f, &t.err), &t.err);
    CHECK_OK(fnd_profile_stop(t.f, &t.err), &t.err);
    fnd_profile_row rows[4];
    size_t count = fnd_profile_rows(t.f, rows, 4);
    CHECK_MSG(count == 1 && rows[0].calls == 3 && rows[0].total_ns > 2999990000 && rows[0].total_ns < 3000010000, "%zu rows, %llu calls, %llu ns", count, (unsigned long long)rows[0].calls, (unsigned long long)rows[0].total_ns);
    ones_close(&t);
}
