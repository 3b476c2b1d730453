/* test_base.c - status, text, memory, files. */
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "test.h"

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
