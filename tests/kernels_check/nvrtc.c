/* nvrtc.c - NVIDIA's run-time compiler, opened with dlopen: it compiles for any GPU without one.
 *
 * SAFETY: the function types below are those of nvrtc.h; they have not changed since CUDA 7. */
#include "check.h"

#include "base/base.h"
#include "base/dynlib.h"
#include "base/file.h"
#include "base/memory.h"

#include <glob.h>
#include <stdio.h>

typedef struct nvrtc_program nvrtc_program;

/*    result  name                  parameters */
#define NVRTC_CALLS(X) \
    X(nvrtcGetNumSupportedArchs, (int *count)) \
    X(nvrtcGetSupportedArchs, (int *archs)) \
    X(nvrtcCreateProgram, (nvrtc_program * *program, const char *text, const char *name, int headers, const char *const *header_texts, const char *const *header_names)) \
    X(nvrtcCompileProgram, (nvrtc_program * program, int options, const char *const *option_texts)) \
    X(nvrtcGetProgramLogSize, (nvrtc_program * program, size_t * bytes)) \
    X(nvrtcGetProgramLog, (nvrtc_program * program, char *log)) \
    X(nvrtcDestroyProgram, (nvrtc_program * *program))

static struct {
    fnd_dynlib *library;
#define FIELD(name, parameters) int(*name) parameters;
    NVRTC_CALLS(FIELD)
#undef FIELD
} nvrtc;

static bool open_at(const char *path, char why_not[160]) {
    fnd_error err = { 0 };
    if (fnd_dynlib_open(path, &nvrtc.library, &err) != FND_OK) {
        snprintf(why_not, 160, "%.159s", err.text);
        return false;
    }
#define FIND(name, parameters) \
    if (!(nvrtc.name = (int(*) parameters)(uintptr_t)fnd_dynlib_find(nvrtc.library, #name))) return false;
    NVRTC_CALLS(FIND)
#undef FIND
    return true;
}

bool check_nvrtc_open(char why_not[160]) {
    static const char *const names[] = { "libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12" };
    static const char *const folders[] = { "/usr/local/cuda/lib64/libnvrtc.so", "/usr/local/cuda*/lib64/libnvrtc.so*", "/usr/local/cuda*/lib/libnvrtc.so*" };
    bool found = false;
    for (size_t i = 0; i < FND_COUNT(names) && !found; i++) found = open_at(names[i], why_not);
    for (size_t i = 0; i < FND_COUNT(folders) && !found; i++) {
        glob_t paths = { 0 };
        if (glob(folders[i], 0, NULL, &paths) == 0) {
            for (size_t p = 0; p < paths.gl_pathc && !found; p++) found = open_at(paths.gl_pathv[p], why_not);
        }
        globfree(&paths);
    }
    return found;
}

size_t check_nvrtc_archs(char archs[4][16]) {
    int list[64] = { 0 }, count = 0, newest = 0;
    size_t used = 0;
    if (nvrtc.nvrtcGetNumSupportedArchs(&count) != 0 || count > 64 || nvrtc.nvrtcGetSupportedArchs(list) != 0) return 0;
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
    nvrtc_program *program = NULL;
    if (fnd_file_read(which->path, (size_t)64 << 20, &text, &bytes, &err) != FND_OK) {
        fnd_text_printf(said, "%s\n", err.text);
        return false;
    }
    snprintf(option, sizeof option, "--gpu-architecture=%s_%s", which->thorough ? "sm" : "compute", arch);
    const char *const options[] = { option, "--std=c++17", "-diag-suppress=177", "--device-debug" /* not optimised: fast */ };
    int option_count = (int)FND_COUNT(options) - which->thorough;
    bool ok = nvrtc.nvrtcCreateProgram(&program, text, which->path, 0, NULL, NULL) == 0 && nvrtc.nvrtcCompileProgram(program, option_count, options) == 0;
    size_t log_bytes = 0;
    if (program && nvrtc.nvrtcGetProgramLogSize(program, &log_bytes) == 0 && log_bytes > 1) {
        char *log = fnd_alloc_zeroed(log_bytes + 1, 1);
        if (log && nvrtc.nvrtcGetProgramLog(program, log) == 0) fnd_text_str(said, log);
        fnd_free_memory(log);
    }
    if (program) nvrtc.nvrtcDestroyProgram(&program);
    fnd_free_memory(text);
    return ok;
}
