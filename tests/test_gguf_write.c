/* test_gguf_write.c - files written in pieces: whole under their name, or not there at all. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "foundry/gguf_write.h"
#include "program.h"
#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static fnd_gguf_writer *begun(const char *path, bool replace, uint32_t alignment) {
    fnd_gguf_writer *w;
    fnd_error err = { 0 };
    CHECK_OK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ path, replace, alignment }, &w, &err), &err);
    if (!w) return NULL;
    fnd_span names[2] = { { "a", 1 }, { "bc", 2 } };
    fnd_gguf_put_str(w, "general.architecture", "llama");
    fnd_gguf_put_u32(w, "x.u32", 7);
    fnd_gguf_put_f32(w, "x.f32", 0.5f);
    fnd_gguf_put_bool(w, "x.bool", true);
    fnd_gguf_put_strs(w, "x.strs", names, 2);
    fnd_gguf_put_i32s(w, "x.i32s", (int32_t[]){ -1, 2, 3 }, 3);
    fnd_gguf_put_f32s(w, "x.f32s", (float[]){ -0.5f, 2 }, 2);
    fnd_gguf_put_tensor(w, "first", FND_F32, 1, (uint64_t[]){ 3 });
    fnd_gguf_put_tensor(w, "second", FND_Q8_0, 2, (uint64_t[]){ 32, 2 });
    CHECK_OK(fnd_gguf_writer_begin(w, &err), &err);
    return w;
}

static const float first[3] = { 1, 2, 3 };
static const char second[68] = "every byte as it is";

static fnd_status write_both(fnd_gguf_writer *w, fnd_error *err) {
    FND_TRY(fnd_gguf_writer_write(w, 1, 34, second + 34, 34, err)); /* in any order */
    FND_TRY(fnd_gguf_writer_write(w, 0, 0, first, sizeof first, err));
    return fnd_gguf_writer_write(w, 1, 0, second, 34, err);
}

static bool there(const char *path) { return access(path, F_OK) == 0; }

/* Nothing half written is left in the folder of temporary files. */
static void check_no_partial(void) {
    char dir[512];
    snprintf(dir, sizeof dir, "%s", program_temp("x"));
    *strrchr(dir, '/') = '\0';
    DIR *d = opendir(dir);
    REQUIRE(d);
    for (struct dirent *e; (e = readdir(d));) CHECK_MSG(!strstr(e->d_name, ".partial"), "%s was left behind", e->d_name);
    closedir(d);
}

TEST(gguf_write_reads_back) {
    const char *path = program_temp("written.gguf");
    for (uint32_t alignment = 0; alignment <= 64; alignment += 64) {
        fnd_error err = { 0 };
        fnd_gguf_writer *w = begun(path, true, alignment);
        REQUIRE(w);
        CHECK_OK(write_both(w, &err), &err);
        CHECK(alignment || !there(path)); /* not before it is whole */
        CHECK_OK(fnd_gguf_writer_finish(w, &err), &err);
        fnd_gguf_writer_close(w);
        fnd_gguf *g;
        CHECK_OK(fnd_gguf_open(path, 0, &g, &err), &err);
        REQUIRE(g);
        uint32_t number = 0;
        bool yes = false;
        const fnd_gguf_value *v = NULL;
        fnd_span s = { 0 };
        CHECK_OK(fnd_gguf_get_u32(g, "x.u32", &number, &err), &err);
        CHECK_OK(fnd_gguf_get_bool(g, "x.bool", &yes, &err), &err);
        CHECK(number == 7 && yes && fnd_gguf_alignment(g) == (alignment ? alignment : 32));
        CHECK_OK(fnd_gguf_get_array(g, "x.i32s", FND_GGUF_INTEGERS, &v, &err), &err);
        CHECK(v && v->count == 3 && fnd_gguf_integer_at(v, 0) == -1);
        CHECK_OK(fnd_gguf_get_array(g, "x.f32s", FND_GGUF_FLOATS, &v, &err), &err);
        CHECK(v && v->count == 2 && fnd_gguf_float_at(v, 0) == -0.5 && fnd_gguf_float_at(v, 1) == 2);
        CHECK_OK(fnd_gguf_get_array(g, "x.strs", FND_GGUF_STRINGS, &v, &err), &err);
        fnd_gguf_cursor c = { .value = v };
        CHECK(v && fnd_gguf_next_string(&c, &s) && fnd_gguf_next_string(&c, &s) && fnd_span_equal(s, "bc"));
        const fnd_gguf_tensor *t = fnd_gguf_find_tensor(g, "second");
        CHECK(t && t->format == FND_Q8_0 && memcmp(t->data, second, sizeof second) == 0);
        t = fnd_gguf_find_tensor(g, "first");
        CHECK(t && memcmp(t->data, first, sizeof first) == 0);
        fnd_gguf_close(g);
    }
    check_no_partial();
    unlink(path);
}

