/* usage.c - reading what ptxas says under -v:
 *
 *     ptxas info    : Compiling entry function 'decode' for 'sm_90a'
 *     ptxas info    : Function properties for decode
 *     ptxas         .     16 bytes stack frame, 12 bytes spill stores, 40 bytes spill loads
 *     ptxas info    : Used 128 registers, used 2 barriers, 16 bytes cumulative stack size, 30720 bytes smem
 *     ptxas info    : Function properties for _Z...dot_piece...
 *     ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
 */
#include "backend/cuda/usage.h"
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#define PROPERTIES "Function properties for "
#define MAGIC      "FNDUSED"

/* The number before `words` between two places of the log; 0 when it does not stand there. */
static uint32_t number_before(const char *from, const char *end, const char *words) {
    const char *at = strstr(from, words);
    if (!at || at >= end) return 0;
    const char *digits = at;
    while (digits > from && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    unsigned long value = digits < at ? strtoul(digits, NULL, 10) : 0;
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

const char *fnd_cuda_usage_next(const char *log, fnd_cuda_usage *out) {
    const char *at = log ? strstr(log, PROPERTIES) : NULL;
    *out = (fnd_cuda_usage){ .registers = 0 };
    if (!at) return NULL;
    at += strlen(PROPERTIES);
    size_t name = strcspn(at, "\r\n");
    snprintf(out->function, sizeof out->function, "%.*s", (int)fnd_min_size(name, sizeof out->function - 1), at);
    const char *end = strstr(at, PROPERTIES), *entry = strstr(at, "Compiling entry function");
    if (!end) end = at + strlen(at);
    if (entry && entry < end) end = entry;
    out->stack_bytes = number_before(at, end, " bytes stack frame");
    out->spill_store_bytes = number_before(at, end, " bytes spill stores");
    out->spill_load_bytes = number_before(at, end, " bytes spill loads");
    const char *used = strstr(at, "Used ");
    out->is_entry = used && used < end;
    if (out->is_entry) {
        out->registers = number_before(used, end, " registers");
        out->shared_bytes = number_before(used, end, " bytes smem");
    }
    return end;
}

bool fnd_cuda_usage_all(const char *log, fnd_cuda_usage *out) {
    fnd_cuda_usage one;
    bool any = false;
    *out = (fnd_cuda_usage){ .registers = 0 };
    for (const char *at = fnd_cuda_usage_next(log, &one); at; at = fnd_cuda_usage_next(at, &one)) {
        uint32_t stores = out->spill_store_bytes + one.spill_store_bytes, loads = out->spill_load_bytes + one.spill_load_bytes;
        if (one.is_entry) *out = one;
        out->spill_store_bytes = stores;
        out->spill_load_bytes = loads;
        any = true;
    }
    return any;
}

typedef struct usage_mark {
    char magic[8];
    uint32_t registers, shared_bytes, stack_bytes, spill_store_bytes, spill_load_bytes, zero;
} usage_mark;
_Static_assert(sizeof(usage_mark) == FND_CUDA_USAGE_MARK_BYTES, "the mark has no padding");

void fnd_cuda_usage_mark(const fnd_cuda_usage *u, uint8_t mark[FND_CUDA_USAGE_MARK_BYTES]) {
    usage_mark m = { MAGIC, u->registers, u->shared_bytes, u->stack_bytes, u->spill_store_bytes, u->spill_load_bytes, 0 };
    memcpy(mark, &m, sizeof m);
}

bool fnd_cuda_usage_read(const void *code, size_t bytes, fnd_cuda_usage *out) {
    usage_mark m;
    *out = (fnd_cuda_usage){ .registers = 0 };
    if (bytes < sizeof m) return false;
    memcpy(&m, (const uint8_t *)code + bytes - sizeof m, sizeof m);
    if (memcmp(m.magic, MAGIC, sizeof m.magic) != 0) return false;
    *out = (fnd_cuda_usage){ .is_entry = true, .registers = m.registers, .shared_bytes = m.shared_bytes, .stack_bytes = m.stack_bytes, .spill_store_bytes = m.spill_store_bytes, .spill_load_bytes = m.spill_load_bytes };
    return true;
}
