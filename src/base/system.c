/* system.c - see system.h.
 *
 * SAFETY: a word that a thread waits for outlives the wait: it belongs to the team that the thread works
 * for. On macOS, __ulock_wait and __ulock_wake are not in Apple's headers, but exported by its C library
 * since 10.12; Apple's own C++ library waits by them. They take the operation with its flags, the word, the
 * value it should have (wake: unused), and a limit in microseconds (0: none). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* affinity, renameat2, fallocate */
#endif
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#include <sys/qos.h>
#include <sys/sysctl.h>
#endif

uint64_t fnd_now_ns(void) {
#if defined(__APPLE__)
    return clock_gettime_nsec_np(CLOCK_UPTIME_RAW); /* its CLOCK_MONOTONIC counts whole microseconds */
#else
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
#endif
}

/* ---- threads that wait ---- */

#if defined(__linux__)
void fnd_system_wait(_Atomic uint32_t *word, uint32_t old) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0); }
void fnd_system_wake_all(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0); }
bool fnd_system_can_fence_all(void) { return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0; }
void fnd_system_fence_all(void) { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }
#else
#if defined(__APPLE__)
int __ulock_wait(uint32_t operation, void *word, uint64_t value, uint32_t limit_us);
int __ulock_wake(uint32_t operation, void *word, uint64_t unused);
enum { COMPARE_AND_WAIT = 1,
       WAKE_ALL = 0x100,
       GIVE_ERROR = 0x1000000 /* instead of setting errno */ };
void fnd_system_wait(_Atomic uint32_t *word, uint32_t old) { __ulock_wait(COMPARE_AND_WAIT | GIVE_ERROR, word, old, 0); }
void fnd_system_wake_all(_Atomic uint32_t *word) { __ulock_wake(COMPARE_AND_WAIT | WAKE_ALL | GIVE_ERROR, word, 0); }
#else
/* Nothing to wait with: look again every 50 us. */
void fnd_system_wait(_Atomic uint32_t *word, uint32_t old) {
    (void)word, (void)old;
    nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
}
void fnd_system_wake_all(_Atomic uint32_t *word) { (void)word; }
#endif
bool fnd_system_can_fence_all(void) { return false; }
void fnd_system_fence_all(void) {}
#endif

void fnd_system_condition_init(pthread_cond_t *condition) {
#if defined(__APPLE__)
    pthread_cond_init(condition, NULL); /* its waits are relative */
#else
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
#endif
}

void fnd_system_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t limit_ns) {
    struct timespec limit = { 0 };
#if !defined(__APPLE__)
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit_ns += (uint64_t)limit.tv_nsec;
#endif
    limit.tv_sec += (time_t)(limit_ns / 1000000000);
    limit.tv_nsec = (long)(limit_ns % 1000000000);
#if defined(__APPLE__)
    pthread_cond_timedwait_relative_np(condition, mutex, &limit);
#else
    pthread_cond_timedwait(condition, mutex, &limit);
#endif
}

/* ---- threads and processors ---- */

#if defined(__linux__)
uint32_t fnd_system_processors(int *list, uint32_t capacity) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
    uint32_t count = 0;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, &allowed)) continue;
        if (count < capacity) list[count] = i;
        count++;
    }
    return count;
}

void fnd_system_pin(pthread_t thread, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    pthread_setaffinity_np(thread, sizeof set, &set); /* refused: the scheduler decides, as without */
}

void fnd_system_visit(int processor) {
    if (sched_getcpu() == processor) return;
    cpu_set_t allowed;
    if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) != 0 || !CPU_ISSET((size_t)processor, &allowed)) return;
    fnd_system_pin(pthread_self(), processor);
    pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
}

void fnd_system_work_first(void) {}
/* This thread alone, and the processes it starts. */
void fnd_system_work_last(void) { setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15); }
#else
uint32_t fnd_system_processors(int *list, uint32_t capacity) {
    (void)list, (void)capacity;
    return 0;
}
void fnd_system_pin(pthread_t thread, int processor) { (void)thread, (void)processor; }
void fnd_system_visit(int processor) { (void)processor; }
#if defined(__APPLE__)
/* By class of service, which also decides between fast and slow processors. */
void fnd_system_work_first(void) { pthread_set_qos_class_self_np(QOS_CLASS_USER_INITIATED, 0); }
void fnd_system_work_last(void) { pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0); }
#else
void fnd_system_work_first(void) {}
void fnd_system_work_last(void) {}
#endif
#endif

/* ---- the machine ---- */

#if defined(__APPLE__)
/* A number that the system keeps under a name; 0 when it does not. */
static uint64_t named_number(const char *name) {
    uint64_t wide = 0;
    size_t bytes = sizeof wide;
    if (sysctlbyname(name, &wide, &bytes, NULL, 0) != 0) return 0;
    uint32_t narrow = 0;
    if (bytes == sizeof narrow) memcpy(&narrow, &wide, sizeof narrow);
    return bytes == sizeof narrow ? narrow : bytes == sizeof wide ? wide
                                                                  : 0;
}
#endif