TEST(gguf_write_leaves_nothing_unless_whole) {
    const char *path = program_temp("unfinished.gguf");
    fnd_error err = { 0 };
    fnd_gguf_writer *w = begun(path, false, 0);
    REQUIRE(w);
    CHECK_OK(fnd_gguf_writer_write(w, 0, 0, first, sizeof first, &err), &err);
    CHECK(fnd_gguf_writer_write(w, 0, 4, first, sizeof first, &err) == FND_ERR_USAGE); /* past its end */
    CHECK(fnd_gguf_writer_write(w, 2, 0, first, sizeof first, NULL) == FND_ERR_USAGE);
    err = (fnd_error){ 0 };
    CHECK(fnd_gguf_writer_finish(w, &err) == FND_ERR_USAGE);
    CHECK_HAS(err.text, "12 of 80 bytes");
    fnd_gguf_writer_close(w);
    CHECK(!there(path));
    check_no_partial();
}

TEST(gguf_write_spares_what_is_there) {
    const char *path = program_temp("kept.gguf");
    fnd_error err = { 0 };
    fnd_gguf_writer *w;
    CHECK_OK(fnd_file_write(path, "mine", 4, &err), &err);
    CHECK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = path }, &w, &err) == FND_ERR_FILE && !w);
    CHECK_HAS(err.text, "exists already");
    unlink(path);
    w = begun(path, false, 0);
    REQUIRE(w);
    err = (fnd_error){ 0 };
    CHECK_OK(write_both(w, &err), &err);
    CHECK_OK(fnd_file_write(path, "mine", 4, &err), &err); /* came meanwhile */
    CHECK(fnd_gguf_writer_finish(w, &err) == FND_ERR_FILE);
    fnd_gguf_writer_close(w);
    char *text = NULL;
    size_t bytes = 0;
    CHECK_OK(fnd_file_read(path, 100, &text, &bytes, NULL), &err);
    CHECK(bytes == 4);
    fnd_free_memory(text);
    unlink(path);
    check_no_partial();
}

TEST(gguf_write_where_it_cannot) {
    fnd_gguf_writer *w;
    static const struct {
        const char *path, *part;
    } bad[] = { { "no-such-dir/x.gguf", "No such file" }, { "/dev/full", "not a regular file" }, { "", "empty" }, { "tests", "not a regular file" } };
    for (size_t i = 0; i < FND_COUNT(bad); i++) {
        fnd_error err = { 0 };
        CHECK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = bad[i].path, .replace = true }, &w, &err) != FND_OK && !w);
        CHECK_HAS(err.text, bad[i].part);
    }
    fnd_error err = { 0 };
    CHECK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = "x.gguf", .alignment = 24 }, &w, &err) == FND_ERR_USAGE);
}

/* A file size limit is what a full disk is: the room cannot be had. */
TEST(gguf_write_too_large_for_the_disk) {
    const char *path = program_temp("large.gguf");
    struct rlimit before, small;
    fnd_error err = { 0 };
    fnd_gguf_writer *w;
    CHECK_OK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = path }, &w, &err), &err);
    REQUIRE(w);
    fnd_gguf_put_tensor(w, "large", FND_F32, 2, (uint64_t[]){ 1 << 20, 1 << 10 });
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){ 1 << 20, before.rlim_max };
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    CHECK(fnd_gguf_writer_begin(w, &err) == FND_ERR_FILE);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, old);
    CHECK_HAS(err.text, "needs 4295.0 MB");
    fnd_gguf_writer_close(w);
    CHECK(!there(path));
    check_no_partial();
}

TEST(gguf_write_refuses_what_cannot_be_read) {
    const char *path = program_temp("refused.gguf");
    static const struct {
        fnd_format format;
        uint64_t cols, rows;
        const char *name, *key, *part;
    } bad[] = {
        { FND_Q8_0, 33, 1, "t", "k", "q8_0 with rows of 33" },
        { FND_Q4_K, 128, 1, "t", "k", "q4_k with rows of 128" },
        { FND_F32, 0, 1, "t", "k", "dimension 0" },
        { FND_F32, UINT64_MAX / 4, 8, "t", "k", "cannot be written" },
        { FND_F32, 4, 1, "", "k", "the name of tensor 0" },
        { FND_F32, 4, 1, "t", "twice", "appears twice" },
        { FND_U8, 4, 1, "t", "k", "cannot be written" },
    };
    for (size_t i = 0; i < FND_COUNT(bad); i++) {
        fnd_gguf_writer *w;
        fnd_error err = { 0 };
        CHECK_OK(fnd_gguf_writer_open(&(fnd_gguf_writer_desc){ .path = path }, &w, &err), &err);
        if (!w) continue;
        fnd_gguf_put_u32(w, "twice", 1);
        fnd_gguf_put_u32(w, bad[i].key, 1);
        fnd_gguf_put_tensor(w, bad[i].name, bad[i].format, 2, (uint64_t[]){ bad[i].cols, bad[i].rows });
        CHECK_MSG(fnd_gguf_writer_begin(w, &err) != FND_OK, "case %zu was taken", i);
        CHECK_HAS(err.text, bad[i].part);
        fnd_gguf_writer_close(w);
    }
    check_no_partial();
}
