/* tools.c - which compilers are here, how they are called, and calling them. */
#include "check.h"

#include "base/base.h"
#include "base/cpuinfo.h"

#include <stdio.h>

static check_tool *add_tool(check_tools *tools, const char *name, const char *suffix) {
    if (tools->count == CHECK_MAX_TOOLS) abort();
    check_tool *tool = &tools->list[tools->count++];
    *tool = (check_tool){ .suffix = suffix };
    snprintf(tool->name, sizeof tool->name, "%s", name);
    return tool;
}

static void add_words(check_tool *tool, const char *const *words, size_t count) {
    size_t used = 0;
    while (tool->argv[used]) used++;
    for (size_t i = 0; i < count && words[i] && used < CHECK_MAX_WORDS - 2; i++) tool->argv[used++] = words[i];
}
#define ADD_WORDS(tool, ...) add_words(tool, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void need_program(check_tool *tool, const char *program) {
    char path[FND_PROCESS_PATH_BYTES];
    if (!fnd_process_find(program, path)) snprintf(tool->missing, sizeof tool->missing, "%s is not here", program);
}

static const char *const c_flags[] = { "-std=gnu11", "-x", "c", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas", "-fno-math-errno", "-ffp-contract=fast" };

/* gcc generates code, which finds what only code generation finds; clang, slower at that, checks. */
static void add_c(check_tools *tools, const char *compiler) {
    bool gcc = strcmp(compiler, "gcc") == 0;
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    for (size_t i = 0; i <= count; i++) {
        char name[CHECK_NAME_BYTES];
        bool sim = i == count;
        snprintf(name, sizeof name, "%s %s", compiler, sim ? "sim" : levels[i].name);
        check_tool *tool = add_tool(tools, name, sim || levels[i].vec == 0 ? "" : ".cpu");
        need_program(tool, compiler);
        ADD_WORDS(tool, compiler);
        add_words(tool, c_flags, FND_COUNT(c_flags));
        if (sim)
            ADD_WORDS(tool, "-DFND_SIM", "-DFND_WARPS=4");
        else if (levels[i].vec == 0)
            ADD_WORDS(tool, "-DFND_GENERIC");
        else
            add_words(tool, levels[i].flags, FND_COUNT(levels[i].flags));
        if (gcc)
            ADD_WORDS(tool, "-S", "-o", "/dev/null");
        else
            ADD_WORDS(tool, "-fsyntax-only");
    }
}

/* The texts of another architecture's levels: clang has its vectors without anything else of it. */
static void add_foreign(check_tools *tools, fnd_cpu_arch arch, const char *target) {
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels_of(arch, &count);
    for (size_t i = 1; i < count && arch != FND_CPU_ARCH_HERE; i++) { /* portable texts are the same everywhere */
        char name[CHECK_NAME_BYTES];
        snprintf(name, sizeof name, "clang %s", levels[i].name);
        check_tool *tool = add_tool(tools, name, ".cpu");
        need_program(tool, "clang");
        ADD_WORDS(tool, "clang", target, "-ffreestanding", "-fsyntax-only");
        add_words(tool, c_flags, FND_COUNT(c_flags));
        add_words(tool, levels[i].flags, FND_COUNT(levels[i].flags));
    }
}

static void add_cuda(check_tools *tools) {
    static char archs[4][16];
    char why_not[160];
    if (check_nvrtc_open(why_not)) {
        size_t count = check_nvrtc_archs(archs);
        for (size_t i = 0; i < count; i++) {
            char name[CHECK_NAME_BYTES];
            snprintf(name, sizeof name, "nvrtc sm_%s", archs[i]);
            add_tool(tools, name, ".cuda")->arch = archs[i];
        }
        add_tool(tools, "nvrtc decode", CHECK_DECODE)->arch = archs[0]; /* each text names its own */
        return;
    }
    static const char *const places[] = { "nvcc", "/usr/local/cuda/bin/nvcc" };
    for (size_t i = 0; i < FND_COUNT(places); i++) {
        char path[FND_PROCESS_PATH_BYTES];
        if (!fnd_process_find(places[i], path)) continue;
        check_tool *tool = add_tool(tools, "nvcc sm_90a", ".cuda");
        ADD_WORDS(tool, places[i], "-x", "cu", "-std=c++17", "-arch=sm_90a", "-diag-suppress", "177", "-ptx", "-o", "/dev/null");
        return;
    }
    snprintf(add_tool(tools, "cuda", ".cuda")->missing, 160, "neither NVRTC (%.80s) nor nvcc is here", why_not);
}

void check_tools_find(check_tools *out) {
    out->count = 0;
    add_c(out, "gcc");
    add_c(out, "clang");
    add_foreign(out, FND_CPU_ARCH_ARM64, "--target=aarch64-linux-gnu");
    add_foreign(out, FND_CPU_ARCH_X86_64, "--target=x86_64-linux-gnu");
    add_cuda(out);
    check_tool *metal = add_tool(out, "metal, strictly", ".metal");
    need_program(metal, "clang");
    if (!metal->missing[0]) need_program(metal, "python3");
}

static bool run(const char *const *argv, fnd_text *said) {
    int exit_code = 0;
    fnd_error err = { 0 };
    if (fnd_process_run(argv, NULL, 0, said, &exit_code, &err) != FND_OK) {
        fnd_text_printf(said, "%s\n", err.text);
        return false;
    }
    return exit_code == 0;
}

/* Metal 3 is C++14, and OpenCL C++ is C++17: what came with that is told as an error.
 * Both are run, so that a planted violation is found by whichever knows the rule. OpenCL C++ has
 * Metal's address spaces; the generic one is only there because clang copies structs through it, and
 * a pointer that names no space is what the second check finds. */
bool check_metal(const char *path, fnd_text *said) {
#define METAL_MODE "clang", "-x", "cl", "-cl-std=clc++2021", "-cl-no-stdinc", "-Xclang", "-cl-ext=-all,+cl_khr_fp16,+__opencl_c_generic_address_space", \
                   "-target", "spir64", "-D__METAL_VERSION__=300", "-Itests/metal"
    char expanded[CHECK_PATH_BYTES + 16];
    snprintf(expanded, sizeof expanded, "%s.expanded", path);
    const char *const clang[] = { METAL_MODE, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic-errors", "-Wpre-c++17-compat", "-Wno-unused-function", "-Wno-unknown-attributes", path, NULL };
    const char *const expand[] = { METAL_MODE, "-E", "-o", expanded, path, NULL };
    const char *const dialect[] = { "python3", "scripts/check-kernels.py", path, "--expanded", expanded, NULL };
    bool types = run(clang, said), whole = run(expand, said);
    return run(dialect, said) && types && whole;
}

bool check_tool_run(const check_tool *tool, const check_text *text, fnd_text *said) {
    if (tool->arch) return check_nvrtc_compile(text, text->arch[0] ? text->arch : tool->arch, said);
    if (!tool->argv[0]) return check_metal(text->path, said);
    const char *argv[CHECK_MAX_WORDS + 2] = { NULL };
    size_t count = 0;
    for (; tool->argv[count]; count++) argv[count] = tool->argv[count];
    if (strcmp(argv[0], "gcc") == 0) argv[count++] = text->thorough ? "-O2" : CHECK_EACH_ONCE;
    argv[count] = text->path;
    return run(argv, said);
}
