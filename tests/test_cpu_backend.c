/* test_cpu_backend.c - memory, code and launches of the cpu backend, with texts written here. */
#include "backend/backend.h"
#include "backend/cpu/baked.h"
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/dynlib.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/source.h"
#include "test.h"
#include "vector_headers.h"

#include <stdlib.h>
#if defined(__linux__) && defined(__x86_64__)
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static const fnd_backend *const cpu = &fnd_backend_cpu;

typedef struct device {
    void *self;
    fnd_device_info info;
} device;

static bool open_device(device *d, uint32_t threads, const char *isa) {
    fnd_error err = { 0 };
    fnd_status status = cpu->open(&(fnd_backend_desc){ .threads = threads, .isa = isa }, &d->self, &d->info, &err);
    CHECK_MSG(status == FND_OK, "open: %s", err.text);
    return status == FND_OK;
}

/* Each group writes who it is, sums what all wrote after the barrier, and marks its scratch. */
static const char *const meet_text =
    "#include \"fnd_device.h\"\n"
    "#define TENSORS(X) X(OUT, u32, sums)\n"
    "#define VALUES(X) X(VAL, u32, rounds)\n"
    "FND_KERNEL(meet, TENSORS, VALUES, 16) {\n"
    "    u32 *seen = (u32 *)t.shared_scratch, *own = (u32 *)t.scratch;\n"
    "    for (u32 r = 1; r <= a.rounds; r++) {\n"
    "        seen[t.group] = r * (t.group + 1);\n"
    "        own[0] = own[63] = t.group;\n"
    "        fnd_grid_barrier(t);\n"
    "        u32 sum = 0;\n"
    "        for (u32 g = 0; g < t.groups; g++) sum += seen[g];\n"
    "        a.sums[t.group] = own[0] == t.group && own[63] == t.group ? sum : 0;\n"
    "        fnd_grid_barrier(t);\n"
    "    }\n"
    "    t.reduce[0] = t.reduce[FND_WARPS] = 1.0f;\n"
    "    a.sums[t.group] += fnd_thread_index(t);\n"
    "}\n";
typedef struct meet_args {
    uint64_t sums;
    uint32_t rounds, pad;
} meet_args;

static const char *const vec_text =
    "#include \"fnd_device.h\"\n"
    "#define TENSORS(X) X(OUT, u32, out)\n"
    "#define VALUES(X)\n"
    "FND_KERNEL(vecs, TENSORS, VALUES, 8) {\n"
    "#ifdef FND_GENERIC\n"
    "    a.out[0] = 1000;\n"
    "#else\n"
    "    a.out[0] = FND_VEC;\n"
    "#endif\n"
    "    a.out[1] = (u32)fnd_vec_sum(fnd_vec_splat(2.0f));\n"
    "    a.out[2] = (u32)(fnd_cos(0.0f) + fnd_pow(2.0f, 3.0f));\n"
    "}\n";

static fnd_status build(const device *d, const char *entry, const char *text, fnd_blob *blob, fnd_error *err) {
    fnd_sources *sources;
    FND_TRY(fnd_sources_open(NULL, &sources, err));
    fnd_text flat = { 0 };
    fnd_status status = fnd_sources_flatten(sources, d->info.suffix, "test.c", text, &flat, err);
    if (status == FND_OK) {
        status = cpu->build(d->self, &(fnd_build_desc){ .entry = entry, .text = fnd_text_get(&flat), .warps = 1, .quick = true }, blob, err);
    }
    fnd_text_free(&flat);
    fnd_sources_close(sources);
    return status;
}

static void *build_and_load(const device *d, const char *entry, const char *text) {
    fnd_error err = { 0 };
    fnd_blob blob = { 0 };
    void *code = NULL;
    fnd_status status = build(d, entry, text, &blob, &err);
    if (status == FND_OK) status = cpu->load(d->self, entry, blob.data, blob.bytes, &code, &err);
    CHECK_MSG(status == FND_OK, "%s: %s", entry, err.text);
    fnd_free_memory(blob.data);
    return code;
}

