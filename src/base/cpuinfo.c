/* cpuinfo.c - what this machine is: its processor's name, caches, cores and memory. */
#define _GNU_SOURCE
#include "base/cpuinfo.h"
#include "base/base.h"
#include "base/memory.h"
#include "base/system.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static fnd_cpuinfo info;
static pthread_once_t info_once = PTHREAD_ONCE_INIT;

/* ---- what the processor is ------------------------------------------------------------------- */
#if defined(__x86_64__)
typedef struct registers {
    uint32_t EAX, EBX, ECX, EDX;
} registers;

static registers cpuid(uint32_t leaf, uint32_t subleaf) {
    registers r = { 0, 0, 0, 0 };
    __get_cpuid_count(leaf, subleaf, &r.EAX, &r.EBX, &r.ECX, &r.EDX); /* zeros for unknown leaves */
    return r;
}

static void ask_name(void) {
    registers v = cpuid(0, 0), m = cpuid(1, 0);
    char vendor[13] = { 0 };
    memcpy(vendor, &v.EBX, 4);
    memcpy(vendor + 4, &v.EDX, 4);
    memcpy(vendor + 8, &v.ECX, 4);
    uint32_t family = m.EAX >> 8 & 15, model = m.EAX >> 4 & 15;
    if (family == 6 || family == 15) model |= m.EAX >> 12 & 0xf0;
    if (family == 15) family += m.EAX >> 20 & 255;
    snprintf(info.model, sizeof info.model, "%s-%u-%u-%u", vendor, family, model, m.EAX & 15);
    char brand[49] = { 0 };
    for (uint32_t i = 0; i < 3; i++) {
        registers r = cpuid(0x80000002u + i, 0);
        memcpy(brand + 16 * i, &r, 16);
    }
    const char *start = brand + strspn(brand, " ");
    snprintf(info.name, sizeof info.name, "%s", *start ? start : "x86-64 processor");
}
#elif defined(__aarch64__)
/* SAFETY: Linux promises with HWCAP_CPUID that programs may read this register. */
static void ask_name(void) {
    enum { CPUID_HWCAP_BIT = 11 };
    uint64_t id = 0;
    if (fnd_system_processor_has(1, CPUID_HWCAP_BIT, "")) __asm__("mrs %0, midr_el1"
                                                                  : "=r"(id));
    uint32_t implementer = (uint32_t)(id >> 24 & 255), part = (uint32_t)(id >> 4 & 0xfff);
    snprintf(info.model, sizeof info.model, "arm64-%02x-%03x-%x-%x", implementer, part, (uint32_t)(id >> 20 & 15), (uint32_t)(id & 15));
    if (fnd_system_processor_name(info.name, sizeof info.name)) return;
    snprintf(info.name, sizeof info.name, "arm64 processor");
    if (id) snprintf(info.name, sizeof info.name, "arm64 processor, implementer 0x%02x, part 0x%03x", implementer, part);
}
#else
static void ask_name(void) {
    snprintf(info.name, sizeof info.name, "processor");
    snprintf(info.model, sizeof info.model, "unknown");
}
#endif

static void ask(void) {
    ask_name();
    info.has = fnd_cpu_features_ask();
    size_t used = 0;
    for (size_t i = 0; i < FND_CPU_FEATURE_COUNT; i++) {
        if (!(info.has >> i & 1) || used + strlen(fnd_cpu_feature_names[i]) + 2 > sizeof info.features) continue;
        used += (size_t)snprintf(info.features + used, sizeof info.features - used, "%s%s", used ? " " : "", fnd_cpu_feature_names[i]);
    }
    fnd_system_caches caches = fnd_system_caches_get();
    info.l1_bytes = caches.l1 ? caches.l1 : 32u << 10;
    info.l2_bytes = caches.l2 ? caches.l2 : 1u << 20;
    info.llc_bytes = caches.llc ? caches.llc : info.l2_bytes;
}

const fnd_cpuinfo *fnd_cpuinfo_get(void) {
    pthread_once(&info_once, ask);
    return &info;
}

/* ---- cores ----------------------------------------------------------------------------------- */
/* A container's share of CPU time, in whole cores; 0: no limit that we can see. */
static uint32_t container_cores(void) {
    long long quota = 0, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return 0;
    if (fscanf(f, "%lld %lld", &quota, &period) != 2) quota = 0; /* "max 100000": no limit */
    fclose(f);
    if (quota <= 0 || period <= 0) return 0;
    long long cores = (quota + period - 1) / period;
    return cores < 1 << 16 ? (uint32_t)cores : 0;
}

