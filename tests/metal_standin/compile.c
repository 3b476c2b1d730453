/* compile.c - Metal text to machine code of this processor, by clang, and into this process.
 *
 * STANDIN_SOURCE is this folder, STANDIN_GLUE glue.c compiled, and STANDIN_CACHE the folder where what was
 * compiled is kept for all builds, by a hash of text, flags and these files; all are the Makefile's. */
#include "standin.h"

#include "backend/sim/state.h"
#include "base/base.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECONDS = 120,
       MAX_ARGUMENTS = 64,
       MAX_LIBRARY_BYTES = 64 << 20,
       PATH_BYTES = 1200 };

static const char *const language[] = {
    "-cl-std=clc++2021", "-cl-no-stdinc", "-Xclang", "-cl-ext=-all,+__opencl_c_generic_address_space,+cl_khr_fp16",
    "-Ddevice=__global", "-Dthreadgroup=__local", "-Dconstant=__constant", "-Dthread=__private", "-Dkernel=__kernel",
    "-D__METAL_VERSION__=300", ("-I" STANDIN_SOURCE), "-Wno-unknown-attributes", "-Wno-everything"
};
static const char *const code_flags[] = {
    "-fPIC",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-strict-aliasing",
    "-Werror=frame-larger-than=98304",
#ifdef __x86_64__
    "-mf16c",
#endif
};
/* Every access to memory is told to the simulator; or the text is run as it is, for models that are too large
 * for that. Sums and products are the same in both. With checks a text is run for less time than its compiling
 * takes: of that, what makes code only a little quicker is left out. */
static const char *const checking_flags[] = {
    "-O1",
    "-mllvm",
    "-disable-lsr",
    "-mllvm",
    "-fast-isel",
    "-mllvm",
    "-regalloc=basic",
    "-fno-vectorize",
    "-fno-slp-vectorize",
    "-fsanitize=thread,bounds,integer-divide-by-zero",
    "-fno-sanitize-recover=all",
    "-mllvm",
    "-tsan-instrument-func-entry-exit=0",
    "-mllvm",
    "-tsan-instrument-read-before-write=1",
};
static const char *const fast_flags[] = { "-O2" };

typedef struct arguments {
    const char *list[MAX_ARGUMENTS];
    size_t count;
} arguments;

static void add(arguments *a, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++) a->list[a->count++] = words[i];
}

static bool run(const arguments *a, const char *input, char *says, size_t bytes) {
    fnd_text said = { 0 };
    fnd_error err = { 0 };
    int exit_code = 0;
    fnd_status status = fnd_process_run(a->list, input, SECONDS, &said, &exit_code, &err);
    if (status != FND_OK)
        snprintf(says, bytes, "program_source:1:1: error: %s\n", err.text);
    else if (exit_code != 0)
        snprintf(says, bytes, "%.*s", (int)(bytes - 1), fnd_text_get(&said));
    fnd_text_free(&said);
    return status == FND_OK && exit_code == 0;
}

/* ---- the cache ---- */

static void cache_path(const char *text, bool checks, char *path, size_t bytes) {
    static fnd_hash128 files;
    static const char *const names[] = { STANDIN_SOURCE "/metal_stdlib", STANDIN_SOURCE "/text.c", STANDIN_GLUE };
    char digits[FND_HASH_TEXT_BYTES];
    standin_lock();
    for (size_t i = 0; i < FND_COUNT(names) && !files.low; i++) {
        fnd_hasher *h = fnd_hasher_open();
        for (size_t k = 0; k < FND_COUNT(names); k++) {
            char *data;
            size_t count;
            if (fnd_file_read(names[k], 1 << 20, &data, &count, NULL) != FND_OK) continue;
            fnd_hasher_add(h, data, count);
            fnd_free_memory(data);
        }
        for (size_t k = 0; k < FND_COUNT(language); k++) fnd_hasher_add(h, language[k], strlen(language[k]));
        for (size_t k = 0; k < FND_COUNT(code_flags); k++) fnd_hasher_add(h, code_flags[k], strlen(code_flags[k]));
        for (size_t k = 0; k < FND_COUNT(checking_flags); k++) fnd_hasher_add(h, checking_flags[k], strlen(checking_flags[k]));
        for (size_t k = 0; k < FND_COUNT(fast_flags); k++) fnd_hasher_add(h, fast_flags[k], strlen(fast_flags[k]));
        files = fnd_hasher_get(h);
        fnd_hasher_close(h);
    }
    standin_unlock();
    fnd_hash_piece pieces[] = { { &files, sizeof files }, { checks ? "c" : "f", 1 }, { text, strlen(text) } };
    fnd_hash_print(fnd_hash_pieces(pieces, FND_COUNT(pieces)), digits);
    (void)mkdir(STANDIN_CACHE, 0777);
    snprintf(path, bytes, STANDIN_CACHE "/%s.so", digits);
}

/* ---- compiling ---- */

static bool preprocess(const char *clang, const char *text, bool checks, const char *to, char **out, char *says, size_t bytes) {
    arguments a = { .count = 0 };
    size_t count;
    add(&a, &clang, 1);
    const char *const first[] = { "-E", "-x", "cl", checks ? "-DSTANDIN_CHECKS" : "-DSTANDIN_FAST" }, *const last[] = { "-o", to, "-" };
    add(&a, first, FND_COUNT(first));
    add(&a, language, FND_COUNT(language));
    add(&a, last, FND_COUNT(last));
    if (!run(&a, text, says, bytes)) return false;
    return fnd_file_read(to, MAX_LIBRARY_BYTES, out, &count, NULL) == FND_OK;
}

