/* test_metal_standin.c - the stand-in for Metal notices misuse: each planted mistake is a violation that says what
 * it is, and right use is none. */
#include "backend/metal/api.h"
#include "base/base.h"
#include "metal_standin.h"
#include "test.h"

#include <stdlib.h>

/* What a mistake is planted into: a device, and one kernel y[i] = x[i] with everything it needs. */
typedef struct bench {
    const fnd_metal_api *m;
    void *pool;
    fnd_id device, queue, pipeline, x, y, commands, compute;
} bench;

static const char text[] =
    "#include <metal_stdlib>\n"
    "kernel void copy(device const float *x, device float *y, constant unsigned *n, unsigned g [[threadgroup_position_in_grid]], unsigned w [[simdgroup_index_in_threadgroup]],\n"
    "                 unsigned l [[thread_index_in_simdgroup]], unsigned gs [[threadgroups_per_grid]]) {\n"
    "    threadgroup float shared[64];\n"
    "    shared[w * 32 + l] = x[w * 32 + l];\n"
    "    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);\n"
    "    for (unsigned i = w * 32 + l; i < *n; i += 64) y[i] = i < 64 ? shared[i ^ 1] : metal::simd_sum(x[i]) * (float)(g + gs);\n"
    "}\n";

static fnd_id string(const bench *b, const char *s) { return fnd_metal_string(b->m, s); }

static void begin(bench *b) {
    b->commands = fnd_mtl_queue_commands(b->m, b->queue);
    b->compute = fnd_mtl_commands_compute(b->m, b->commands, FND_MTL_DISPATCH_CONCURRENT);
}

static void bind(bench *b, uint32_t n) {
    fnd_mtl_compute_pipeline(b->m, b->compute, b->pipeline);
    fnd_mtl_compute_buffer(b->m, b->compute, b->x, 0, 0);
    fnd_mtl_compute_buffer(b->m, b->compute, b->y, 0, 1);
    fnd_mtl_compute_bytes(b->m, b->compute, &n, sizeof n, 2);
}

static void dispatch(bench *b) { fnd_mtl_compute_dispatch(b->m, b->compute, (fnd_mtl_size){ 1, 1, 1 }, (fnd_mtl_size){ 64, 1, 1 }); }
static void end(bench *b) { fnd_mtl_compute_finish(b->m, b->compute); }

static bool bench_make(bench *b) {
    const char *library = fnd_test_metal_library();
    fnd_error err = { 0 };
    *b = (bench){ .m = NULL };
    CHECK_OK(fnd_metal_api_open(library, &b->m, &err), &err);
    const fnd_metal_api *m = b->m;
    b->pool = m->push_pool();
    b->device = m->default_device();
    b->queue = fnd_mtl_device_queue(m, b->device);
    b->x = fnd_mtl_device_buffer(m, b->device, 256, FND_MTL_STORAGE_SHARED);
    b->y = fnd_mtl_device_buffer(m, b->device, 256, FND_MTL_STORAGE_SHARED);
    fnd_id error = NULL, options = fnd_mtl_new_object(m, m->options_class), descriptor = fnd_mtl_new_object(m, m->descriptor_class);
    fnd_mtl_options_fast_math(m, options, false);
    fnd_mtl_options_language(m, options, FND_MTL_LANGUAGE_3_0);
    fnd_id made = fnd_mtl_device_library(m, b->device, string(b, text), options, &error);
    CHECK_MSG(made, "%s", error ? fnd_mtl_string_text(m, fnd_mtl_error_text(m, error)) : "");
    fnd_id function = made ? fnd_mtl_library_function(m, made, string(b, "copy")) : NULL;
    if (function) fnd_mtl_descriptor_function(m, descriptor, function);
    fnd_mtl_descriptor_threads(m, descriptor, 64);
    b->pipeline = function ? fnd_mtl_device_pipeline(m, b->device, descriptor, 0, NULL, &error) : NULL;
    fnd_mtl_release(m, options);
    fnd_mtl_release(m, descriptor);
    if (made) fnd_mtl_release(m, made);
    if (function) fnd_mtl_release(m, function);
    CHECK(b->pipeline);
    return b->pipeline != NULL;
}

