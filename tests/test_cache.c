/* test_cache.c - the cache of built kernels: once per key, whole or not at all, bounded. */
#include "base/base.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "compose/cache.h"
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- a machine whose code is text ------------------------------------------------------------ */
typedef struct fake_code {
    size_t bytes;
    char *text;
} fake_code;

static _Atomic int loaded;

static fnd_status fake_load(void *loader, const char *entry, const void *data, size_t bytes, void **code, fnd_error *err) {
    (void)loader;
    if (bytes < 4 || memcmp(data, "code", 4) != 0) return fnd_fail(err, FND_ERR_DEVICE, "%s: these bytes do not run", entry);
    fake_code *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    *c = (fake_code){ .bytes = bytes, .text = fnd_alloc_string(data, bytes) };
    *code = c;
    loaded++;
    return FND_OK;
}

static void fake_unload(void *loader, void *code) {
    (void)loader;
    fake_code *c = code;
    fnd_free_memory(c->text);
    fnd_free_memory(c);
    loaded--;
}

typedef struct builder {
    const char *bytes; /* NULL: the build fails */
    size_t count;      /* 0: strlen */
    unsigned delay_us;
    int given_up; /* of the first calls: cancelled */
    _Atomic int calls;
} builder;

static fnd_status fake_build(void *ctx, void **data, size_t *bytes, fnd_error *err) {
    builder *b = ctx;
    int call = ++b->calls;
    if (b->delay_us) usleep(b->delay_us);
    if (call <= b->given_up) return fnd_fail(err, FND_ERR_CANCELLED, "not wanted any more");
    if (!b->bytes) return fnd_fail(err, FND_ERR_COMPILE, "line 3: nonsense");
    *bytes = b->count ? b->count : strlen(b->bytes);
    *data = fnd_alloc_string(b->bytes, *bytes);
    return *data ? FND_OK : FND_ERR_MEMORY;
}

static fnd_cache *open_cache(const char *dir, uint64_t limit_bytes) {
    fnd_error err = { 0 };
    fnd_cache *cache;
    fnd_cache_desc desc = { .dir = dir, .limit_bytes = limit_bytes, .load = fake_load, .unload = fake_unload };
    CHECK_OK(fnd_cache_open(&desc, &cache, &err), &err);
    return cache;
}

static fnd_hash128 key_of(const char *text) { return fnd_hash_pieces(&(fnd_hash_piece){ text, strlen(text) }, 1); }

/* One question to a cache of its own: what one process would see. The counters tell what happened. */
static fnd_cache_counters ask_once(const char *dir, const char *key, const char *bytes) {
    int loaded_before = loaded;
    fnd_cache *cache = open_cache(dir, 0);
    builder b = { .bytes = bytes };
    void *code;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cache_get(cache, key_of(key), key, fake_build, &b, &code, &err), &err);
    if (code) CHECK_STR(((fake_code *)code)->text, bytes);
    fnd_cache_counters counters = fnd_cache_count(cache);
    CHECK((int)counters.builds == b.calls);
    fnd_cache_close(cache);
    CHECK(loaded == loaded_before);
    return counters;
}

/* ---- directories ----------------------------------------------------------------------------- */
typedef struct temp_dir {
    char path[64];
} temp_dir;

static temp_dir make_dir(void) {
    temp_dir dir = { "/tmp/foundry-test-XXXXXX" };
    CHECK(mkdtemp(dir.path) != NULL);
    return dir;
}

static size_t count_files(const char *path, uint64_t *bytes, bool remove_them) {
    size_t count = 0;
    if (bytes) *bytes = 0;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0) continue;
        count++;
        if (bytes) *bytes += (uint64_t)st.st_size;
        if (remove_them) unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return count;
}

static void remove_dir(const temp_dir *dir) {
    count_files(dir->path, NULL, true);
    CHECK(rmdir(dir->path) == 0);
}

