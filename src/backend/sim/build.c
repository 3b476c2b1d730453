/* build.c - text to library by the system compiler, and the library into this process.
 *
 * SAFETY: what is loaded was compiled from device text by fnd_sim_build, or comes from a checksummed
 * cache of such. Three of its symbols are used, each as the type that kernels/dialect/sim.h declares:
 * the entry point, the table "fnd_sim", which is filled before anything is called, and
 * "fnd_sim_warps". All die with the library in fnd_sim_unload. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dl_iterate_phdr */
#endif
#include "backend/sim/state.h"
#include "base/base.h"
#include "base/file.h"
#include "base/memory.h"
#include "foundry/context.h"

#include <stdio.h>
#if defined(__linux__)
#include <link.h>
#endif

enum { MAX_LIBRARY_BYTES = 256 << 20,
       SHOWN_ERRORS = 3,
       ANSWER_SECONDS = 20 /* to say which version it is */ };

void fnd_sim_find_compiler(fnd_sim *sim, const fnd_backend_desc *desc, fnd_device_info *info) {
    static const char *const names[] = { "cc", "gcc", "clang" };
    bool found = false;
    sim->compiler_seconds = desc && desc->compiler_seconds ? desc->compiler_seconds : FND_COMPILER_SECONDS;
    if (desc && desc->compiler) {
        found = fnd_process_find(desc->compiler, sim->compiler);
    } else {
        for (size_t i = 0; i < FND_COUNT(names) && !found; i++) found = fnd_process_find(names[i], sim->compiler);
    }
    snprintf(info->target, sizeof info->target, "sim");
    if (!found) {
        if (desc && desc->compiler)
            snprintf(info->why_not_build, sizeof info->why_not_build, "there is no C compiler %.100s", desc->compiler);
        else
            snprintf(info->why_not_build, sizeof info->why_not_build, "there is no C compiler (cc, gcc or clang) on the PATH");
        return;
    }
    fnd_text version = { 0 };
    int exit_code;
    fnd_error error = { 0 };
    const char *const argv[] = { sim->compiler, "--version", NULL };
    uint32_t seconds = sim->compiler_seconds < ANSWER_SECONDS ? sim->compiler_seconds : ANSWER_SECONDS;
    if (fnd_process_run(argv, NULL, seconds, &version, &exit_code, &error) != FND_OK || exit_code != 0) {
        snprintf(info->why_not_build, sizeof info->why_not_build, "the C compiler %.100s does not %s", sim->compiler, error.status == FND_ERR_LIMIT ? "answer in time" : "run");
        sim->compiler[0] = '\0';
    } else {
        const char *line = fnd_text_get(&version);
        sim->clang = strstr(line, "clang") != NULL;
        snprintf(info->target, sizeof info->target, "sim %.*s", (int)fnd_min_size(strcspn(line, "\n"), 150), line);
        info->can_build = true;
    }
    fnd_text_free(&version);
}

/* The first errors of a compiler's output, and what it notes about them, on one line. */
static fnd_status compile_failed(const fnd_build_desc *desc, const char *output, fnd_error *err) {
    fnd_text errors = { 0 };
    int shown = 0;
    for (const char *line = output; *line && shown < SHOWN_ERRORS;) {
        size_t bytes = strcspn(line, "\n");
        const char *at = strstr(line, "error:");
        const char *undefined = strstr(line, "undefined reference");
        if (!at || (undefined && undefined < at)) at = undefined;
        const char *note = shown ? strstr(line, "note:") : NULL;
        if (!at || (note && note < at)) at = note;
        if (at && at < line + bytes && bytes < 400) fnd_text_printf(&errors, "%s%.*s", shown++ ? "; " : "", (int)bytes, line);
        line += bytes + (line[bytes] == '\n');
    }
    if (!shown) fnd_text_add(&errors, output, fnd_min_size(strcspn(output, "\n"), 400)); /* a compiler in another language */
    fnd_status status = fnd_fail(err, FND_ERR_COMPILE, "%s: %s", desc->entry, *fnd_text_get(&errors) ? fnd_text_get(&errors) : "the compiler failed and said nothing");
    fnd_text_free(&errors);
    return status;
}

enum { MAX_ARGUMENTS = 40 };

typedef struct command {
    const char *argv[MAX_ARGUMENTS];
    size_t count;
} command;

static void add(command *c, const char *const *arguments, size_t count) {
    for (size_t i = 0; i < count; i++) c->argv[c->count++] = arguments[i];
    c->argv[c->count] = NULL;
}

/* Instrumented, but linked without a sanitizer's library: -nostdlib keeps it out. What the
 * instrumentation calls is in the text. A frame larger than a fiber's stack is a compiler's error. */