static void bench_free(bench *b) {
    const fnd_id owned[] = { b->x, b->y, b->pipeline, b->queue, b->device };
    for (size_t i = 0; i < FND_COUNT(owned); i++) {
        if (owned[i]) fnd_mtl_release(b->m, owned[i]);
    }
    b->m->pop_pool(b->pool);
}

/* ---- the mistakes ---- */

static void nothing_wrong(bench *b) { begin(b), bind(b, 8), dispatch(b), end(b), fnd_mtl_commands_commit(b->m, b->commands); }
static void unknown_selector(bench *b) { ((void (*)(fnd_id, fnd_sel))b->m->send)(b->device, b->m->register_selector("fly")); }
static void wrong_receiver(bench *b) { fnd_mtl_commands_commit(b->m, b->device); }
static void release_twice(bench *b) {
    fnd_id buffer = fnd_mtl_device_buffer(b->m, b->device, 16, FND_MTL_STORAGE_SHARED);
    fnd_mtl_release(b->m, buffer);
    fnd_mtl_release(b->m, buffer);
}
static void pop_twice(bench *b) {
    void *pool = b->m->push_pool();
    b->m->pop_pool(pool);
    b->m->pop_pool(pool);
}
static void missing_buffer(bench *b) {
    uint32_t n = 8;
    begin(b);
    fnd_mtl_compute_pipeline(b->m, b->compute, b->pipeline);
    fnd_mtl_compute_buffer(b->m, b->compute, b->x, 0, 0);
    fnd_mtl_compute_bytes(b->m, b->compute, &n, sizeof n, 2);
    dispatch(b), end(b);
}
static void no_pipeline(bench *b) { begin(b), dispatch(b), end(b); }
static void bad_index(bench *b) { begin(b), fnd_mtl_compute_buffer(b->m, b->compute, b->x, 0, 31), end(b); }
static void bad_offset(bench *b) { begin(b), fnd_mtl_compute_buffer(b->m, b->compute, b->x, 256, 0), end(b); }
static void odd_offset(bench *b) { begin(b), bind(b, 8), fnd_mtl_compute_buffer(b->m, b->compute, b->x, 2, 0), dispatch(b), end(b); }
static void written_bytes(bench *b) {
    float y[8] = { 0 };
    begin(b), bind(b, 8), fnd_mtl_compute_bytes(b->m, b->compute, y, sizeof y, 1), dispatch(b), end(b);
}
static void many_bytes(bench *b) {
    static char many[5000];
    begin(b), fnd_mtl_compute_bytes(b->m, b->compute, many, sizeof many, 2), end(b);
}
static void many_threads(bench *b) { begin(b), bind(b, 8), fnd_mtl_compute_dispatch(b->m, b->compute, (fnd_mtl_size){ 1, 1, 1 }, (fnd_mtl_size){ 128, 1, 1 }), end(b); }
static void no_groups(bench *b) { begin(b), bind(b, 8), fnd_mtl_compute_dispatch(b->m, b->compute, (fnd_mtl_size){ 0, 1, 1 }, (fnd_mtl_size){ 64, 1, 1 }), end(b); }
static void ended_twice(bench *b) { begin(b), end(b), end(b); }
static void used_after_end(bench *b) { begin(b), end(b), dispatch(b); }
static void commit_open(bench *b) { begin(b), fnd_mtl_commands_commit(b->m, b->commands), end(b); }
static void commit_twice(bench *b) { begin(b), end(b), fnd_mtl_commands_commit(b->m, b->commands), fnd_mtl_commands_commit(b->m, b->commands); }
static void encode_committed(bench *b) { begin(b), end(b), fnd_mtl_commands_commit(b->m, b->commands), (void)fnd_mtl_commands_blit(b->m, b->commands); }
static void two_encoders(bench *b) { begin(b), (void)fnd_mtl_commands_blit(b->m, b->commands), end(b); }
static void never_ended(bench *b) { begin(b); }
static void wait_before_commit(bench *b) {
    fnd_id commands = fnd_mtl_queue_commands(b->m, b->queue);
    ((void (*)(fnd_id, fnd_sel))b->m->send)(commands, b->m->register_selector("waitUntilCompleted"));
}
static void odd_copy(bench *b) {
    b->commands = fnd_mtl_queue_commands(b->m, b->queue);
    fnd_id blit = fnd_mtl_commands_blit(b->m, b->commands);
    fnd_mtl_blit_copy(b->m, blit, b->x, 0, b->y, 0, 7);
    fnd_mtl_blit_finish(b->m, blit);
}
static void long_fill(bench *b) {
    b->commands = fnd_mtl_queue_commands(b->m, b->queue);
    fnd_id blit = fnd_mtl_commands_blit(b->m, b->commands);
    fnd_mtl_blit_fill(b->m, blit, b->y, (fnd_ns_range){ 128, 256 }, 0);
    fnd_mtl_blit_finish(b->m, blit);
}
static void private_contents(bench *b) {
    fnd_id buffer = fnd_mtl_device_buffer(b->m, b->device, 16, FND_MTL_STORAGE_PRIVATE);
    (void)fnd_mtl_buffer_contents(b->m, buffer);
    fnd_mtl_release(b->m, buffer);
}
static void empty_buffer(bench *b) { CHECK(!fnd_mtl_device_buffer(b->m, b->device, 0, FND_MTL_STORAGE_SHARED)); }
static void half_pages(bench *b) { CHECK(!fnd_mtl_device_buffer_over(b->m, b->device, (char *)(uintptr_t)65536 + 8, 4096, FND_MTL_STORAGE_SHARED, NULL)); }
static void wrong_block(bench *b) {
    static const fnd_block_descriptor descriptor = { 0, sizeof(fnd_completion_block), "v@?" };
    fnd_completion_block block = { .isa = b->m->stack_block, .flags = FND_BLOCK_HAS_SIGNATURE, .invoke = (void (*)(fnd_completion_block *, fnd_id))(uintptr_t)1, .descriptor = &descriptor };
    fnd_mtl_commands_on_completion(b->m, fnd_mtl_queue_commands(b->m, b->queue), &block);
}
static void no_block(bench *b) {
    fnd_completion_block block = { .isa = NULL };
    fnd_mtl_commands_on_completion(b->m, fnd_mtl_queue_commands(b->m, b->queue), &block);
}
static void compile_with(bench *b, fnd_id options) {
    fnd_id error = NULL, library = fnd_mtl_device_library(b->m, b->device, string(b, text), options, &error);
    if (library) fnd_mtl_release(b->m, library);
    if (options) fnd_mtl_release(b->m, options);
}
static void no_options(bench *b) { compile_with(b, NULL); }
static void no_language(bench *b) {
    fnd_id options = fnd_mtl_new_object(b->m, b->m->options_class);
    fnd_mtl_options_fast_math(b->m, options, false);
    compile_with(b, options);
}
static void fast_math(bench *b) {
    fnd_id options = fnd_mtl_new_object(b->m, b->m->options_class);
    fnd_mtl_options_fast_math(b->m, options, true);
    compile_with(b, options);
}