uint32_t fnd_system_cores(void) {
#if defined(__linux__)
    uint32_t allowed = fnd_system_processors(NULL, 0);
    if (allowed) return allowed;
#elif defined(__APPLE__)
    uint64_t fast = named_number("hw.perflevel0.logicalcpu"); /* a barrier would wait for the slow ones */
    if (fast && fast <= INT_MAX) return (uint32_t)fast;
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

bool fnd_system_processor_name(char *name, size_t bytes) {
#if defined(__APPLE__)
    return sysctlbyname("machdep.cpu.brand_string", name, &bytes, NULL, 0) == 0 && bytes > 1;
#else
    (void)name, (void)bytes;
    return false;
#endif
}

bool fnd_system_processor_has(uint32_t word, uint32_t bit, const char *name) {
#if defined(__linux__)
    (void)name;
    return getauxval(word == 1 ? AT_HWCAP : AT_HWCAP2) >> bit & 1;
#elif defined(__APPLE__)
    char full[64];
    (void)word, (void)bit;
    snprintf(full, sizeof full, "hw.optional.arm.%s", name);
    return named_number(full) != 0; /* a name that this system does not know yet is one of a feature it has not */
#else
    (void)word, (void)bit, (void)name;
    return false;
#endif
}

int fnd_system_ask_for_tiles(void) {
#if defined(__linux__) && defined(__x86_64__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, /* asm/prctl.h of Linux 5.16 */
           XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 ? 0 : errno;
#else
    return ENOSYS;
#endif
}

#if defined(_SC_LEVEL1_DCACHE_SIZE)
static size_t cache_bytes(int name) {
    long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : 0;
}
#endif

fnd_system_caches fnd_system_caches_get(void) {
    fnd_system_caches caches = { 0 };
#if defined(_SC_LEVEL1_DCACHE_SIZE)
    caches = (fnd_system_caches){ cache_bytes(_SC_LEVEL1_DCACHE_SIZE), cache_bytes(_SC_LEVEL2_CACHE_SIZE), cache_bytes(_SC_LEVEL3_CACHE_SIZE) };
#elif defined(__APPLE__)
    /* Of the fast processors, where there are two kinds. Apple's have no cache behind the second that the
     * system tells of. */
    uint64_t l1 = named_number("hw.perflevel0.l1dcachesize"), l2 = named_number("hw.perflevel0.l2cachesize");
    caches.l1 = (size_t)(l1 ? l1 : named_number("hw.l1dcachesize"));
    caches.l2 = (size_t)(l2 ? l2 : named_number("hw.l2cachesize"));
    caches.llc = (size_t)named_number("hw.l3cachesize");
#endif
    return caches;
}

size_t fnd_system_memory(void) {
#if defined(__APPLE__)
    return (size_t)named_number("hw.memsize");
#else
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
#endif
}

#if defined(__linux__)
/* The first number in a file, times `unit`; SIZE_MAX when there is none. */
static size_t number_in(const char *path, const char *format, size_t unit) {
    char line[128];
    unsigned long long n = 0;
    size_t found = SIZE_MAX;
    FILE *f = fopen(path, "re");
    while (f && found == SIZE_MAX && fgets(line, sizeof line, f)) {
        if (sscanf(line, format, &n) == 1 && n < SIZE_MAX / unit) found = (size_t)n * unit;
    }
    if (f) fclose(f);
    return found;
}
#endif

size_t fnd_system_memory_free(void) {
#if defined(__linux__)
    return fnd_min_size(number_in("/proc/meminfo", "MemAvailable: %llu", 1024), number_in("/sys/fs/cgroup/memory.max", "%llu", 1));
#else
    size_t all = fnd_system_memory();
    return all ? all / 2 : SIZE_MAX; /* what is free means little where memory is compressed */
#endif
}

void fnd_system_program_path(char *path, size_t bytes) {
    path[0] = '\0';
#if defined(__linux__)
    ssize_t length = readlink("/proc/self/exe", path, bytes);
    path[length > 0 && (size_t)length < bytes ? length : 0] = '\0';
#elif defined(__APPLE__)
    uint32_t room = (uint32_t)bytes;
    if (_NSGetExecutablePath(path, &room) != 0) path[0] = '\0';
#else
    (void)bytes;
#endif
}

/* ---- files ---- */

struct timespec fnd_system_modified(const struct stat *st) {
#if defined(__APPLE__)
    return st->st_mtimespec;
#else
    return st->st_mtim;
#endif
}

int fnd_system_reserve_file(int fd, uint64_t bytes) {
    if (!bytes) return 0;
#if defined(__linux__)
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0) return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
#elif defined(__APPLE__)
    fstore_t store = { .fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t)bytes };
    if (fcntl(fd, F_PREALLOCATE, &store) != 0 && errno != ENOTSUP && errno != EINVAL) return errno;
#endif
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
}

int fnd_system_rename_new(const char *from, const char *to) {
#if defined(RENAME_NOREPLACE)
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    return errno == EINVAL ? ENOSYS : errno;
#elif defined(__APPLE__)
    if (renamex_np(from, to, RENAME_EXCL) == 0) return 0;
    return errno == ENOTSUP || errno == EINVAL ? ENOSYS : errno;
#else
    (void)from, (void)to;
    return ENOSYS;
#endif
}
