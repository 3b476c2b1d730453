/* system.h - what Linux and macOS do in different ways. The rest of Foundry asks here, and no other file
 * asks which system it is on, but for base/process.c (pipes) and base/dynlib.c (code from memory). */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include "base/base.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

/* ---- threads that wait ---- */

/* Sleep until somebody wakes those who wait for `word`, unless it is no longer `old`. May return early. */
void fnd_system_wait(_Atomic uint32_t *word, uint32_t old);
void fnd_system_wake_all(_Atomic uint32_t *word);
/* Can one thread put a fence into all running threads of this process? Asked once, before it does. */
bool fnd_system_can_fence_all(void);
void fnd_system_fence_all(void);

/* A condition with a limit that changes of the clock do not move. The mutex is held by the caller. */
void fnd_system_condition_init(pthread_cond_t *condition);
void fnd_system_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t limit_ns);

/* ---- threads and processors ---- */

/* Processors that this process may run on, by number; how many there are, or 0 where threads cannot be
 * bound to one. */
uint32_t fnd_system_processors(int *list, uint32_t capacity);
void fnd_system_pin(pthread_t thread, int processor);
/* Move the calling thread to a processor, and leave it as free as it was. */
void fnd_system_visit(int processor);
/* The calling thread works on what somebody waits for; what nobody waits for. */
void fnd_system_work_first(void);
void fnd_system_work_last(void);

/* ---- the machine ---- */

/* Processors that are worth a worker each: of two kinds, the fast ones. */
uint32_t fnd_system_cores(void);
/* Its name, where the system knows it: "Apple M2". False: it does not. */
bool fnd_system_processor_name(char *name, size_t bytes);
/* Has an arm64 processor a feature? Linux tells by a bit of AT_HWCAP (word 1) or AT_HWCAP2 (2), macOS by
 * hw.optional.arm.<name>. */
bool fnd_system_processor_has(uint32_t word, uint32_t bit, const char *name);
/* Ask for the registers of the matrix unit (AMX), which Linux gives to processes that ask, for all their
 * threads. Zero, or errno: a filter of system calls, or a signal stack that has no room for them. */
int fnd_system_ask_for_tiles(void);
/* Bytes of the data caches; 0 where that is not known. */
typedef struct fnd_system_caches { size_t l1, l2, llc; } fnd_system_caches;
fnd_system_caches fnd_system_caches_get(void);
/* Bytes of memory, and those that this process can still have; 0 and SIZE_MAX where that is not known. */
size_t fnd_system_memory(void);
size_t fnd_system_memory_free(void);

/* The path of the program that runs, as it was started or as the system knows it; "" where that is not known. */
void fnd_system_program_path(char *path, size_t bytes);

/* ---- files ---- */

struct timespec fnd_system_modified(const struct stat *st);
/* Have the file's blocks now. Zero, or errno. */
int fnd_system_reserve_file(int fd, uint64_t bytes);
/* Rename, unless there is a file `to`. Zero, or errno: EEXIST; ENOSYS where that cannot be had in one step. */
int fnd_system_rename_new(const char *from, const char *to);

#endif
