/* build.c - text to machine code by NVRTC. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

enum { SHOWN_BYTES = 800,
       MAX_WARPS = 32 };

static char *log_of(const fnd_nvrtc_api *n, fnd_nvrtc_program program) {
    size_t bytes = 0;
    char *log = NULL;
    if (n->log_bytes(program, &bytes) == 0 && bytes > 1) log = fnd_alloc_zeroed(bytes + 1, 1);
    if (log && n->log(program, log) != 0) log[0] = '\0';
    return log;
}

/* The compiler's first error and what follows it. */
static fnd_status complain(const char *log, const char *entry, fnd_error *err) {
    const char *first = log ? strstr(log, "error") : NULL;
    while (first && first > log && first[-1] != '\n') first--;
    if (!first) first = log && log[0] ? log : "NVRTC failed and said nothing";
    return fnd_fail(err, FND_ERR_COMPILE, "%s did not compile: %.*s", entry, (int)fnd_min_size(strlen(first), SHOWN_BYTES), first);
}

/* The machine code, and behind it what the log says that it takes. */
static fnd_status take_cubin(const fnd_nvrtc_api *n, fnd_nvrtc_program program, const char *entry, const char *log, fnd_blob *out, fnd_error *err) {
    size_t bytes = 0;
    fnd_cuda_usage usage;
    if (n->cubin_bytes(program, &bytes) != 0 || bytes == 0) return fnd_fail(err, FND_ERR_COMPILE, "%s: NVRTC made no machine code", entry);
    bool told = fnd_cuda_usage_all(log, &usage);
    out->bytes = bytes + (told ? FND_CUDA_USAGE_MARK_BYTES : 0);
    out->data = out->bytes < bytes ? NULL : fnd_alloc_zeroed(out->bytes, 1);
    if (!out->data) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the machine code of %s", entry);
    if (told) fnd_cuda_usage_mark(&usage, (uint8_t *)out->data + bytes);
    if (n->cubin(program, out->data) == 0) return FND_OK;
    fnd_free_memory(out->data);
    *out = (fnd_blob){ 0 };
    return fnd_fail(err, FND_ERR_COMPILE, "%s: NVRTC did not give its machine code", entry);
}

fnd_status fnd_cuda_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err) {
    const fnd_cuda *c = self;
    const fnd_nvrtc_api *n = c->nvrtc;
    char arch[48], warps[32], groups[32];
    fnd_nvrtc_program program = NULL;
    *out = (fnd_blob){ 0 };
    if (!n) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s cannot be compiled: there is no NVRTC here", desc->entry);
    if (desc->warps < 1 || desc->warps > MAX_WARPS) return fnd_fail(err, FND_ERR_USAGE, "%s: %u warps in a group; 1 to %d are possible", desc->entry, desc->warps, MAX_WARPS);
    snprintf(arch, sizeof arch, "--gpu-architecture=%s", c->arch);
    snprintf(warps, sizeof warps, "-DFND_WARPS=%u", desc->warps);
    snprintf(groups, sizeof groups, "-DFND_GROUPS=%u", c->groups);
    const char *const options[] = { arch, "--std=c++17", "-diag-suppress=177", "--fmad=true", warps, groups, FND_CUDA_USAGE_OPTION };
    if (n->create(&program, desc->text, desc->entry, 0, NULL, NULL) != 0) return fnd_fail(err, FND_ERR_COMPILE, "%s: NVRTC does not take the text", desc->entry);
    bool compiled = n->compile(program, (int)FND_COUNT(options), options) == 0;
    char *log = log_of(n, program);
    fnd_status status = compiled ? take_cubin(n, program, desc->entry, log, out, err) : complain(log, desc->entry, err);
    fnd_free_memory(log);
    n->destroy(&program);
    return status;
}
