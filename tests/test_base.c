/* test_base.c - status, text, memory, files. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TEST(error_keeps_the_first_failure) {
    fnd_error err = { 0 };
    CHECK(fnd_fail(&err, FND_ERR_SHAPE, "first %d", 1) == FND_ERR_SHAPE);
    CHECK(fnd_fail(&err, FND_ERR_FILE, "second") == FND_ERR_FILE);
    CHECK(err.status == FND_ERR_SHAPE);
    CHECK_STR(err.text, "first 1");
    CHECK(fnd_fail(NULL, FND_ERR_FILE, "nobody listens") == FND_ERR_FILE);
    CHECK_STR(fnd_status_text(FND_ERR_STALE), "storage is gone");
}

TEST(text_grows_and_reports_a_failed_allocation) {
    fnd_text t = { 0 };
    for (int i = 0; i < 1000; i++) fnd_text_printf(&t, "%d,", i);
    CHECK(t.bytes == 3890);
    CHECK_OK(fnd_text_check(&t, NULL), &(fnd_error){ 0 });
    fnd_text_free(&t);
    fnd_memory_fail_after(1);
    fnd_text_str(&t, "x");
    fnd_error err = { 0 };
    CHECK(fnd_text_check(&t, &err) == FND_ERR_MEMORY);
    fnd_text_free(&t);
}

TEST(files_are_written_whole_and_mapped) {
    char dir[] = "/tmp/foundry-test-XXXXXX", path[64];
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_write(path, "hello", 5, &err), &err);
    fnd_map map;
    CHECK_OK(fnd_map_open(path, &map, &err), &err);
    CHECK(map.bytes == 5 && memcmp(map.data, "hello", 5) == 0);
    fnd_map_close(&map);
    char *data;
    size_t bytes;
    CHECK(fnd_file_read(path, 4, &data, &bytes, &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "larger than");
    err = (fnd_error){ 0 };
    CHECK(fnd_map_open(dir, &map, &err) == FND_ERR_FILE);
    CHECK_HAS(err.text, "not a regular file");
    unlink(path);
    rmdir(dir);
}

static unsigned mode_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 0777 : 0;
}

/* What a user asked for is read by whom their umask lets, as any program's output; what is private by nobody else,
 * also where it replaces something that all could read. */
TEST(files_are_read_by_whom_they_are_for) {
    char dir[] = "/tmp/foundry-test-XXXXXX", path[64];
    fnd_error err = { 0 };
    mode_t kept = umask(022);
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    CHECK_OK(fnd_file_write(path, "hello", 5, &err), &err);
    CHECK(mode_of(path) == 0644);
    CHECK_OK(fnd_file_write_private(path, "hello", 5, &err), &err);
    CHECK(mode_of(path) == 0600);
    umask(027);
    CHECK_OK(fnd_file_write(path, "hello", 5, &err), &err);
    CHECK(mode_of(path) == 0640);
    umask(kept);
    unlink(path);
    CHECK_MSG(rmdir(dir) == 0, "something is left beside the file");
}

/* What Windows' editors put before a text is no part of it; what they call Unicode is told. */
TEST(files_of_text_have_no_mark) {
    static const struct {
        const char *in, *out;
        size_t bytes;
    } texts[] = { { "\xef\xbb\xbfhello", "hello", 8 }, { "\xef\xbb\xbf", "", 3 }, { "\xef\xbb", "\xef\xbb", 2 }, { "a\xef\xbb\xbf", "a\xef\xbb\xbf", 4 }, { "\xef\xbb\xbf\xef\xbb\xbf", "\xef\xbb\xbf", 6 }, { "", "", 0 }, { "\xff\xfe{\0", NULL, 4 }, { "\xfe\xff\0{", NULL, 4 } };
    char path[] = "/tmp/foundry-test-XXXXXX", *data;
    size_t bytes;
    int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    for (size_t i = 0; i < FND_COUNT(texts); i++) {
        fnd_error err = { 0 };
        CHECK_OK(fnd_file_write(path, texts[i].in, texts[i].bytes, &err), &err);
        fnd_status status = fnd_file_read_text(path, 64, &data, &bytes, &err);
        if (texts[i].out) {
            CHECK_OK(status, &err);
            CHECK(bytes == strlen(texts[i].out));
            CHECK_STR(data, texts[i].out);
        } else {
            CHECK(status == FND_ERR_FORMAT && !data);
            CHECK_HAS(err.text, "is a text in UTF-16; save it as UTF-8");
        }
        fnd_free_memory(data);
    }
    unlink(path);
}

/* What is no file stays what it is: a device or a pipe is written to. */
TEST(files_do_not_replace_pipes) {
    char dir[] = "/tmp/foundry-test-XXXXXX", path[64], seen[16] = "";
    struct stat st;
    fnd_error err = { 0 };
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/pipe", dir);
    REQUIRE(mkfifo(path, 0600) == 0);
    int fd = open(path, O_RDWR | O_NONBLOCK);
    REQUIRE(fd >= 0);
    CHECK_OK(fnd_file_write(path, "hello", 5, &err), &err);
    CHECK(read(fd, seen, sizeof seen - 1) == 5);
    CHECK_STR(seen, "hello");
    CHECK(stat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    close(fd);
    unlink(path);
    rmdir(dir);
    CHECK(fnd_file_write("/dev/full", "hello", 5, &err) == FND_ERR_FILE);
    CHECK_HAS(err.text, "cannot write /dev/full: ");
}