static bool compile_in(const char *dir, const char *text, bool checks, const char *library, char *says, size_t bytes) {
    char clang[FND_PROCESS_PATH_BYTES], ld[FND_PROCESS_PATH_BYTES], preprocessed[PATH_BYTES], code[PATH_BYTES], made[PATH_BYTES], *plain = NULL, *cl = NULL, *entry = NULL;
    if (!fnd_process_find("clang", clang) || !fnd_process_find("ld", ld)) {
        snprintf(says, bytes, "program_source:1:1: error: the stand-in needs clang and ld\n");
        return false;
    }
    snprintf(preprocessed, sizeof preprocessed, "%s/text.i", dir);
    snprintf(code, sizeof code, "%s/text.o", dir);
    snprintf(made, sizeof made, "%s.%ld.%p", library, (long)getpid(), (void *)&entry);
    bool good = preprocess(clang, text, checks, preprocessed, &plain, says, bytes);
    if (good && checks) standin_roll_loops(plain);
    good = good && standin_rewrite(plain, &cl, &entry, says, bytes);
    if (good) {
        /* The linker is called as it is: through clang it would cost a third process. */
        arguments a = { .count = 0 }, link = { .count = 0 };
        const char *const compiler[] = { clang }, *const inputs[] = { "-c", "-o", code, "-x", "cl", "-" };
        const char *const linker[] = { ld, "-shared", "-z", "defs", "-o", made, code, STANDIN_GLUE, "-lm", "-lc" };
        add(&a, compiler, 1);
        add(&a, language, FND_COUNT(language));
        add(&a, code_flags, FND_COUNT(code_flags));
        if (checks)
            add(&a, checking_flags, FND_COUNT(checking_flags));
        else
            add(&a, fast_flags, FND_COUNT(fast_flags));
        add(&a, inputs, FND_COUNT(inputs));
        add(&link, linker, FND_COUNT(linker));
        good = run(&a, cl, says, bytes) && run(&link, NULL, says, bytes) && rename(made, library) == 0;
    }
    fnd_free_memory(plain);
    free(cl);
    free(entry);
    return good;
}

/* The compiled library of a text; compiled now if it is not there. */
static bool library_of(const char *text, char *path, size_t path_bytes, char *says, size_t bytes) {
    char dir[FND_PROCESS_PATH_BYTES];
    fnd_error err = { 0 };
    bool checks = standin_set.checks;
    cache_path(text, checks, path, path_bytes);
    if (access(path, R_OK) == 0) return true;
    if (fnd_process_temp_dir(dir, &err) != FND_OK) {
        snprintf(says, bytes, "program_source:1:1: error: %s\n", err.text);
        return false;
    }
    bool good = compile_in(dir, text, checks, path, says, bytes);
    fnd_process_remove_dir(dir);
    return good;
}

static fnd_sim_code *load(const char *path, const char **parameters, char *says, size_t bytes) {
    char *data;
    size_t count;
    void *code = NULL;
    fnd_error err = { 0 };
    if (fnd_file_read(path, MAX_LIBRARY_BYTES, &data, &count, &err) != FND_OK || fnd_sim_load(standin_sim(), "standin_entry", data, count, &code, &err) != FND_OK) {
        snprintf(says, bytes, "program_source:1:1: error: %s\n", err.text);
        return NULL;
    }
    fnd_free_memory(data);
    *parameters = fnd_dynlib_find(((fnd_sim_code *)code)->library, "standin_parameters");
    return code;
}

bool standin_compile(const char *text, char **entry, char *says, size_t bytes) {
    char path[PATH_BYTES];
    const char *parameters;
    if (!library_of(text, path, sizeof path, says, bytes)) return false;
    fnd_sim_code *code = load(path, &parameters, says, bytes);
    if (!code) return false;
    *entry = strndup(parameters, strcspn(parameters, ";"));
    fnd_sim_unload(standin_sim(), code);
    return true;
}

bool standin_load(const char *text, pipeline_object *p, char *says, size_t bytes) {
    char path[PATH_BYTES];
    const char *at;
    if (!library_of(text, path, sizeof path, says, bytes)) return false;
    fnd_sim_code *code = load(path, &at, says, bytes);
    if (!code) return false;
    p->code = code;
    unsigned (*group_bytes)(void) = (unsigned (*)(void))(uintptr_t)fnd_dynlib_find(code->library, "standin_group_bytes");
    p->group_bytes = group_bytes();
    snprintf(p->name, sizeof p->name, "%.*s", (int)strcspn(at, ";"), at);
    while (*(at += strcspn(at, ";")) == ';') {
        parameter *x = &p->parameters[p->parameter_count];
        int is_constant, is_const;
        if (p->parameter_count == MAX_BUFFERS || sscanf(++at, "%95[^ ] %u %u %d %d", x->name, &x->index, &x->alignment, &is_constant, &is_const) != 5) abort();
        x->is_buffer = true;
        x->is_constant = is_constant;
        x->is_const = is_const;
        p->parameter_count++;
    }
    return true;
}

void standin_unload(pipeline_object *p) {
    if (p->code) fnd_sim_unload(standin_sim(), p->code);
    p->code = NULL;
}
