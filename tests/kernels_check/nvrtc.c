/* nvrtc.c - texts for NVIDIA's GPUs by its run-time compiler, which compiles for any GPU without one. */
#include "check.h"

#include "backend/cuda/api.h"
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

bool check_nvrtc_compile(const check_text *which, const char *arch, fnd_text *said) {
    char *text, option[40];
    size_t bytes;
    fnd_error err = { 0 };
    fnd_nvrtc_program program = NULL;
    if (fnd_file_read(which->path, (size_t)64 << 20, &text, &bytes, &err) != FND_OK) {
        fnd_text_printf(said, "%s\n", err.text);
        return false;
    }
    snprintf(option, sizeof option, "--gpu-architecture=%s_%s", which->thorough ? "sm" : "compute", arch);
    const char *const options[] = { option, "--std=c++17", "-diag-suppress=177", "--device-debug" /* not optimised: fast */ };
    int option_count = (int)FND_COUNT(options) - which->thorough;
    bool ok = nvrtc->create(&program, text, which->path, 0, NULL, NULL) == 0 && nvrtc->compile(program, option_count, options) == 0;
    size_t log_bytes = 0;
    if (program && nvrtc->log_bytes(program, &log_bytes) == 0 && log_bytes > 1) {
        char *log = fnd_alloc_zeroed(log_bytes + 1, 1);
        if (log && nvrtc->log(program, log) == 0) fnd_text_str(said, log);
        fnd_free_memory(log);
    }
    if (program) nvrtc->destroy(&program);
    fnd_free_memory(text);
    return ok;
}