static void compile_command(command *c, const fnd_sim *sim, const char *warps, const char *library) {
    static const char *const common[] = {
        "-std=gnu11", "-O1", "-fPIC", "-shared", "-nostdlib", "-DFND_SIM", "-Wno-unknown-pragmas",
        "-fsanitize=thread,bounds,integer-divide-by-zero", "-fno-sanitize-recover=all",
        "-fno-math-errno", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-vectorize", "-fno-slp-vectorize",
        "-Werror=frame-larger-than=98304"
    };
    /* Without these, clang does not report a read that a write of the same place follows. */
    static const char *const clang_only[] = { "-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm", "-tsan-instrument-read-before-write=1" };
    _Static_assert(FND_FIBER_FRAME_BYTES == 98304, "the limit above is the stack's");
    add(c, &(const char *){ sim->compiler }, 1);
    for (size_t i = 0; i < FND_COUNT(common); i++) {
        if (sim->clang || !strstr(common[i], "-vectorize")) add(c, &common[i], 1);
    }
    if (sim->clang) add(c, clang_only, FND_COUNT(clang_only));
    const char *const rest[] = { warps, "-o", library, "-x", "c", "-", "-lm", "-lc" };
    add(c, rest, FND_COUNT(rest));
#if defined(__linux__)
    add(c, &(const char *){ "-Wl,-z,defs" }, 1); /* an unknown symbol is an error now, not when loading */
#endif
}

static fnd_status compile(const fnd_sim *sim, const fnd_build_desc *desc, const char *dir, fnd_blob *out, fnd_error *err) {
    char library[FND_PROCESS_PATH_BYTES + 16], warps[32], *data;
    snprintf(library, sizeof library, "%s/text.so", dir);
    snprintf(warps, sizeof warps, "-DFND_WARPS=%u", desc->warps);
    command c = { .count = 0 };
    compile_command(&c, sim, warps, library);
    fnd_text text = { 0 }, output = { 0 };
    int exit_code = 0;
    fnd_text_printf(&text, "#line 1 \"%s\"\n%s", desc->entry, desc->text);
    fnd_status status = fnd_text_check(&text, err);
    fnd_error why = { 0 };
    if (status == FND_OK && (status = fnd_process_run_until(c.argv, fnd_text_get(&text), &(fnd_process_until){ sim->compiler_seconds, desc->stop }, &output, &exit_code, &why)) != FND_OK) {
        fnd_fail(err, status, "%s did not compile: %s", desc->entry, why.text);
    }
    if (status == FND_OK && exit_code != 0) status = compile_failed(desc, fnd_text_get(&output), err);
    fnd_text_free(&text);
    fnd_text_free(&output);
    if (status == FND_OK) status = fnd_file_read(library, MAX_LIBRARY_BYTES, &data, &out->bytes, err);
    if (status == FND_OK) out->data = data;
    return status;
}

fnd_status fnd_sim_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err) {
    const fnd_sim *sim = self;
    char dir[FND_PROCESS_PATH_BYTES];
    *out = (fnd_blob){ 0 };
    if (!sim->compiler[0]) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s cannot be compiled: there is no C compiler here", desc->entry);
    if (desc->warps < 1 || desc->warps > FND_SIM_MAX_WARPS) {
        return fnd_fail(err, FND_ERR_USAGE, "%s: %u warps in a group; 1 to %d are possible", desc->entry, desc->warps, FND_SIM_MAX_WARPS);
    }
    FND_TRY(fnd_process_temp_dir(dir, err));
    fnd_status status = compile(sim, desc, dir, out, err);
    fnd_process_remove_dir(dir);
    return status;
}

#if defined(__linux__)
/* The library that holds code->entry: from its first to its last mapped byte. */
static int find_image(struct dl_phdr_info *info, size_t bytes, void *closure) {
    (void)bytes;
    fnd_sim_code *code = closure;
    uint64_t first = UINT64_MAX, last = 0, entry = (uint64_t)(uintptr_t)code->entry;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uint64_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = start + info->dlpi_phdr[i].p_memsz;
        if (start < first) first = start;
        if (end > last) last = end;
    }
    if (entry < first || entry >= last) return 0;
    code->image = first;
    code->image_bytes = last - first;
    return 1;
}
#endif

fnd_status fnd_sim_load(void *self, const char *entry, const void *blob, size_t bytes, void **code, fnd_error *err) {
    (void)self;
    *code = NULL;
    fnd_sim_code *c = fnd_alloc_zeroed(1, sizeof *c);
    if (!c) return fnd_fail(err, FND_ERR_MEMORY, "out of memory");
    fnd_status status = fnd_dynlib_from_bytes(entry, blob, bytes, &c->library, err);
    if (status != FND_OK) {
        fnd_free_memory(c);
        return status;
    }
    fnd_sim_table *table = fnd_dynlib_find(c->library, "fnd_sim");
    const uint32_t *warps = fnd_dynlib_find(c->library, "fnd_sim_warps");
    c->entry = (fnd_sim_entry *)(uintptr_t)fnd_dynlib_find(c->library, entry);
    if (!table || !warps || !c->entry) {
        fnd_sim_unload(self, c);
        return fnd_fail(err, FND_ERR_DEVICE, "%s: the library is not a compiled text with that entry point", entry);
    }
    *table = fnd_sim_run_table;
    c->warps = *warps;
#if defined(__linux__)
    dl_iterate_phdr(find_image, c);
#else
    c->image = (uint64_t)(uintptr_t)c->entry & ~(uint64_t)65535; /* near enough: its constants lie beside its code */
    c->image_bytes = fnd_round_up(bytes, 65536);
#endif
    *code = c;
    return FND_OK;
}

void fnd_sim_unload(void *self, void *code) {
    (void)self;
    fnd_sim_code *c = code;
    if (!c) return;
    fnd_dynlib_close(c->library);
    fnd_free_memory(c);
}
