/* process.h - run another program (a compiler) and hear what it says. No shell is involved.
 *
 * These functions read PATH and TMPDIR; nothing else of the library reads either. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include "base/text.h"
#include "foundry/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { FND_PROCESS_PATH_BYTES = 1024 };

/* Find a program: a name with a slash is taken as it is, any other is looked for along the PATH.
 * False when there is no such executable; path[] is "" then. */
bool fnd_process_find(const char *name, char path[FND_PROCESS_PATH_BYTES]);

/* Run argv[0] with argv (ends with NULL) and wait for it. `input` is its standard input (NULL:
 * empty); what it writes to stdout and stderr is added to `output`, in the order it wrote (NULL:
 * discarded; at most 1 MiB is kept). *exit_code is its exit status, or 128 + the signal that ended
 * it. A program that ran and failed is FND_OK with *exit_code != 0; one that is not there is
 * FND_ERR_UNSUPPORTED. After `limit_seconds` (0: never) it is killed: FND_ERR_LIMIT. Any thread may
 * call. */
FND_USE_RESULT fnd_status fnd_process_run(const char *const *argv, const char *input, uint32_t limit_seconds, fnd_text *output, int *exit_code, fnd_error *err);

/* How another thread ends a run, at once and with everything that its program has started. Zeros are a
 * new one; it is for one run at a time, and once stopped it stays so. */
typedef struct fnd_process_stop {
    bool  wanted; /* both: process.c alone, under its lock */
    pid_t pid;
} fnd_process_stop;

typedef struct fnd_process_until {
    uint32_t          limit_seconds; /* 0: never */
    fnd_process_stop *stop;          /* NULL: nobody ends it */
} fnd_process_until;

/* The same until one of these; what `stop` has ended is FND_ERR_CANCELLED. */
FND_USE_RESULT fnd_status fnd_process_run_until(const char *const *argv, const char *input, const fnd_process_until *until, fnd_text *output, int *exit_code, fnd_error *err);
void fnd_process_end(fnd_process_stop *stop);

/* Make an empty directory of our own in $TMPDIR (or /tmp). */
FND_USE_RESULT fnd_status fnd_process_temp_dir(char path[FND_PROCESS_PATH_BYTES], fnd_error *err);
/* Remove it and the files in it (not directories in it). "" is fine. */
void fnd_process_remove_dir(const char *path);

#endif
