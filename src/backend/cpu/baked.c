/* baked.c - looking up kernels that are in the library. */
#include "backend/cpu/baked.h"
#include "base/base.h"

#include <strings.h>

/* The level whose kernels serve: the device's, or where the library has none of that the next weaker one
 * with the same tiles. Kernels and the functions of formats that they call are of one level. */
static const char *baked_level(const fnd_cpu *cpu) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count), *level = cpu->level;
    while (level > levels && level->unbaked && level[-1].vec == level->vec) level--;
    return level->name;
}

void *fnd_cpu_baked(void *self, const uint64_t key[2]) {
    const char *level = baked_level(self);
    for (size_t i = 0; i < fnd_baked_kernel_count; i++) {
        const fnd_baked_kernel *k = &fnd_baked_kernels[i];
        if (k->key[0] != key[0] || k->key[1] != key[1] || strcmp(k->level, level) != 0) continue;
        void *code;
        fnd_error ignored = { 0 };
        return fnd_cpu_code_from_entry(k->entry, &code, &ignored) == FND_OK ? code : NULL;
    }
    return NULL;
}

const void *fnd_cpu_policy_ops(void *self, const char *format, bool file_rows) {
    const char *level = baked_level(self);
    for (size_t i = 0; i < fnd_baked_policy_count; i++) {
        const fnd_baked_policy *p = &fnd_baked_policies[i];
        if (strcasecmp(p->format, format) == 0 && strcmp(p->level, level) == 0) return p->ops[file_rows];
    }
    return NULL;
}