TEST(metal_standin_notices_misuse) {
    static const struct {
        const char *name;
        void (*plant)(bench *b);
        const char *says;
    } cases[] = {
        { "nothing", nothing_wrong, "" },
        { "unknown selector", unknown_selector, "StandinDevice does not answer fly" },
        { "wrong receiver", wrong_receiver, "StandinDevice does not answer commit" },
        { "release twice", release_twice, "release is sent to an object that was freed" },
        { "pop twice", pop_twice, "no pool of this thread, or was popped" },
        { "missing buffer", missing_buffer, "dispatch of copy: nothing is bound to buffer 1, y" },
        { "no pipeline", no_pipeline, "without a pipeline" },
        { "index", bad_index, "index 31 of 31" },
        { "offset", bad_offset, "offset 256 of 256" },
        { "alignment", odd_offset, "the offset 2 of x is no multiple of 4" },
        { "written bytes", written_bytes, "y is written, and bound with setBytes" },
        { "many bytes", many_bytes, "setBytes: 5000 bytes" },
        { "many threads", many_threads, "groups of 128x1x1 threads; the pipeline has 64 at most" },
        { "no groups", no_groups, "0x1x1 groups" },
        { "ended twice", ended_twice, "endEncoding: the encoder has ended" },
        { "used after end", used_after_end, "dispatchThreadgroups: the encoder has ended" },
        { "commit while open", commit_open, "commit: an encoder is open" },
        { "commit twice", commit_twice, "commit: for the second time" },
        { "encode what is committed", encode_committed, "blitCommandEncoder: the command buffer was committed" },
        { "two encoders", two_encoders, "another encoder of the command buffer is open" },
        { "never ended", never_ended, "an encoder goes before endEncoding" },
        { "wait before commit", wait_before_commit, "waitUntilCompleted: before commit" },
        { "odd copy", odd_copy, "multiples of 4" },
        { "long fill", long_fill, "fillBuffer: 256 bytes at 128 of 256" },
        { "private contents", private_contents, "contents of a private buffer" },
        { "empty buffer", empty_buffer, "a length of 0" },
        { "half pages", half_pages, "are no whole pages" },
        { "a block of another type", wrong_block, "the block's signature is not" },
        { "no block", no_block, "no block of the stack" },
        { "fast math", fast_math, "fast math" },
        { "no options", no_options, "fast math" },
        { "no language", no_language, "of no language version" },
    };
    NEED(!fnd_test_metal_missing(), fnd_test_metal_missing());
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        bench b;
        char says[512];
        if (!bench_make(&b)) return;
        (void)standin("collect", NULL, 0);
        cases[i].plant(&b);
        bench_free(&b);
        CHECK_MSG(standin("live", says, sizeof says) == 0, "%s: %s", cases[i].name, says);
        long found = standin("violations", says, sizeof says);
        CHECK_MSG(found == (cases[i].says[0] != 0), "%s: %ld violations, %s", cases[i].name, found, says);
        CHECK_MSG(strstr(says, cases[i].says) != NULL, "%s: \"%s\" lacks \"%s\"", cases[i].name, says, cases[i].says);
        (void)standin("fatal", NULL, 0);
    }
}

