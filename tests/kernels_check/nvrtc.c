/* nvrtc.c - texts for NVIDIA's GPUs by its run-time compiler, which compiles for any GPU without one. */
#include "check.h"

#include "backend/cuda/api.h"
#include "backend/cuda/usage.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>

static const fnd_nvrtc_api *nvrtc;

bool check_nvrtc_open(char why_not[160]) {
    fnd_error err = { 0 };
    if (fnd_nvrtc_api_open(&nvrtc, &err) == FND_OK) return true;
    snprintf(why_not, 160, "%.159s", err.text);
    return false;
}

size_t check_nvrtc_archs(char archs[4][16]) {
    int list[64] = { 0 }, count = 0, newest = 0;
    size_t used = 0;
    if (nvrtc->arch_count(&count) != 0 || count > 64 || nvrtc->archs(list) != 0) return 0;
    for (int i = 0; i < count; i++) {
        if (i == 0 || list[i] == 80) snprintf(archs[used++], 16, "%d", list[i]);
        if (list[i] == 90) snprintf(archs[used++], 16, "90a");
        newest = list[i] > newest ? list[i] : newest;
    }
    if (newest > 90) snprintf(archs[used++], 16, "%d", newest);
    return used;
}

/* Kernels that single tokens never run. */
static bool of_prompts(const char *function) {
    return strcmp(function, "attention_kernel") == 0 || strcmp(function, "attention_prompts_kernel") == 0;
}

bool check_spills(const check_text *text, const char *log, const char *arch, fnd_text *said) {
    fnd_cuda_usage u;
    uint32_t stores = 0, loads = 0;
    for (const char *at = fnd_cuda_usage_next(log, &u); at; at = fnd_cuda_usage_next(at, &u)) {
        if ((!u.spill_store_bytes && !u.spill_load_bytes) || of_prompts(u.function)) continue;
        fnd_text_printf(said, "%s of \"%s\" for sm_%s spills registers: %u bytes of stores, %u of loads (known: %u, %u)\n", u.function, text->name, arch, u.spill_store_bytes, u.spill_load_bytes, text->known_stores, text->known_loads);
        stores += u.spill_store_bytes;
        loads += u.spill_load_bytes;
    }
    return stores <= text->known_stores && loads <= text->known_loads;
}

bool check_nvrtc_compile(const check_text *which, const char *arch, fnd_text *said) {
    char *text, option[40], warps[24];
    size_t bytes;
    fnd_error err = { 0 };
    fnd_nvrtc_program program = NULL;
    if (fnd_file_read(which->path, (size_t)64 << 20, &text, &bytes, &err) != FND_OK) {
        fnd_text_printf(said, "%s\n", err.text);
        return false;
    }
    snprintf(option, sizeof option, "--gpu-architecture=%s_%s", which->thorough ? "sm" : "compute", arch);
    snprintf(warps, sizeof warps, "-DFND_WARPS=%u", which->warps ? which->warps : 16);
    const char *const quick[] = { option, "--std=c++17", "-diag-suppress=177", "--device-debug" /* not optimised: fast */, CHECK_EACH_ONCE };
    const char *const as_for_use[] = { option, "--std=c++17", "-diag-suppress=177", "--fmad=true", warps, "-DFND_GROUPS=132", FND_CUDA_USAGE_OPTION };
    const char *const *options = which->thorough ? as_for_use : quick;
    int option_count = which->thorough ? (int)FND_COUNT(as_for_use) : (int)FND_COUNT(quick);
    bool ok = nvrtc->create(&program, text, which->path, 0, NULL, NULL) == 0 && nvrtc->compile(program, option_count, options) == 0;
    size_t log_bytes = 0;
    if (program && nvrtc->log_bytes(program, &log_bytes) == 0 && log_bytes > 1) {
        char *log = fnd_alloc_zeroed(log_bytes + 1, 1);
        bool told = log && nvrtc->log(program, log) == 0;
        if (told && ok && which->decode)
            ok = check_spills(which, log, arch, said);
        else if (told)
            fnd_text_str(said, log);
        fnd_free_memory(log);
    }
    if (program) nvrtc->destroy(&program);
    fnd_free_memory(text);
    return ok;
}