TEST(cpu_tells_what_it_is) {
    device d;
    if (!open_device(&d, 0, NULL)) return;
    CHECK(d.info.groups == fnd_cpu_cores() && d.info.lanes == 1 && d.info.warps == 1 && d.info.host_memory);
    CHECK_HAS(d.info.name, fnd_cpu_level_best()->name);
    CHECK_HAS(d.info.target, fnd_cpu_level_best()->name);
    cpu->close(d.self);
    char best[sizeof d.info.target];
    snprintf(best, sizeof best, "%s", d.info.target);
    if (!open_device(&d, 2, "generic")) return;
    CHECK_STR(d.info.suffix, "");
    CHECK(d.info.tile_rows == 0 && d.info.groups == 2);
    CHECK(fnd_cpu_level_best()->needs == 0 || strcmp(best, d.info.target) != 0);
    cpu->close(d.self);
    fnd_error err = { 0 };
    CHECK(cpu->open(&(fnd_backend_desc){ .isa = "mmx" }, &d.self, &d.info, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "no instruction set \"mmx\"");
    CHECK(cpu->open(&(fnd_backend_desc){ .device = 1 }, &d.self, &d.info, NULL) == FND_ERR_UNSUPPORTED);
    CHECK(cpu->open(&(fnd_backend_desc){ .threads = 5000 }, &d.self, &d.info, NULL) == FND_ERR_USAGE);
}

TEST(cpu_levels_build_and_run_their_vectors) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *found;
    for (size_t i = 0; i < count; i++) {
        device d;
        if (fnd_cpu_level_find(levels[i].name, &found, NULL) != FND_OK || !open_device(&d, 1, levels[i].name)) continue;
        if (!d.info.can_build) {
            fnd_test_skip(d.info.why_not_build);
            cpu->close(d.self);
            return;
        }
        CHECK(d.info.tile_rows == levels[i].vec);
        fnd_memory out = { 0 };
        fnd_error err = { 0 };
        CHECK_OK(cpu->alloc(d.self, 64, &out, &err), &err);
        void *code = build_and_load(&d, "vecs", vec_text);
        if (code) {
            CHECK_OK(cpu->launch(d.self, &(fnd_launch){ .code = code, .args = &out.address, .args_bytes = 8, .groups = 1, .warps = 1 }, &err), &err);
            CHECK_OK(cpu->wait(d.self, &err), &err);
            const uint32_t *got = out.host;
            uint32_t want = levels[i].vec ? levels[i].vec : 1000;
            CHECK_MSG(got[0] == want && got[1] == 2 * (levels[i].vec ? levels[i].vec : 4) && got[2] == 9, "%s: %u %u %u", levels[i].name, got[0], got[1], got[2]);
        }
        cpu->unload(d.self, code);
        cpu->release(d.self, &out);
        cpu->close(d.self);
    }
}

/* Else tests take longer and nobody sees it: flags that differ, or words before the header in fnd_device.h. */
TEST(cpu_levels_take_precompiled_headers) {
    static const char text[] =
        "#include \"fnd_device.h\"\n"
        "#if !defined(FND_GENERIC) && !defined(FND_TEST_PRECOMPILED)\n"
        "#error the header was read\n"
        "#endif\n"
        "#define TENSORS(X) X(OUT, u32, out)\n"
        "#define VALUES(X)\n"
        "FND_KERNEL(headers, TENSORS, VALUES, 8) { a.out[0] = 1; }\n";
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *found;
    for (size_t i = 0; i < count && fnd_test_headers_are_precompiled(); i++) {
        device d;
        if (fnd_cpu_level_find(levels[i].name, &found, NULL) != FND_OK || !open_device(&d, 1, levels[i].name)) continue;
        cpu->unload(d.self, build_and_load(&d, "headers", text));
        cpu->close(d.self);
    }
}

