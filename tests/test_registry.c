/* test_registry.c - opening and closing contexts, options from the environment, and resources. */
#include "base/base.h"
#include "base/memory.h"
#include "fake_backend.h"
#include "foundry/context.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* ---- resources of three types, of which one needs another ---------------------------------------- */

typedef struct rope_table {
    int made;
} rope_table;
typedef struct kv_cache {
    rope_table *rope;
    fnd_dedicated keys;
} kv_cache;
typedef struct knot {
    int never;
} knot;

FND_RESOURCE_DECLARE(rope_table, rope_table_type);
FND_RESOURCE_DECLARE(kv_cache, kv_cache_type);
FND_RESOURCE_DECLARE(knot, knot_type);

static char order[64];
static _Atomic int rope_inits;
static bool rope_fails;

static fnd_status rope_init(foundry *f, rope_table *rope, fnd_error *err) {
    (void)f;
    if (rope_fails) return fnd_fail(err, FND_ERR_DEVICE, "no tables today");
    nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL); /* so that threads meet here */
    rope->made = atomic_fetch_add(&rope_inits, 1) + 1;
    strcat(order, "+rope");
    return FND_OK;
}

static void rope_release(foundry *f, rope_table *rope) {
    (void)f;
    (void)rope;
    strcat(order, "-rope");
}

static fnd_status kv_init(foundry *f, kv_cache *kv, fnd_error *err) {
    kv->rope = fnd_resource(f, &rope_table_type, err);
    if (!kv->rope) return err->status;
    strcat(order, "+kv");
    return fnd_alloc(f, FND_F32, fnd_shape1(4), FND_ZEROS, &kv->keys, err);
}

static void kv_release(foundry *f, kv_cache *kv) {
    fnd_error err = { 0 };
    CHECK(fnd_tensor_free(f, &kv->keys, &err) == FND_OK); /* the context still works */
    CHECK(kv->rope->made == 1);                           /* what it needs is still there */
    CHECK(fnd_resource(f, &knot_type, &err) == NULL);
    CHECK_HAS(err.text, "the context is being closed");
    strcat(order, "-kv");
}

static fnd_status knot_init(foundry *f, knot *k, fnd_error *err) {
    (void)k;
    return fnd_resource(f, &knot_type, err) ? FND_OK : FND_ERR_USAGE;
}

static void knot_release(foundry *f, knot *k) {
    (void)f;
    (void)k;
}

FND_RESOURCE_DEFINE(rope_table, rope_table_type, rope_init, rope_release)
FND_RESOURCE_DEFINE(kv_cache, kv_cache_type, kv_init, kv_release)
FND_RESOURCE_DEFINE(knot, knot_type, knot_init, knot_release)

TEST(registry_makes_one_of_a_type) {
    fnd_error err = { 0 };
    foundry *f = fake_open(true);
    REQUIRE(f);
    order[0] = '\0';
    atomic_store(&rope_inits, 0);
    kv_cache *kv = fnd_resource(f, &kv_cache_type, &err);
    REQUIRE(kv);
    rope_table *rope = fnd_resource(f, &rope_table_type, &err);
    CHECK(rope == kv->rope && rope->made == 1);
    kv_cache *again = fnd_resource(f, &kv_cache_type, &err);
    CHECK(again == kv);
    CHECK_OK(fnd_close(f, &err), &err);
    CHECK_STR(order, "+rope+kv-kv-rope");
    kv = fnd_resource(f, &kv_cache_type, &err);
    CHECK(!kv && err.status == FND_ERR_USAGE);
    CHECK_HAS(err.text, "the context is closed");
}

TEST(registry_failures_are_sentences) {
    foundry *f = fake_open(true);
    REQUIRE(f);
    fnd_error err = { 0 };
    CHECK(fnd_resource(f, &knot_type, &err) == NULL);
    CHECK(err.status == FND_ERR_USAGE);
    CHECK_HAS(err.text, "resource knot could not be made: resource knot needs itself while it is made");
    rope_fails = true;
    err = (fnd_error){ 0 };
    CHECK(fnd_resource(f, &kv_cache_type, &err) == NULL);
    CHECK(err.status == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "resource kv_cache could not be made: resource rope_table could not be made: no tables today");
    rope_fails = false;
    order[0] = '\0';
    atomic_store(&rope_inits, 0);
    for (uint64_t n = 1; n < 4; n++) { /* an entry, an object, or an object's own memory is missing */
        err = (fnd_error){ 0 };
        fnd_memory_fail_after(n);
        CHECK(fnd_resource(f, &rope_table_type, &err) == NULL || n == 3);
        fnd_memory_fail_after(0);
        CHECK(n == 3 || err.status == FND_ERR_MEMORY);
    }
    err = (fnd_error){ 0 };
    CHECK(fnd_resource(f, &kv_cache_type, &err) != NULL); /* failures are not kept */
    fnd_close(f, NULL);
}