static void file_of(const temp_dir *dir, const char *key, char path[128]) {
    char digits[FND_HASH_TEXT_BYTES];
    fnd_hash_print(key_of(key), digits);
    snprintf(path, 128, "%s/%s.fnd", dir->path, digits);
}

/* ---- tests ----------------------------------------------------------------------------------- */
TEST(cache_keys_tell_pieces_apart) {
    fnd_hash_piece one[] = { { "ab", 2 }, { "c", 1 } }, two[] = { { "a", 1 }, { "bc", 2 } }, three[] = { { "abc", 3 } };
    CHECK(!fnd_hash_equal(fnd_hash_pieces(one, 2), fnd_hash_pieces(two, 2)));
    CHECK(!fnd_hash_equal(fnd_hash_pieces(one, 2), fnd_hash_pieces(three, 1)));
    CHECK(fnd_hash_equal(fnd_hash_pieces(one, 2), fnd_hash_pieces(one, 2)));
    char digits[FND_HASH_TEXT_BYTES];
    fnd_hash_print(fnd_hash_bytes("", 0), digits);
    CHECK_STR(digits, "99aa06d3014798d86001c324468d497f"); /* published value of XXH3 */
}

TEST(cache_keeps_in_memory_and_on_disk) {
    temp_dir dir = make_dir();
    char nested[96];
    snprintf(nested, sizeof nested, "%s/a/b", dir.path);
    fnd_cache *cache = open_cache(nested, 0);
    builder b = { .bytes = "code one" };
    void *first, *again;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cache_get(cache, key_of("k1"), "k1", fake_build, &b, &first, &err), &err);
    CHECK_OK(fnd_cache_get(cache, key_of("k1"), "k1", fake_build, &b, &again, &err), &err);
    CHECK(first && first == again && b.calls == 1);
    fnd_cache_counters counters = fnd_cache_count(cache);
    CHECK(counters.memory_hits == 1 && counters.builds == 1 && counters.stored == 1 && counters.disk_hits == 0);
    fnd_cache_close(cache);
    counters = ask_once(nested, "k1", "code one");
    CHECK(counters.disk_hits == 1 && counters.builds == 0);
    counters = ask_once(nested, "k2", "code two");
    CHECK(counters.disk_hits == 0 && counters.builds == 1);
    counters = ask_once(NULL, "k1", "code one");
    CHECK(counters.disk_hits == 0 && counters.builds == 1 && counters.stored == 0);
    CHECK(count_files(nested, NULL, true) == 2);
    CHECK(rmdir(nested) == 0);
    snprintf(nested, sizeof nested, "%s/a", dir.path);
    CHECK(rmdir(nested) == 0);
    remove_dir(&dir);
}

/* Cut at every length, and each bit of each byte flipped: noticed, removed, built anew. */
TEST(cache_notices_every_damage) {
    temp_dir dir = make_dir();
    static const char bytes[] = "code that is long enough to be cut";
    char path[128], *whole;
    size_t count;
    ask_once(dir.path, "k", bytes);
    file_of(&dir, "k", path);
    fnd_error err = { 0 };
    CHECK_OK(fnd_file_read(path, 1 << 20, &whole, &count, &err), &err);
    REQUIRE(whole);
    CHECK(count == 64 + strlen(bytes));
    for (size_t cut = 0; cut < count; cut++) {
        CHECK_OK(fnd_file_write(path, whole, cut, &err), &err);
        fnd_cache_counters counters = ask_once(dir.path, "k", bytes);
        CHECK_MSG(counters.discarded == 1 && counters.builds == 1 && counters.stored == 1, "cut at %zu", cut);
    }
    for (size_t at = 0; at < count; at++) {
        whole[at] = (char)(whole[at] ^ 1 << at % 8);
        CHECK_OK(fnd_file_write(path, whole, count, &err), &err);
        whole[at] = (char)(whole[at] ^ 1 << at % 8);
        fnd_cache_counters counters = ask_once(dir.path, "k", bytes);
        CHECK_MSG(counters.discarded == 1 && counters.builds == 1, "byte %zu changed", at);
    }
    CHECK(ask_once(dir.path, "k", bytes).disk_hits == 1);
    fnd_free_memory(whole);
    remove_dir(&dir);
}

