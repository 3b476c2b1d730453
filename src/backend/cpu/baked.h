/* baked.h - kernels that were compiled when the library was: tables written by src/bake. Where the
 * library was built without them the symbols are absent (weak) and nothing is found. */
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
    const void *ops; /* what a weight argument carries for kernels of any format */
} fnd_baked_policy;

extern const fnd_baked_kernel fnd_baked_kernels[] __attribute__((weak));
extern const size_t           fnd_baked_kernel_count __attribute__((weak));
extern const fnd_baked_policy fnd_baked_policies[] __attribute__((weak));
extern const size_t           fnd_baked_policy_count __attribute__((weak));

/* The backend's calls. */
void       *fnd_cpu_baked(void *self, const uint64_t key[2]);
const void *fnd_cpu_policy_ops(void *self, const char *format);

#endif