/* Reference counts: what is not released is alive, and told by name. */
TEST(metal_standin_counts_references) {
    NEED(!fnd_test_metal_missing(), fnd_test_metal_missing());
    bench b;
    char names[512];
    if (!bench_make(&b)) return;
    fnd_id leaked = fnd_mtl_retain(b.m, fnd_mtl_device_buffer(b.m, b.device, 64, FND_MTL_STORAGE_SHARED));
    bench_free(&b);
    CHECK(standin("live", names, sizeof names) == 1);
    CHECK_STR(names, "StandinBuffer (2)");
    fnd_mtl_release(b.m, leaked);
    fnd_mtl_release(b.m, leaked);
}

/* What a text does wrong while it runs ends its command buffer, with the simulator's words. */
TEST(metal_standin_runs_texts_with_the_checks_of_sim) {
    static const struct {
        uint32_t n;
        bool good;
    } cases[] = { { 8, true }, { 64, true }, { 65, false }, { 200, false } };
    NEED(!fnd_test_metal_missing(), fnd_test_metal_missing());
    for (size_t i = 0; i < FND_COUNT(cases); i++) {
        bench b;
        if (!bench_make(&b)) return;
        float *x = fnd_mtl_buffer_contents(b.m, b.x), *y = fnd_mtl_buffer_contents(b.m, b.y);
        for (int k = 0; k < 64; k++) x[k] = (float)k;
        begin(&b), bind(&b, cases[i].n), dispatch(&b), end(&b);
        fnd_mtl_commands_commit(b.m, b.commands);
        ((void (*)(fnd_id, fnd_sel))b.m->send)(b.commands, b.m->register_selector("waitUntilCompleted"));
        bool good = fnd_mtl_commands_status(b.m, b.commands) == FND_MTL_STATUS_COMPLETED;
        CHECK_MSG(good == cases[i].good, "%u values", cases[i].n);
        for (uint32_t k = 0; good && k < cases[i].n; k++) CHECK(y[k] == (float)(k ^ 1));
        if (!good) {
            const char *says = fnd_mtl_string_text(b.m, fnd_mtl_error_text(b.m, fnd_mtl_commands_error(b.m, b.commands)));
            CHECK_MSG(strstr(says, "copy:") != NULL, "%s", says);
        }
        bench_free(&b);
    }
}
