/* test_cuda_watch.c - waiting for a GPU that may never end: of a driver that counts how often it is asked, and of the
 * stand-in, with a kernel that does not end. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "cuda_standin.h"
#include "fake_backend.h"
#include "tiny_model.h"

#include <stdio.h>
#include <stdlib.h>

/* Events and the stream are done after so many questions. */
static struct {
    unsigned until_stream, until_event, asked, blocked, recorded;
} driver;

static int context_set(fnd_cu_context context) {
    (void)context;
    return 0;
}
static int answer(unsigned *until) {
    driver.asked++;
    if (!*until) return 0;
    if (*until != UINT32_MAX) --*until;
    return FND_CU_NOT_READY;
}
static int stream_query(fnd_cu_stream stream) {
    (void)stream;
    return answer(&driver.until_stream);
}
static int event_query(fnd_cu_event event) {
    (void)event;
    return answer(&driver.until_event);
}
static int stream_wait(fnd_cu_stream stream) {
    (void)stream;
    driver.blocked++;
    return 0;
}
static int event_wait(fnd_cu_event event) {
    (void)event;
    driver.blocked++;
    return 0;
}
static int event_create(fnd_cu_event *event, unsigned flags) {
    CHECK(flags == FND_CU_EVENT_DISABLE_TIMING);
    *event = (fnd_cu_event)(uintptr_t)16;
    return 0;
}
static int event_record(fnd_cu_event event, fnd_cu_stream stream) {
    CHECK(event != NULL);
    (void)stream;
    driver.recorded++;
    return 0;
}
static const fnd_cuda_api calls = { .context_set = context_set, .stream_query = stream_query, .event_query = event_query, .stream_wait = stream_wait, .event_wait = event_wait, .event_create = event_create, .event_record = event_record };

static void open_watch(fnd_cuda *c, uint32_t seconds) {
    memset(&driver, 0, sizeof driver);
    *c = (fnd_cuda){ .cu = &calls };
    c->watch.seconds = seconds;
    pthread_mutex_init(&c->watch.lock, NULL);
}

TEST(cuda_watch_waits_as_the_driver_does_without_a_limit) {
    fnd_cuda c;
    fnd_error err = { 0 };
    open_watch(&c, 0);
    for (int i = 0; i < 100; i++) fnd_cuda_watch_launched(&c, "kernel");
    CHECK_OK(fnd_cuda_await(&c, NULL, "waiting", &err), &err);
    CHECK_OK(fnd_cuda_await(&c, (fnd_cu_event)(uintptr_t)16, "waiting", &err), &err);
    CHECK(driver.blocked == 2 && driver.asked == 0 && driver.recorded == 0);
    pthread_mutex_destroy(&c.watch.lock);
}

TEST(cuda_watch_sees_the_end_and_how_far_it_got) {
    fnd_cuda c;
    fnd_error err = { 0 };
    open_watch(&c, 1000);
    driver.until_stream = 1000;
    CHECK_OK(fnd_cuda_await(&c, NULL, "waiting", &err), &err);
    CHECK(driver.blocked == 0 && driver.asked == 1001);
    /* A token's few launches cost no event; many do, and no more are kept than there is room for. */
    for (int i = 0; i < FND_CUDA_MARK_LAUNCHES - 1; i++) fnd_cuda_watch_launched(&c, "decode");
    CHECK(driver.recorded == 0);
    driver.until_event = UINT32_MAX;
    for (int i = 0; i < 2 * FND_CUDA_MARKS * FND_CUDA_MARK_LAUNCHES; i++) fnd_cuda_watch_launched(&c, "attention");
    CHECK_MSG(driver.recorded == FND_CUDA_MARKS - 1 && c.watch.begun - c.watch.passed == FND_CUDA_MARKS - 1, "%u events", driver.recorded);
    driver.until_event = 0;
    fnd_cuda_watch_launched(&c, "greedy");
    CHECK(c.watch.begun == FND_CUDA_MARKS && c.watch.passed == FND_CUDA_MARKS - 1);
    fnd_cuda_watch_passed(&c);
    CHECK(c.watch.begun == c.watch.passed);
    pthread_mutex_destroy(&c.watch.lock);
}

