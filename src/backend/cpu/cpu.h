/* cpu.h - the parts of the cpu backend, for each other, and the seam for kernels that were compiled
 * into the binary. */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "base/cpuinfo.h"
#include "base/process.h"
#include "base/team.h"

struct fnd_thread;

/* How kernel texts are compiled, now or when the library is: the results must agree. What is a mistake for
 * certain is an error (kernels/dialect/c.h); other warnings are looked at when kernels are checked. */
#define FND_CPU_FLAGS(X) \
    X("-std=gnu11") X("-fPIC") X("-fno-math-errno") X("-fno-trapping-math") X("-ffp-contract=fast") X("-fno-stack-protector")

/* Tokens that matrix kernels compute together: sums and their scales then fit the vector registers; and with bf16 panels
 * (kernels/gemv/panel.cpu.h), for which more than 16 tokens ask. */
enum { FND_CPU_TILE_TOKENS = 8,
       FND_CPU_PANEL_TOKENS = 32 };

/* Tokens from which on codes of 8 bits go to the matrix unit: with fewer, what few tokens leave of its tiles and the
 * decoding of panels are more than it spares. The results are the same. */
enum { FND_CPU_UNIT_FROM = 48 };

/* What kernels/gemv/panel.cpu.h keeps in scratch: a panel of weights and its sums, and a page for the rest. */
enum { FND_CPU_PANEL_BYTES = 16 * 32 * 768 + 4096,
       FND_CPU_PANEL_TOKEN_BYTES = 2 * 16 * 16 * 4 };

/* Which texts fit a level. */
static inline const char *fnd_cpu_suffix(const fnd_cpu_level *level) { return level->vec ? ".cpu" : ""; }

/* What every text's entry point looks like in C. */
typedef void fnd_cpu_entry(const void *args, const struct fnd_thread *thread);

/* Make launchable code of a function that is already in this process: a baked kernel. Given back with
 * the backend's unload, like code from load. */
FND_USE_RESULT fnd_status fnd_cpu_code_from_entry(fnd_cpu_entry *entry, void **code, fnd_error *err);

/* What finds and describes the compiler (cpu_build.c). Fixed once the device is open. */
typedef struct fnd_cpu_compiler {
    char path[FND_PROCESS_PATH_BYTES]; /* "": there is none */
    char identity[256];                /* what it says of itself, first line */
    char why_not[160];
    uint32_t limit_seconds;    /* for one text */
} fnd_cpu_compiler;

/* limit_seconds 0: FND_COMPILER_SECONDS. */
void fnd_cpu_compiler_find(const char *name, uint32_t limit_seconds, fnd_cpu_compiler *out);
/* Everything but the text that decides what a build gives: compiler, flags, processor. */
void fnd_cpu_target_print(const fnd_cpu_compiler *compiler, const fnd_cpu_level *level, char *text, size_t bytes);

/* Memory that groups may use during a launch; grows between launches (cpu_launch.c). */
typedef struct fnd_cpu_scratch {
    uint8_t *data;
    size_t   bytes;
} fnd_cpu_scratch;

typedef struct fnd_cpu {
    const fnd_cpu_level *level;
    fnd_cpu_compiler     compiler;
    fnd_team            *team;
    uint32_t             threads, unit_from; /* unit_from: FND_CPU_UNIT_FROM, or what was asked for */
    fnd_cpu_scratch      scratch, shared_scratch;
    struct fnd_share    *shares;       /* [threads]; NULL: one thread */
    uint32_t             share_groups; /* of the last launch of several groups */
    fnd_error            failure; /* first failed launch since the last wait */
} fnd_cpu;

/* cpu_memory.c */
fnd_status fnd_cpu_alloc(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_cpu_reserve(void *self, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_cpu_commit(void *self, fnd_memory *memory, size_t bytes, fnd_error *err);
void fnd_cpu_forget(void *self, const fnd_memory *memory);
void fnd_cpu_release(void *self, fnd_memory *memory);
fnd_status fnd_cpu_adopt(void *self, const void *host, size_t bytes, fnd_memory *out, fnd_error *err);
fnd_status fnd_cpu_upload(void *self, fnd_memory *to, size_t offset, const void *from, size_t bytes, fnd_error *err);
fnd_status fnd_cpu_download(void *self, void *to, const fnd_memory *from, size_t offset, size_t bytes, fnd_error *err);
/* cpu_build.c */
fnd_status fnd_cpu_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err);
/* cpu_launch.c */
fnd_status fnd_cpu_load(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err);
void fnd_cpu_unload(void *self, void *code);
fnd_status fnd_cpu_launch(void *self, const fnd_launch *launch, fnd_error *err);
fnd_status fnd_cpu_alloc_shares(fnd_cpu *cpu, fnd_error *err);
fnd_status fnd_cpu_wait(void *self, fnd_error *err);

#endif