TEST(cache_does_not_take_another_keys_file) {
    temp_dir dir = make_dir();
    char one[128], two[128];
    ask_once(dir.path, "one", "code one");
    file_of(&dir, "one", one);
    file_of(&dir, "two", two);
    CHECK(rename(one, two) == 0);
    fnd_cache_counters counters = ask_once(dir.path, "two", "code two");
    CHECK(counters.discarded == 1 && counters.builds == 1);
    remove_dir(&dir);
}

/* A whole file that the machine refuses is replaced too; something else in its place is survived. */
TEST(cache_replaces_files_that_do_not_load) {
    temp_dir dir = make_dir();
    char path[128];
    fnd_cache *cache = open_cache(dir.path, 0);
    builder b = { .bytes = "junk" };
    void *code;
    fnd_error err = { 0 };
    CHECK(fnd_cache_get(cache, key_of("k"), "k", fake_build, &b, &code, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "k: these bytes do not run");
    CHECK(!code && count_files(dir.path, NULL, false) == 0 && fnd_cache_count(cache).failures == 1);
    fnd_cache_close(cache);
    file_of(&dir, "k", path);
    CHECK(mkdir(path, 0700) == 0);
    CHECK(ask_once(dir.path, "k", "code").builds == 1);
    CHECK(rmdir(path) == 0);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(ask_once(dir.path, "k", "code").builds == 1);
    CHECK(ask_once(dir.path, "k", "code").disk_hits == 1);
    remove_dir(&dir);
}

static void expect_notice(fnd_cache *cache, const char *part) {
    char text[256] = "";
    CHECK(fnd_cache_notice(cache, text, sizeof text));
    CHECK_HAS(text, "compiled kernels are not kept on disk: ");
    CHECK_HAS(text, part);
    CHECK(!fnd_cache_notice(cache, text, sizeof text));
}

/* The cache serves from memory whatever is wrong with its directory, and says so once. */
static void check_unusable(const char *dir, const char *part) {
    fnd_cache *cache = open_cache(dir, 0);
    for (int i = 0; i < 2; i++) {
        static const char *const keys[] = { "a", "b" };
        builder b = { .bytes = "code" };
        void *code;
        fnd_error err = { 0 };
        CHECK_OK(fnd_cache_get(cache, key_of(keys[i]), "k", fake_build, &b, &code, &err), &err);
        CHECK_OK(fnd_cache_get(cache, key_of(keys[i]), "k", fake_build, &b, &code, &err), &err);
        CHECK(b.calls == 1);
    }
    CHECK(fnd_cache_count(cache).stored == 0);
    expect_notice(cache, part);
    fnd_cache_close(cache);
}

TEST(cache_works_without_its_directory) {
    temp_dir dir = make_dir();
    char path[128];
    snprintf(path, sizeof path, "%s/file", dir.path);
    CHECK(fnd_file_write(path, "x", 1, NULL) == FND_OK);
    check_unusable(path, "not a directory");
    snprintf(path, sizeof path, "%s/file/below", dir.path);
    check_unusable(path, "cannot make directory");
#ifdef __linux__
    check_unusable("/proc/foundry", "cannot make directory /proc/foundry");
    check_unusable("/proc/self", "cannot write ");
#endif
    char *long_name = fnd_alloc_zeroed(2000, 1);
    memset(long_name, 'x', 1999);
    check_unusable(long_name, "too long");
    fnd_free_memory(long_name);
    CHECK(chmod(dir.path, 0777) == 0);
    check_unusable(dir.path, "everybody may write");
    CHECK(chmod(dir.path, 0700) == 0);
    fnd_cache *cache = open_cache(dir.path, 0);
    CHECK(!fnd_cache_notice(cache, path, sizeof path));
    fnd_cache_close(cache);
    remove_dir(&dir);
}

/* A directory filled once and read-only since: still read. */
TEST(cache_reads_a_directory_it_cannot_write) {
    NEED(geteuid() != 0, "root may write everywhere");
    temp_dir dir = make_dir();
    ask_once(dir.path, "k", "code");
    CHECK(chmod(dir.path, 0500) == 0);
    CHECK(ask_once(dir.path, "k", "code").disk_hits == 1);
    check_unusable(dir.path, "cannot write ");
    CHECK(chmod(dir.path, 0700) == 0);
    remove_dir(&dir);
}

/* A limit on the size of files stands in for a full disk: the write stops halfway. Nothing is checked
 * while it holds, for a message about it could not be written either. */
TEST(cache_works_on_a_full_disk) {
    temp_dir dir = make_dir();
    fnd_cache *cache = open_cache(dir.path, 0);
    builder b = { .bytes = "code that does not fit on the disk" };
    void *code[2];
    struct rlimit old, tiny;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    tiny = old;
    tiny.rlim_cur = 70; /* the header fits, the rest does not */
    fflush(NULL);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    int limited = setrlimit(RLIMIT_FSIZE, &tiny);
    fnd_status first = fnd_cache_get(cache, key_of("a"), "a", fake_build, &b, &code[0], NULL);
    fnd_status second = fnd_cache_get(cache, key_of("b"), "b", fake_build, &b, &code[1], NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    signal(SIGXFSZ, handler);
    CHECK(limited == 0 && first == FND_OK && second == FND_OK);
    CHECK(fnd_cache_count(cache).stored == 0);
    expect_notice(cache, "cannot write");
    fnd_cache_close(cache);
    CHECK(count_files(dir.path, NULL, false) == 0); /* and no half of a file */
    CHECK(ask_once(dir.path, "a", b.bytes).stored == 1);
    remove_dir(&dir);
}

typedef struct asking {
    fnd_cache *cache;
    builder *b;
    fnd_status status;
    fnd_error err;
    void *code;
} asking;

static void *ask_thread(void *arg) {
    asking *a = arg;
    a->status = fnd_cache_get(a->cache, key_of("shared"), "shared", fake_build, a->b, &a->code, &a->err);
    return NULL;
}

static void ask_together(asking *asks, size_t count, fnd_cache *cache, builder *b) {
    pthread_t threads[16];
    for (size_t i = 0; i < count; i++) {
        asks[i] = (asking){ .cache = cache, .b = b };
        CHECK(pthread_create(&threads[i], NULL, ask_thread, &asks[i]) == 0);
    }
    for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

TEST(cache_builds_once_for_all_threads) {
    temp_dir dir = make_dir();
    fnd_cache *cache = open_cache(dir.path, 0);
    builder b = { .bytes = "code", .delay_us = 50000 };
    asking asks[16];
    ask_together(asks, 16, cache, &b);
    CHECK(b.calls == 1);
    for (size_t i = 0; i < 16; i++) CHECK(asks[i].status == FND_OK && asks[i].code == asks[0].code);
    fnd_cache_counters counters = fnd_cache_count(cache);
    CHECK(counters.builds == 1 && counters.memory_hits == 15);
    fnd_cache_close(cache);
    remove_dir(&dir);
}

TEST(cache_tells_a_failure_to_all_and_forgets_it) {
    fnd_cache *cache = open_cache(NULL, 0);
    builder b = { .bytes = NULL, .delay_us = 100000 };
    asking asks[8];
    ask_together(asks, 8, cache, &b);
    CHECK(b.calls >= 1 && b.calls <= 8);
    for (size_t i = 0; i < 8; i++) {
        CHECK(asks[i].status == FND_ERR_COMPILE && asks[i].err.status == FND_ERR_COMPILE && !asks[i].code);
        CHECK_STR(asks[i].err.text, "line 3: nonsense");
    }
    b.bytes = "code";
    void *code;
    fnd_error err = { 0 };
    CHECK_OK(fnd_cache_get(cache, key_of("shared"), "shared", fake_build, &b, &code, &err), &err);
    fnd_cache_close(cache);
    CHECK(loaded == 0);
}

/* Who gives a build up hears so; who waited for it builds by itself. */
TEST(cache_builds_again_what_another_gave_up) {
    fnd_cache *cache = open_cache(NULL, 0);
    builder b = { .bytes = "code", .delay_us = 50000, .given_up = 2 };
    asking asks[8];
    size_t cancelled = 0;
    ask_together(asks, 8, cache, &b);
    for (size_t i = 0; i < 8; i++) {
        cancelled += asks[i].status == FND_ERR_CANCELLED;
        CHECK(asks[i].status == FND_ERR_CANCELLED || (asks[i].status == FND_OK && asks[i].code && !asks[i].err.status));
    }
    CHECK(cancelled == 2 && b.calls == 3);
    CHECK(fnd_cache_count(cache).failures == 0);
    fnd_cache_close(cache);
    CHECK(loaded == 0);
}

static void *ask_many(void *arg) {
    const char *dir = arg;
    for (int round = 0; round < 8; round++) {
        char key[16];
        snprintf(key, sizeof key, "key %d", round % 4);
        fnd_cache *cache = open_cache(dir, 1000);
        builder b = { .bytes = key };
        char bytes[64];
        snprintf(bytes, sizeof bytes, "code of %s", key);
        b.bytes = bytes;
        void *code = NULL;
        fnd_error err = { 0 };
        CHECK_OK(fnd_cache_get(cache, key_of(key), key, fake_build, &b, &code, &err), &err);
        if (code) CHECK_STR(((fake_code *)code)->text, bytes);
        CHECK(fnd_cache_count(cache).discarded == 0);
        fnd_cache_close(cache);
    }
    return NULL;
}

/* Caches of their own over one directory write the same files at once: no reader sees half of one. */
TEST(cache_survives_writers_in_threads) {
    temp_dir dir = make_dir();
    pthread_t threads[6];
    for (size_t i = 0; i < FND_COUNT(threads); i++) CHECK(pthread_create(&threads[i], NULL, ask_many, dir.path) == 0);
    for (size_t i = 0; i < FND_COUNT(threads); i++) pthread_join(threads[i], NULL);
    CHECK(count_files(dir.path, NULL, false) == 4);
    remove_dir(&dir);
}

/* The same from processes, which also remove each other's files. */
TEST(cache_survives_writers_in_processes) {
    temp_dir dir = make_dir();
    fflush(NULL);
    pid_t children[4];
    for (size_t i = 0; i < FND_COUNT(children); i++) {
        children[i] = fork();
        if (children[i]) continue;
        bool right = true;
        for (int round = 0; round < 20; round++) {
            char key[16], bytes[256] = "code ";
            snprintf(key, sizeof key, "%d", round % 5);
            memset(bytes + 5, key[0], 200);
            fnd_cache *cache = open_cache(dir.path, 3 * (205 + 64));
            builder b = { .bytes = bytes, .count = 205 };
            void *code = NULL;
            right &= fnd_cache_get(cache, key_of(key), key, fake_build, &b, &code, NULL) == FND_OK;
            right &= code && memcmp(((fake_code *)code)->text, bytes, 205) == 0 && fnd_cache_count(cache).discarded == 0;
            fnd_cache_close(cache);
        }
        _exit(right ? 0 : 1);
    }
    for (size_t i = 0; i < FND_COUNT(children); i++) {
        int state = 1;
        CHECK(children[i] > 0 && waitpid(children[i], &state, 0) == children[i] && state == 0);
    }
    uint64_t bytes;
    size_t files = count_files(dir.path, &bytes, false);
    CHECK_MSG(files >= 1 && files <= 3, "%zu files", files);
    remove_dir(&dir);
}

TEST(cache_keeps_its_size) {
    enum { BYTES = 1000,
           FITS = 5 };
    temp_dir dir = make_dir();
    char text[BYTES + 1] = "code", other[128];
    memset(text + 4, 'x', BYTES - 4);
    snprintf(other, sizeof other, "%s/notes.txt", dir.path);
    CHECK(fnd_file_write(other, text, BYTES, NULL) == FND_OK);
    fnd_cache *cache = open_cache(dir.path, FITS * (BYTES + 64));
    static const char *const keys[] = { "0", "1", "2", "3", "4", "0", "5", "6" };
    for (size_t i = 0; i < FND_COUNT(keys); i++) {
        builder b = { .bytes = text };
        fnd_error err = { 0 };
        void *code;
        if (i == 5) { /* used again from disk, by another process: 0 is no longer the oldest */
            CHECK(ask_once(dir.path, "0", text).disk_hits == 1);
        } else {
            CHECK_OK(fnd_cache_get(cache, key_of(keys[i]), "k", fake_build, &b, &code, &err), &err);
        }
        usleep(20000); /* coarser than the clocks of file systems */
    }
    CHECK(fnd_cache_count(cache).evicted == 2);
    CHECK(count_files(dir.path, NULL, false) == FITS + 1);
    fnd_cache_close(cache);
    CHECK(ask_once(dir.path, "0", text).disk_hits == 1);
    CHECK(ask_once(dir.path, "3", text).disk_hits == 1);
    CHECK(ask_once(dir.path, "1", text).disk_hits == 0);
    cache = open_cache(dir.path, BYTES / 2);
    builder b = { .bytes = text };
    void *code;
    CHECK(fnd_cache_get(cache, key_of("large"), "k", fake_build, &b, &code, NULL) == FND_OK);
    CHECK(fnd_cache_count(cache).stored == 0); /* larger than all files together may be */
    fnd_cache_close(cache);
    CHECK(access(other, F_OK) == 0);
    remove_dir(&dir);
}

/* What a process began to write and never ended; what another writes now, and what is not ours, stays. */
TEST(cache_removes_what_nobody_writes_any_more) {
    static const struct {
        const char *end;
        int age_s;
        bool stays;
    } files[] = { { ".4711.partial", 7200, false }, { ".4712.partial", 10, true }, { ".partial", 7200, true }, { ".4713.part", 7200, true } };
    temp_dir dir = make_dir();
    char paths[FND_COUNT(files)][160], whole[128];
    file_of(&dir, "begun", whole);
    for (size_t i = 0; i < FND_COUNT(files); i++) {
        struct timespec then[2] = { { .tv_sec = time(NULL) - files[i].age_s }, { .tv_sec = time(NULL) - files[i].age_s } };
        snprintf(paths[i], sizeof paths[i], "%s%s", whole, files[i].end);
        CHECK(fnd_file_write(paths[i], "half", 4, NULL) == FND_OK && utimensat(AT_FDCWD, paths[i], then, 0) == 0);
    }
    CHECK(ask_once(dir.path, "k", "code").stored == 1);
    for (size_t i = 0; i < FND_COUNT(files); i++) CHECK_MSG((access(paths[i], F_OK) == 0) == files[i].stays, "%s", files[i].end);
    remove_dir(&dir);
}

TEST(cache_survives_failing_allocations) {
    temp_dir dir = make_dir();
    for (uint64_t n = 1; n < 12; n++) {
        fnd_cache *cache = open_cache(dir.path, 0);
        builder b = { .bytes = "code" };
        void *code;
        fnd_memory_fail_after(n);
        fnd_status status = fnd_cache_get(cache, key_of("k"), "k", fake_build, &b, &code, NULL);
        fnd_memory_fail_after(0);
        CHECK(status == FND_OK || status == FND_ERR_MEMORY);
        CHECK((status == FND_OK) == (code != NULL));
        fnd_cache_close(cache);
        count_files(dir.path, NULL, true);
    }
    CHECK(loaded == 0);
    remove_dir(&dir);
}