static void *ask(void *argument) { return fnd_resource((foundry *)argument, &rope_table_type, NULL); }

TEST(registry_first_use_by_many_threads) {
    for (int round = 0; round < 20; round++) {
        foundry *f = fake_open(true);
        REQUIRE(f);
        order[0] = '\0';
        atomic_store(&rope_inits, 0);
        pthread_t threads[4];
        void *got[4];
        for (size_t i = 0; i < FND_COUNT(threads); i++) REQUIRE(pthread_create(&threads[i], NULL, ask, f) == 0);
        for (size_t i = 0; i < FND_COUNT(threads); i++) pthread_join(threads[i], &got[i]);
        for (size_t i = 0; i < FND_COUNT(threads); i++) CHECK(got[i] && got[i] == got[0]);
        CHECK(atomic_load(&rope_inits) == 1);
        fnd_close(f, NULL);
        CHECK_STR(order, "+rope-rope");
    }
}

/* ---- contexts --------------------------------------------------------------------------------------- */

TEST(registry_context_tells_what_it_opened) {
    fnd_error err = { 0 };
    foundry *f = NULL;
    fake = (fake_device){ .host_memory = true };
    char isa[] = "generic", folder[] = "/tmp/kernels";
    fnd_desc desc = { .threads = 3, .isa = isa, .kernel_dir = folder, .default_cache_dir = "/tmp/cache" };
    CHECK_OK(fnd_open_with_backend(&fake_backend, &desc, &f, &err), &err);
    REQUIRE(f);
    memset(isa, 'x', 7);
    memset(folder, 'x', 12);
    fnd_context_info info;
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK(info.groups == 3 && info.lanes == 1 && info.host_memory && !info.can_build);
    CHECK_STR(info.backend, "fake");
    CHECK_STR(info.device, "a device of the tests");
    CHECK_STR(info.target, "fake generic");
    CHECK_STR(info.why_not_build, "it has no compiler");
    CHECK_STR(f->desc.kernel_dir, "/tmp/kernels");
    CHECK_STR(f->desc.cache_dir, "/tmp/cache");
    fake.fail_wait = true;
    FAILS(fnd_close(f, &why), FND_ERR_DEVICE, "a launch failed"); /* reported, and closed nevertheless */
    CHECK(fake.closed == 1);
    FAILS(fnd_info(f, &info, &why), FND_ERR_USAGE, "the context is closed");
    desc.no_cache = true;
    fake.fail_wait = false;
    CHECK_OK(fnd_open_with_backend(&fake_backend, &desc, &f, &err), &err);
    CHECK(f->desc.cache_dir == NULL);
    fnd_close(f, NULL);
    desc.threads = 1025;
    FAILS(fnd_open_with_backend(&fake_backend, &desc, &f, &why), FND_ERR_USAGE, "1025 threads were asked for; 1024 are possible");
    CHECK(f == NULL);
}

TEST(registry_unknown_backend_lists_the_known) {
    foundry *f = NULL;
    FAILS(fnd_open(&(fnd_desc){ .backend = "abacus" }, &f, &why), FND_ERR_USAGE, "there is no backend 'abacus'; known are: cpu, cuda, metal, sim");
    CHECK(f == NULL);
    CHECK_STR(fnd_backend_name(0), "cpu");
    CHECK(fnd_backend_name(1000) == NULL && fnd_backend_doc(1000) == NULL && fnd_backend_doc(0) != NULL);
}

TEST(registry_open_survives_no_memory) {
    for (uint64_t n = 1; n < 12; n++) {
        fnd_desc desc = { .isa = "generic", .kernel_dir = "/tmp", .compiler = "cc", .cache_dir = "/tmp/cache" };
        foundry *f = NULL;
        fnd_error err = { 0 };
        fake = (fake_device){ .host_memory = true };
        fnd_memory_fail_after(n);
        fnd_status status = fnd_open_with_backend(&fake_backend, &desc, &f, &err);
        fnd_memory_fail_after(0);
        CHECK(status == FND_OK ? f != NULL : status == FND_ERR_MEMORY && !f && err.text[0]);
        fnd_close(f, NULL);
        CHECK(fake.opened == fake.closed);
    }
}