uint32_t fnd_cpu_cores(void) {
    uint32_t cores = fnd_system_cores();
    uint32_t share = container_cores();
    if (share && share < cores) cores = share;
    return cores < FND_TEAM_MAX ? cores : FND_TEAM_MAX;
}

/* ---- memory bandwidth ------------------------------------------------------------------------ */
enum { STREAMS = 4,
       LINE_WORDS = 8,
       AHEAD_BYTES = 1024 };
typedef uint64_t wide __attribute__((vector_size(64), aligned(64), may_alias));

/* One worker's share is read as four streams at once, so that more lines are under way than one
 * hardware prefetcher keeps. The sum keeps the loads from being removed. */
#define READ_SHARE_BODY_ \
    wide sum[STREAMS] = { { 0 } }; \
    size_t lines = bytes / sizeof(wide) / STREAMS; \
    for (size_t i = 0; i < lines; i++) { \
        for (size_t s = 0; s < STREAMS; s++) { \
            __builtin_prefetch((const char *)&at[s * lines + i] + AHEAD_BYTES); \
            sum[s] ^= at[s * lines + i]; \
        } \
    } \
    sum[0] ^= sum[1] ^ sum[2] ^ sum[3]; \
    uint64_t total = 0; \
    for (size_t i = 0; i < LINE_WORDS; i++) total ^= sum[0][i]; \
    return total;

typedef uint64_t read_share_fn(const wide *at, size_t bytes);
static uint64_t read_share_any(const wide *at, size_t bytes) { READ_SHARE_BODY_ }
#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_share_avx2(const wide *at, size_t bytes) { READ_SHARE_BODY_ }
__attribute__((target("avx512f"))) static uint64_t read_share_avx512(const wide *at, size_t bytes) { READ_SHARE_BODY_ }
#endif

static read_share_fn *best_reader(void) {
#if defined(__x86_64__)
    if (fnd_cpu_has(FND_CPU_avx512f)) return read_share_avx512;
    if (fnd_cpu_has(FND_CPU_avx2)) return read_share_avx2;
#endif
    return read_share_any;
}

typedef struct bandwidth_run {
    char *buffer;
    size_t share_bytes;
    read_share_fn *read; /* NULL: fill */
    uint64_t sums[FND_TEAM_MAX];
} bandwidth_run;

static void bandwidth_work(void *ctx, uint32_t worker) {
    bandwidth_run *run = ctx;
    char *share = run->buffer + worker * run->share_bytes;
    if (run->read) {
        run->sums[worker] = run->read((const wide *)(const void *)share, run->share_bytes);
    } else {
        memset(share, 1, run->share_bytes); /* untouched pages are all one page of zeros */
    }
}

static size_t bandwidth_buffer_bytes(void) {
    size_t bytes = fnd_max_size(2 * fnd_cpuinfo_get()->llc_bytes, (size_t)64 << 20);
    bytes = fnd_min_size(bytes, (size_t)1 << 30);
    return fnd_min_size(bytes, fnd_system_memory_free() / 4);
}

fnd_status fnd_cpu_read_bandwidth(fnd_team *team, uint32_t workers, double *gb_per_s, fnd_error *err) {
    enum { HUGE_PAGE_BYTES = 2 << 20,
           MEASURE_NS = 150000000 };
    *gb_per_s = 0;
    workers = workers < 1 ? 1 : workers < fnd_team_size(team) ? workers
                                                              : fnd_team_size(team);
    bandwidth_run *run = fnd_alloc_zeroed(1, sizeof *run);
    size_t bytes = bandwidth_buffer_bytes();
    if (run) run->buffer = fnd_alloc_aligned(bytes, HUGE_PAGE_BYTES);
    if (!run || !run->buffer) {
        fnd_free_memory(run);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for measuring memory bandwidth (%zu bytes)", bytes);
    }
#ifdef MADV_HUGEPAGE
    madvise(run->buffer, bytes, MADV_HUGEPAGE); /* advice: nothing depends on it */
#endif
    run->share_bytes = bytes / workers / (STREAMS * sizeof(wide)) * (STREAMS * sizeof(wide));
    fnd_team_run(team, workers, bandwidth_work, run);
    run->read = best_reader();
    uint64_t start = fnd_now_ns(), now = start;
    do {
        uint64_t before = now;
        fnd_team_run(team, workers, bandwidth_work, run);
        now = fnd_now_ns();
        double rate = (double)(run->share_bytes * workers) / (double)(now - before);
        if (rate > *gb_per_s) *gb_per_s = rate; /* the best pass: others run on this machine too */
    } while (now - start < MEASURE_NS);
    fnd_free_memory(run->buffer);
    fnd_free_memory(run);
    return FND_OK;
}
