/* baked.h - kernels that were compiled when the library was: tables written by src/bake. A library
 * built without them has empty ones (src/bake/none.c). */
#ifndef BACKEND_CPU_BAKED_H
#define BACKEND_CPU_BAKED_H

#include "backend/cpu/cpu.h"

typedef struct fnd_baked_kernel {
    const char    *level;   /* fnd_cpu_level.name */
    uint64_t       key[2];  /* of its flattened text */
    fnd_cpu_entry *entry;
} fnd_baked_kernel;

typedef struct fnd_baked_policy {
    const char *level, *format;
    const void *ops[2]; /* what a weight in tiles, and one as in the file, carries for kernels of any format */
} fnd_baked_policy;

extern const fnd_baked_kernel fnd_baked_kernels[];
extern const size_t           fnd_baked_kernel_count;
extern const fnd_baked_policy fnd_baked_policies[];
extern const size_t           fnd_baked_policy_count;

/* The kernel that serves a device of this level, or NULL. */
const fnd_baked_kernel *fnd_baked_kernel_for(const fnd_cpu_level *level, const uint64_t key[2], bool file_rows);

/* The backend's calls. */
void       *fnd_cpu_baked(void *self, const uint64_t key[2], bool file_rows);
const void *fnd_cpu_policy_ops(void *self, const char *format, bool file_rows);

#endif