TEST(cuda_watch_gives_up_and_every_call_says_so) {
    static const char lost[] = "the GPU is lost: for 1 seconds it got nowhere, somewhere in 3 launches, from decode to greedy; ";
    uint8_t bytes[16];
    fnd_cuda c;
    fnd_times ran;
    fnd_memory memory = { .address = 4096, .bytes = sizeof bytes };
    void *code;
    static const char elf[64] = "\177ELF";
    open_watch(&c, 1);
    fnd_cuda_watch_launched(&c, "decode");
    fnd_cuda_watch_launched(&c, "penalize");
    fnd_cuda_watch_launched(&c, "greedy");
    driver.until_stream = driver.until_event = UINT32_MAX;
    FAILS(fnd_cuda_wait(&c, &why), FND_ERR_DEVICE, lost);
    /* Nothing waits, or asks the driver, any more. */
    unsigned asked = driver.asked;
    FAILS(fnd_cuda_wait(&c, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_alloc(&c, 64, &(fnd_memory){ 0 }, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_upload(&c, &memory, 0, bytes, sizeof bytes, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_download(&c, bytes, &memory, 0, sizeof bytes, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_load(&c, "kernel", elf, sizeof elf, &code, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_begin(&c, "token", &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_finish(&c, 0, &ran, &why), FND_ERR_DEVICE, lost);
    FAILS(fnd_cuda_launch(&c, &(fnd_launch){ .label = "decode", .code = &c }, &why), FND_ERR_DEVICE, lost);
    fnd_cuda_release(&c, &memory);
    fnd_cuda_unload(&c, NULL);
    CHECK(driver.asked == asked && driver.blocked == 0);
    pthread_mutex_destroy(&c.watch.lock);
}

/* ---- the stand-in ---- */

/* What a lost GPU holds is left to the system, since the driver may hang when it is to be freed: no leak then. */
static void refused(const char *words, const char *form, const char *part) {
    STAND_IN(words);
    if (strncmp(words, "hang", 4) == 0) setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    setenv("FOUNDRY_WATCHDOG_SECONDS", "1", 1);
    PROGRAM_REFUSED(1, part, "bench", "--backend", "cuda", "--program", form, "--model", tiny_model(), "--prompt-tokens", "4", "--tokens", "3", "--repeat", "1");
    unsetenv("FOUNDRY_WATCHDOG_SECONDS");
    unsetenv("ASAN_OPTIONS");
    stand_out();
}

TEST(cuda_hangs_become_errors) {
    refused("hang=decode", "persistent", "the GPU is lost: for 1 seconds it got nowhere, running decode; ");
    refused("hang=attention_decode_kernel", "launch", " launches, from ");
    refused("hang=attention_decode_kernel", "graph", "the GPU is lost: for 1 seconds it got nowhere, running decode; ");
    refused("crowded", "persistent", "is not run: its 132 groups wait for each other, and 0 of them fit on stand-in for an H100 at once (each takes 512 threads of ");
}

TEST(cuda_watchdog_is_a_number_of_seconds) {
    NEED(program_there(), "the program is not built beside the tests");
    setenv("FOUNDRY_WATCHDOG_SECONDS", "soon", 1);
    PROGRAM_REFUSED(2, "FOUNDRY_WATCHDOG_SECONDS=soon is not a number from 0 to 86400", "logits", "--model", tiny_model(), "--prompt", "x");
    setenv("FOUNDRY_WATCHDOG_SECONDS", "86401", 1);
    PROGRAM_REFUSED(2, "FOUNDRY_WATCHDOG_SECONDS=86401 is not", "logits", "--model", tiny_model(), "--prompt", "x");
    unsetenv("FOUNDRY_WATCHDOG_SECONDS");
}
