/* test_metal_build.c - from text to pipeline on the stand-in for Metal: by the system's compiler, by the command
 * line tools, from what is kept; and what is said when something is refused. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"
#include "foundry/profile.h"
#include "metal_ones.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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
        standin_set(cases[i].setting, cases[i].value);
        fnd_status status = ones_run(&t);
        CHECK_MSG(status == cases[i].status, "%s: %d %s", cases[i].setting, (int)status, t.err.text);
        CHECK_HAS(t.err.text, cases[i].says);
        bool fewer = status == FND_OK && strcmp(cases[i].setting, "pipeline_threads") == 0;
        if (fewer) CHECK(standin("threads", NULL, 0) == cases[i].value); /* compiled anew for groups of so many */
        standin_reset();
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
        standin_set("group_bytes", bytes);
        CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &err), &err);
        CHECK(info.group_bytes == (uint64_t)bytes);
        fnd_status status = metal->build(self, &desc, &blob, &err);
        if (bytes == 8192) CHECK_OK(status, &err);
        if (bytes == 4096) CHECK(status == FND_ERR_LIMIT);
        if (bytes == 4096) CHECK_HAS(err.text, "wide takes 4400 bytes of threadgroup memory; Apple stand-in has 4096");
        err = (fnd_error){ 0 };
        fnd_free_memory(blob.data);
        metal->close(self);
        standin_reset();
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

/* A library that was taken when it was kept, and is refused by the time it is loaded again, as behind a change of
 * the system: the text is compiled, and replaces it. */
TEST(metal_replaces_kept_libraries_that_are_refused) {
    NEED_STANDIN();
    fake_tools tools;
    char cache[FND_PROCESS_PATH_BYTES], notice[300];
    fnd_error err = { 0 };
    fake_tools_add(&tools);
    CHECK_OK(fnd_process_temp_dir(cache, &err), &err);
    for (int time = 0; time < 3; time++) {
        ones t;
        if (!ones_open_cached(&t, cache)) break;
        standin_set("refuse_libraries", time > 0);
        CHECK_OK(ones_run(&t), &t.err);
        check_ones(&t, &t.y);
        CHECK((access(tools.calls, F_OK) == 0) == (time == 0));
        CHECK(fnd_counter_get(t.f, FND_COUNTER_DISCARDED) == (time == 1) && fnd_counter_get(t.f, FND_COUNTER_DISK_HITS) == (time == 2) && fnd_counter_get(t.f, FND_COUNTER_COMPILATIONS) == (time < 2));
        CHECK(fnd_next_notice(t.f, notice, sizeof notice) == (time == 1));
        if (time == 1) CHECK_HAS(notice, "linear_kernel was compiled anew");
        (void)unlink(tools.calls);
        ones_close(&t);
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
