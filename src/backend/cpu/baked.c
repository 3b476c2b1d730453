/* baked.c - looking up kernels that are in the library. */
#include "backend/cpu/baked.h"
#include "base/base.h"

#include <strings.h>

/* After `level`, whose kernels are tried next for a device: the next weaker one with the same tiles and no
 * instructions that the device's level lacks. NULL: the library has all kernels of `level`, or there is none. */
static const fnd_cpu_level *next_level(const fnd_cpu_level *device, const fnd_cpu_level *level) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    if (level->bakes == FND_CPU_BAKES_ALL) return NULL;
    while (level > levels && (--level)->vec == device->vec) {
        if (!(level->needs & ~device->needs)) return level;
    }
    return NULL;
}

const fnd_baked_kernel *fnd_baked_kernel_for(const fnd_cpu_level *device, const uint64_t key[2], bool file_rows) {
    for (const fnd_cpu_level *level = device; level; level = next_level(device, level)) {
        for (size_t i = 0; i < fnd_baked_kernel_count && !(file_rows && level->bakes == FND_CPU_BAKES_PANELS); i++) {
            const fnd_baked_kernel *k = &fnd_baked_kernels[i];
            if (k->key[0] == key[0] && k->key[1] == key[1] && strcmp(k->level, level->name) == 0) return k;
        }
    }
    return NULL;
}

void *fnd_cpu_baked(void *self, const uint64_t key[2], bool file_rows) {
    const fnd_baked_kernel *k = fnd_baked_kernel_for(((const fnd_cpu *)self)->level, key, file_rows);
    void *code;
    fnd_error ignored = { 0 };
    return k && fnd_cpu_code_from_entry(k->entry, &code, &ignored) == FND_OK ? code : NULL;
}

const void *fnd_cpu_policy_ops(void *self, const char *format, bool file_rows) {
    const fnd_cpu_level *device = ((const fnd_cpu *)self)->level;
    for (const fnd_cpu_level *level = device; level; level = next_level(device, level)) {
        for (size_t i = 0; i < fnd_baked_policy_count; i++) {
            const fnd_baked_policy *p = &fnd_baked_policies[i];
            if (strcasecmp(p->format, format) == 0 && strcmp(p->level, level->name) == 0) return p->ops[file_rows];
        }
    }
    return NULL;
}