static void check_meeting(const device *d, void *code, uint32_t groups, uint32_t expected_groups) {
    enum { ROUNDS = 50 };
    fnd_error err = { 0 };
    fnd_memory sums = { 0 };
    CHECK_OK(cpu->alloc(d->self, 64 * 4, &sums, &err), &err);
    meet_args args = { .sums = sums.address, .rounds = ROUNDS };
    fnd_launch launch = { .label = "meet", .code = code, .args = &args, .args_bytes = sizeof args, .groups = groups, .warps = 1, .scratch_bytes = 256, .shared_scratch_bytes = 256 };
    CHECK_OK(cpu->launch(d->self, &launch, &err), &err);
    CHECK_OK(cpu->wait(d->self, &err), &err);
    uint32_t got[64];
    CHECK_OK(cpu->download(d->self, got, &sums, 0, sizeof got, &err), &err);
    for (uint32_t g = 0; g < 64; g++) {
        uint32_t want = g < expected_groups ? ROUNDS * expected_groups * (expected_groups + 1) / 2 : 0;
        CHECK_MSG(got[g] == want, "group %u of %u: %u, not %u", g, groups, got[g], want);
    }
    cpu->release(d->self, &sums);
}

TEST(cpu_groups_meet_at_the_barrier_and_share_scratch) {
    device d;
    if (!open_device(&d, 3, "generic")) return;
    if (!d.info.can_build) {
        fnd_test_skip(d.info.why_not_build);
    } else {
        void *code = build_and_load(&d, "meet", meet_text);
        if (code) {
            check_meeting(&d, code, 3, 3);
            check_meeting(&d, code, 2, 2);
            check_meeting(&d, code, 1, 1);
            check_meeting(&d, code, 0, 3);
            check_meeting(&d, code, 99, 3);
        }
        cpu->unload(d.self, code);
    }
    cpu->close(d.self);
}

static void write_group(const void *args, const struct fnd_thread *thread) {
    uint32_t group;
    memcpy(&group, thread, sizeof group); /* the first field */
    (*(uint32_t *const *)args)[group] = 7 + group;
}

TEST(cpu_runs_entries_of_this_program) {
    device d;
    if (!open_device(&d, 2, "generic")) return;
    uint32_t out[2] = { 0 }, *args = out;
    void *code;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cpu_code_from_entry(write_group, &code, &err), &err);
    CHECK_OK(cpu->launch(d.self, &(fnd_launch){ .code = code, .args = &args, .args_bytes = sizeof args }, &err), &err);
    CHECK(out[0] == 7 && out[1] == 8);
    cpu->unload(d.self, code);
    cpu->close(d.self);
}

TEST(cpu_shows_the_first_complaint_of_the_compiler) {
    device d;
    if (!open_device(&d, 1, NULL)) return;
    fnd_error err = { 0 };
    fnd_blob blob = { 0 };
    if (d.info.can_build) {
        const char *text = "#line 7 \"norm/broken.h\"\nint broken(void) { return nowhere; }\nint more(void) { return elsewhere; }\n";
        CHECK(build(&d, "broken", text, &blob, &err) == FND_ERR_COMPILE);
        CHECK_HAS(err.text, "broken did not compile: norm/broken.h");
        CHECK_HAS(err.text, "nowhere");
        CHECK(!blob.data && err.text[strlen(err.text) - 1] != '\n');
        err = (fnd_error){ 0 };
        CHECK(cpu->build(d.self, &(fnd_build_desc){ .entry = "e", .text = "", .warps = 4 }, &blob, &err) == FND_ERR_USAGE);
        err = (fnd_error){ 0 };
        void *code;
        CHECK_OK(cpu->build(d.self, &(fnd_build_desc){ .entry = "e", .text = "int f;", .quick = true }, &blob, &err), &err);
        CHECK(cpu->load(d.self, "e", blob.data, blob.bytes, &code, &err) == FND_ERR_DEVICE);
        CHECK_HAS(err.text, "no such entry point");
        fnd_free_memory(blob.data);
    }
    void *code;
    CHECK(cpu->load(d.self, "e", "not a library", 13, &code, NULL) != FND_OK);
    cpu->close(d.self);
}