/* ---- the environment ---------------------------------------------------------------------------------- */

static const char *const variables[] = { "FOUNDRY_BACKEND", "FOUNDRY_THREADS", "FOUNDRY_ISA", "FOUNDRY_KERNEL_DIR", "FOUNDRY_CACHE_DIR", "XDG_CACHE_HOME", "HOME" };

typedef struct environment {
    char *values[FND_COUNT(variables)];
} environment;

static environment clear_environment(void) {
    environment saved = { 0 };
    for (size_t i = 0; i < FND_COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        saved.values[i] = value ? fnd_alloc_string(value, strlen(value)) : NULL;
        unsetenv(variables[i]);
    }
    return saved;
}

static void restore_environment(environment *saved) {
    for (size_t i = 0; i < FND_COUNT(variables); i++) {
        if (saved->values[i]) {
            setenv(variables[i], saved->values[i], 1);
        } else {
            unsetenv(variables[i]);
        }
        fnd_free_memory(saved->values[i]);
    }
}

TEST(registry_options_from_environment) {
    fnd_error err = { 0 };
    environment saved = clear_environment();
    fnd_desc desc = { 0 };
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK(!desc.backend && !desc.threads && !desc.isa && !desc.kernel_dir && !desc.cache_dir && !desc.default_cache_dir[0]);
    setenv("FOUNDRY_BACKEND", "sim", 1);
    setenv("FOUNDRY_THREADS", "12", 1);
    setenv("FOUNDRY_ISA", "v4_vnni", 1);
    setenv("FOUNDRY_KERNEL_DIR", "my/kernels", 1);
    setenv("FOUNDRY_CACHE_DIR", "/var/cache/f", 1);
    setenv("HOME", "/home/u", 1);
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK_STR(desc.backend, "sim");
    CHECK(desc.threads == 12);
    CHECK_STR(desc.isa, "v4_vnni");
    CHECK_STR(desc.kernel_dir, "my/kernels");
    CHECK_STR(desc.cache_dir, "/var/cache/f");
    CHECK_STR(desc.default_cache_dir, "/home/u/.cache/foundry");
    desc = (fnd_desc){ .backend = "cpu", .threads = 2 }; /* what the caller chose stays */
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK_STR(desc.backend, "cpu");
    CHECK(desc.threads == 2);
    CHECK_STR(desc.default_cache_dir, "/xdg/foundry");
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", "", 1);
    setenv("FOUNDRY_CACHE_DIR", "", 1);
    desc = (fnd_desc){ 0 };
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK(!desc.cache_dir && !desc.default_cache_dir[0]);
    restore_environment(&saved);
}

TEST(registry_environment_is_checked) {
    static const struct {
        const char *name, *value, *part;
    } bad[] = {
        { "FOUNDRY_BACKEND", "abacus", "FOUNDRY_BACKEND=abacus names no backend; known are: cpu cuda metal sim" },
        { "FOUNDRY_THREADS", "0", "not a number from 1 to 1024" },
        { "FOUNDRY_THREADS", "1025", "not a number" },
        { "FOUNDRY_THREADS", "99999999999999999999", "not a number" },
        { "FOUNDRY_THREADS", "-1", "FOUNDRY_THREADS=-1 is" },
        { "FOUNDRY_THREADS", "4x", "FOUNDRY_THREADS=4x is" },
        { "FOUNDRY_ISA", "v4;rm", "FOUNDRY_ISA=v4;rm is not a name" },
    };
    environment saved = clear_environment();
    for (size_t i = 0; i < FND_COUNT(bad); i++) {
        fnd_desc desc = { 0 };
        setenv(bad[i].name, bad[i].value, 1);
        FAILS(fnd_options_from_environment(&desc, &why), FND_ERR_USAGE, bad[i].part);
        unsetenv(bad[i].name);
    }
    char path[2000];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    path[0] = '/';
    fnd_desc desc = { 0 };
    setenv("FOUNDRY_KERNEL_DIR", path, 1);
    FAILS(fnd_options_from_environment(&desc, &why), FND_ERR_USAGE, "a path of 1999 bytes");
    unsetenv("FOUNDRY_KERNEL_DIR");
    setenv("XDG_CACHE_HOME", path, 1);
    fnd_error err = { 0 };
    CHECK_OK(fnd_options_from_environment(&desc, &err), &err);
    CHECK(!desc.default_cache_dir[0]);
    restore_environment(&saved);
}
