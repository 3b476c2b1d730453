/* baked.c - looking up kernels that are in the library. */
#include "backend/cpu/baked.h"
#include "base/base.h"

#include <strings.h>

void *fnd_cpu_baked(void *self, const uint64_t key[2]) {
    const fnd_cpu *cpu = self;
    for (size_t i = 0; i < fnd_baked_kernel_count; i++) {
        const fnd_baked_kernel *k = &fnd_baked_kernels[i];
        if (k->key[0] != key[0] || k->key[1] != key[1] || strcmp(k->level, cpu->level->name) != 0) continue;
        void *code;
        fnd_error ignored = { 0 };
        return fnd_cpu_code_from_entry(k->entry, &code, &ignored) == FND_OK ? code : NULL;
    }
    return NULL;
}

const void *fnd_cpu_policy_ops(void *self, const char *format) {
    const fnd_cpu *cpu = self;
    for (size_t i = 0; i < fnd_baked_policy_count; i++) {
        const fnd_baked_policy *p = &fnd_baked_policies[i];
        if (strcasecmp(p->format, format) == 0 && strcmp(p->level, cpu->level->name) == 0) return p->ops;
    }
    return NULL;
}