/* Libraries loaded from equal bytes, in memory or by way of a file, have variables of their own. */
TEST(cpu_libraries_are_loaded_apart) {
    device d;
    if (!open_device(&d, 1, NULL)) return;
    fnd_error err = { 0 };
    fnd_blob blob = { 0 };
    if (d.info.can_build) {
        CHECK_OK(cpu->build(d.self, &(fnd_build_desc){ .entry = "count", .text = "int count(void) { static int n; return ++n; }", .quick = true }, &blob, &err), &err);
        fnd_dynlib *libs[6] = { 0 };
        for (size_t i = 0; i < FND_COUNT(libs) && blob.data; i++) {
            CHECK_OK((i < 4 ? fnd_dynlib_from_bytes : fnd_dynlib_from_bytes_by_file)("count", blob.data, blob.bytes, &libs[i], &err), &err);
            void *address = libs[i] ? fnd_dynlib_find(libs[i], "count") : NULL;
            int (*count)(void) = NULL;
            memcpy(&count, &address, sizeof count);
            CHECK(count && count() == 1 && count() == 2);
            CHECK(!libs[i] || !fnd_dynlib_find(libs[i], "no_such_symbol"));
        }
        for (size_t i = 0; i < FND_COUNT(libs); i++) fnd_dynlib_close(libs[i]);
        fnd_free_memory(blob.data);
    }
    fnd_dynlib *none;
    CHECK(fnd_dynlib_open("libnosuchlibrary.so.1", &none, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "cannot load libnosuchlibrary.so.1");
    CHECK(!none);
    cpu->close(d.self);
}

TEST(cpu_says_why_it_cannot_build) {
    device d;
    fnd_error err = { 0 };
    CHECK_OK(cpu->open(&(fnd_backend_desc){ .threads = 1, .compiler = "no-such-compiler" }, &d.self, &d.info, &err), &err);
    REQUIRE(d.self);
    CHECK(!d.info.can_build);
    const char *want = "there is no C compiler \"no-such-compiler\"", *also = "there is no C compiler \"no-such-compiler\"; and no kernels were built into this program";
    CHECK_STR(d.info.why_not_build, fnd_baked_kernel_count ? want : also);
    fnd_blob blob;
    CHECK(cpu->build(d.self, &(fnd_build_desc){ .entry = "some_kernel", .text = "" }, &blob, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "some_kernel cannot be compiled: there is no C compiler");
    cpu->close(d.self);
    err = (fnd_error){ 0 };
    CHECK_OK(cpu->open(&(fnd_backend_desc){ .threads = 1, .compiler = "false" }, &d.self, &d.info, &err), &err);
    CHECK_HAS(d.info.why_not_build, "does not work: exit code 1");
    cpu->close(d.self);
    char path[4096];
    snprintf(path, sizeof path, "%s", getenv("PATH") ? getenv("PATH") : "");
    setenv("PATH", "/nowhere", 1);
    CHECK_OK(cpu->open(&(fnd_backend_desc){ .threads = 1 }, &d.self, &d.info, &err), &err);
    setenv("PATH", path, 1);
    CHECK_HAS(d.info.why_not_build, "none of cc, gcc, clang is on the PATH");
    cpu->close(d.self);
}

TEST(cpu_memory_is_zeroed_and_aligned) {
    device d;
    if (!open_device(&d, 1, "generic")) return;
    static const size_t sizes[] = { 0, 1, 4096, (1 << 20) - 1, (1 << 20) + 1, (9 << 20) + 5 };
    for (size_t k = 0; k < FND_COUNT(sizes); k++) {
        fnd_memory m;
        fnd_error err = { 0 };
        CHECK_OK(cpu->alloc(d.self, sizes[k], &m, &err), &err);
        REQUIRE(m.host && m.address == (uint64_t)(uintptr_t)m.host);
        CHECK(m.address % 64 == 0 && m.bytes == sizes[k]);
        size_t set = 0;
        for (size_t i = 0; i < sizes[k]; i++) set += ((uint8_t *)m.host)[i] != 0;
        CHECK(set == 0);
        memset(m.host, 255, sizes[k]);
        cpu->release(d.self, &m);
        CHECK(!m.host && !m.handle);
        cpu->release(d.self, &m);
    }
    fnd_memory m;
    CHECK(cpu->alloc(d.self, SIZE_MAX, &m, NULL) == FND_ERR_MEMORY);
    CHECK(cpu->alloc(d.self, SIZE_MAX / 4, &m, NULL) == FND_ERR_MEMORY);
    fnd_memory_fail_after(1);
    CHECK(cpu->alloc(d.self, 10, &m, NULL) == FND_ERR_MEMORY);
    fnd_memory_fail_after(2);
    CHECK(cpu->alloc(d.self, 10, &m, NULL) == FND_ERR_MEMORY);
    fnd_memory_fail_after(0);
    cpu->close(d.self);
}

TEST(cpu_copies_are_checked) {
    device d;
    if (!open_device(&d, 1, "generic")) return;
    fnd_memory m, file;
    fnd_error err = { 0 };
    char back[4] = "";
    CHECK_OK(cpu->alloc(d.self, 8, &m, &err), &err);
    CHECK_OK(cpu->upload(d.self, &m, 5, "abc", 3, &err), &err);
    CHECK_OK(cpu->download(d.self, back, &m, 5, 3, &err), &err);
    CHECK_STR(back, "abc");
    CHECK(cpu->upload(d.self, &m, 6, "abc", 3, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "upload of 3 bytes at 6: the memory has 8");
    CHECK(cpu->download(d.self, back, &m, SIZE_MAX, 2, NULL) == FND_ERR_USAGE);
    cpu->release(d.self, &m);
    static const char bytes[] = "xyz";
    err = (fnd_error){ 0 };
    CHECK_OK(cpu->adopt(d.self, bytes, 4, &file, &err), &err);
    CHECK(file.address == (uint64_t)(uintptr_t)bytes);
    CHECK_OK(cpu->download(d.self, back, &file, 0, 4, &err), &err);
    CHECK_STR(back, "xyz");
    CHECK(cpu->upload(d.self, &file, 0, "abc", 3, NULL) == FND_ERR_USAGE);
    cpu->release(d.self, &file);
    CHECK_STR(bytes, "xyz");
    cpu->close(d.self);
}

TEST(cpu_reserved_memory_grows_in_place) {
    device d;
    if (!open_device(&d, 1, "generic")) return;
    size_t reserved = (size_t)1 << 36; /* far more than the machine has */
    fnd_memory m;
    fnd_error err = { 0 };
    CHECK_OK(cpu->reserve(d.self, reserved, &m, &err), &err);
    REQUIRE(m.host);
    void *where = m.host;
    CHECK(cpu->upload(d.self, &m, 0, "a", 1, NULL) == FND_ERR_USAGE);
    for (size_t bytes = 1000; bytes < (64u << 20); bytes *= 2) {
        CHECK_OK(cpu->commit(d.self, &m, bytes, &err), &err);
        CHECK(m.host == where && m.bytes == reserved);
        CHECK_OK(cpu->upload(d.self, &m, bytes - 1, "z", 1, &err), &err);
    }
    char first = 1;
    CHECK_OK(cpu->download(d.self, &first, &m, 0, 1, &err), &err);
    CHECK(first == 0 && ((char *)where)[1999] == 'z');
    CHECK_OK(cpu->commit(d.self, &m, 5, &err), &err);
    CHECK(cpu->commit(d.self, &m, reserved + 1, NULL) == FND_ERR_USAGE);
    cpu->release(d.self, &m);
    cpu->close(d.self);
}

TEST(cpu_failures_stay_until_waited_for) {
    device d;
    if (!open_device(&d, 2, "generic")) return;
    uint32_t out[2] = { 0 }, *args = out;
    void *code;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cpu_code_from_entry(write_group, &code, &err), &err);
    fnd_launch good = { .label = "good", .code = code, .args = &args, .args_bytes = sizeof args, .groups = 1, .warps = 1 };
    fnd_launch greedy = good, wide = good;
    greedy.label = "greedy";
    greedy.scratch_bytes = SIZE_MAX - 3;
    wide.label = "wide";
    wide.warps = 8;
    CHECK_OK(cpu->wait(d.self, &err), &err);
    CHECK(cpu->launch(d.self, &greedy, &err) == FND_ERR_MEMORY);
    CHECK_HAS(err.text, "greedy: out of memory");
    CHECK(cpu->launch(d.self, &wide, NULL) == FND_ERR_MEMORY);
    CHECK(cpu->launch(d.self, &good, NULL) == FND_ERR_MEMORY);
    CHECK(out[0] == 0);
    err = (fnd_error){ 0 };
    CHECK(cpu->wait(d.self, &err) == FND_ERR_MEMORY);
    CHECK_HAS(err.text, "greedy");
    CHECK(cpu->launch(d.self, &wide, NULL) == FND_ERR_USAGE);
    CHECK(cpu->wait(d.self, NULL) == FND_ERR_USAGE);
    err = (fnd_error){ 0 };
    CHECK_OK(cpu->launch(d.self, &good, &err), &err);
    CHECK_OK(cpu->wait(d.self, &err), &err);
    CHECK(out[0] == 7 && out[1] == 0);
    greedy.scratch_bytes = 1 << 20;
    fnd_memory_fail_after(1);
    CHECK(cpu->launch(d.self, &greedy, NULL) == FND_ERR_MEMORY);
    CHECK(cpu->wait(d.self, NULL) == FND_ERR_MEMORY);
    CHECK_OK(cpu->launch(d.self, &greedy, &err), &err);
    uint64_t before = fnd_memory_allocations();
    for (int i = 0; i < 100; i++) CHECK_OK(cpu->launch(d.self, &greedy, &err), &err);
    CHECK(fnd_memory_allocations() == before);
    cpu->unload(d.self, code);
    cpu->close(d.self);
}

#if defined(__linux__) && defined(__x86_64__)
/* From now on this process and what it runs is refused the registers of the matrix unit. */
static bool refuse_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH_REQ_XCOMP_PERM, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The program's output where tiles are refused, cut to `bytes`; -1: such a filter cannot be set here. */
static int run_refused(const char *const *argv, char *out, size_t bytes) {
    int ends[2], status = 0;
    size_t used = 0;
    if (pipe(ends) != 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        if (!refuse_tiles()) _exit(99);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(98);
    }
    close(ends[1]);
    for (ssize_t n; used + 1 < bytes && (n = read(ends[0], out + used, bytes - 1 - used)) > 0;) used += (size_t)n;
    out[used] = '\0';
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 99) return -1;
    return WEXITSTATUS(status);
}

TEST(cpu_backend_falls_back_where_tiles_are_refused) {
    static const char refused[] = "the system refuses this process the tile registers that \"amx\" needs: arch_prctl: Operation not permitted";
    static char out[1 << 16];
    const fnd_cpu_level *level;
    fnd_error err = { 0 };
    if (fnd_cpu_level_find("amx", &level, &err) != FND_OK) {
        fnd_test_skip(err.text);
        return;
    }
    if (access("build/foundry", X_OK) != 0) {
        fnd_test_skip("the program is not built beside the tests");
        return;
    }
    int code = run_refused((const char *const[]){ "build/foundry", "doctor", "--threads", "1", NULL }, out, sizeof out);
    if (code < 0) {
        fnd_test_skip("this system takes no filter of system calls");
        return;
    }
    CHECK(code == 0);
    CHECK_HAS(out, refused);
    CHECK_HAS(out, "the best here: AVX-512 with 8-bit dot products");
    code = run_refused((const char *const[]){ "build/foundry", "doctor", "--threads", "1", "--isa", "amx", NULL }, out, sizeof out);
    CHECK_HAS(out, refused);
}
#endif
