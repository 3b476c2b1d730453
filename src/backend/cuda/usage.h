/* usage.h - what ptxas says that compiled code takes: read from NVRTC's log, kept behind the machine code. */
#ifndef BACKEND_CUDA_USAGE_H
#define BACKEND_CUDA_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The option that makes NVRTC's log say it. */
#define FND_CUDA_USAGE_OPTION "--ptxas-options=-v"

enum { FND_CUDA_FUNCTION_BYTES = 96 };

/* Of one function, for each thread; shared memory for each group. */
typedef struct fnd_cuda_usage {
    char     function[FND_CUDA_FUNCTION_BYTES]; /* of a function that is not an entry point: its mangled name */
    bool     is_entry;
    uint32_t registers, shared_bytes; /* of an entry point only */
    uint32_t stack_bytes, spill_store_bytes, spill_load_bytes;
} fnd_cuda_usage;

/* The next function that the log tells of, and the place behind it; NULL: no more. */
const char *fnd_cuda_usage_next(const char *log, fnd_cuda_usage *out);
/* All functions of a text with one entry point: spills are added up. False: the log tells of none. */
bool fnd_cuda_usage_all(const char *log, fnd_cuda_usage *out);

/* Machine code with its usage behind it: a loader reads an ELF file as far as its headers say. */
enum { FND_CUDA_USAGE_MARK_BYTES = 32 };
void fnd_cuda_usage_mark(const fnd_cuda_usage *usage, uint8_t mark[FND_CUDA_USAGE_MARK_BYTES]);
/* False: there is no such mark at the end of these bytes. */
bool fnd_cuda_usage_read(const void *code, size_t bytes, fnd_cuda_usage *out);

#endif
