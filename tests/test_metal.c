/* test_metal.c - the metal backend on the stand-in: opening a device, memory, and what it says when Metal refuses.
 * `make test-metal` runs the tests of kernels, programs and models there too. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"
#include "kernel_bench.h"
#include "metal_ones.h"
#include "test.h"

#include <stdio.h>

TEST(metal_runs_a_kernel) {
    NEED_STANDIN();
    ones t;
    for (long unified = 0; unified <= 1; unified++) {
        standin_set("unified", unified);
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
        standin_set(cases[i].setting, 1);
        CHECK(fnd_open(&(fnd_desc){ .backend = "metal", .device = cases[i].device }, &f, &err) == FND_ERR_UNSUPPORTED);
        CHECK_HAS(err.text, cases[i].says);
        standin_reset();
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
    standin_set("no_default", 1);
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
    standin_set("wrong_encoding", 1);
    CHECK(fnd_device_check(f, says, sizeof says, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "setBuffer:offset:atIndex: of StandinCompute has the types v@:@II here, and v@:@QQ in Foundry's table");
    CHECK_HAS(err.text, "1 of ");
    standin_set("wrong_encoding", 2); /* all are told */
    err = (fnd_error){ 0 };
    CHECK(fnd_device_check(f, says, sizeof says, &err) == FND_ERR_DEVICE);
    CHECK_HAS(err.text, "2 of ");
    CHECK_HAS(err.text, "setBuffer:offset:atIndex: of StandinCompute has the types v@:@II here, and v@:@QQ in Foundry's table");
    CHECK_HAS(err.text, "commit of StandinCommands has the types B@: here, and v@: in Foundry's table");
    standin_reset();
    CHECK_OK(fnd_close(f, &err), &err);
}

TEST(metal_takes_as_many_groups_and_threads_as_there_are) {
    NEED_STANDIN();
    foundry *f;
    fnd_error err;
    fnd_context_info info;
    standin_set("cores", 3);
    standin_set("max_threads", 1024);
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK(info.groups == 12 && info.host_memory);
    CHECK_OK(fnd_close(f, &err), &err);
    standin_set("cores", 0); /* the registry does not tell */
    standin_set("unified", 0);
    CHECK_OK(open_metal(&f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK(info.groups == 32 && !info.host_memory);
    CHECK_OK(fnd_close(f, &err), &err);
    standin_set("max_threads", 16);
    CHECK(open_metal(&f, &err) == FND_ERR_UNSUPPORTED);
    CHECK_HAS(err.text, "that is too little");
    standin_reset();
}

/* ---- memory ---- */

TEST(metal_tells_that_memory_is_out) {
    NEED_STANDIN();
    ones t;
    fnd_dedicated big;
    for (long unified = 0; unified <= 1; unified++) {
        standin_set("unified", unified);
        if (!ones_open(&t)) return;
        standin_set("fail_buffer", 1);
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
        standin_set("unified", unified);
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
        standin_reset();
    }
}

static bool in_one_region(uint64_t begin, uint64_t end) {
    unsigned long long from, to;
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && !found && fscanf(maps, "%llx-%llx%*[^\n]", &from, &to) == 2) found = from <= begin && end <= to;
    if (maps) fclose(maps);
    return found;
}

/* Metal takes the host's pages where one region of the address space covers them, however they came to be used. */
TEST(metal_grows_in_one_region) {
    NEED_STANDIN();
    enum { BYTES = 1 << 26 };
    void *self;
    fnd_device_info info;
    fnd_error err = { 0 };
    fnd_memory m;
    const fnd_backend *metal = &fnd_backend_metal;
    CHECK_OK(metal->open(&(fnd_backend_desc){ .metal_library = fnd_test_metal_library() }, &self, &info, &err), &err);
    CHECK_OK(metal->reserve(self, BYTES, &m, &err), &err);
    for (size_t usable = 20000; usable < BYTES; usable *= 50) {
        CHECK_OK(metal->commit(self, &m, usable, &err), &err);
        CHECK(in_one_region(m.address, m.address + BYTES));
    }
    metal->release(self, &m);
    metal->close(self);
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
    standin_set("max_buffer", LONGEST);
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
    standin_reset();
}
