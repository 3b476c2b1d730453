/* cpu_build.c - text to a shared library, by the system's C compiler. */
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "foundry/context.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MAX_WORDS = 40,
    LIBRARY_LIMIT_BYTES = 256 << 20,
    COMPLAINT_BYTES = 800,
    ANSWER_SECONDS = 20, /* to say which version it is */
};

#define FLAG_(flag) flag,
static const char *const common_flags[] = { "-shared", FND_CPU_FLAGS(FLAG_) };
#undef FLAG_

/* ---- the compiler ---------------------------------------------------------------------------- */
/* Asking a compiler costs some milliseconds, so each is asked once in a process. */
static struct {
    pthread_mutex_t lock;
    fnd_cpu_compiler known[4];
    size_t count;
} asked = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void ask_compiler(fnd_cpu_compiler *compiler) {
    const char *argv[] = { compiler->path, "--version", NULL };
    fnd_text answer = { 0 };
    fnd_error err = { 0 };
    int exit_code = 0;
    fnd_status status = fnd_process_run(argv, NULL, compiler->limit_seconds < ANSWER_SECONDS ? compiler->limit_seconds : ANSWER_SECONDS, &answer, &exit_code, &err);
    if (status == FND_ERR_LIMIT) {
        snprintf(compiler->why_not, sizeof compiler->why_not, "%.100s does not work: --version takes too long", compiler->path);
    } else if (status != FND_OK) {
        snprintf(compiler->why_not, sizeof compiler->why_not, "%.*s", (int)sizeof compiler->why_not - 1, err.text);
    } else if (exit_code != 0) {
        snprintf(compiler->why_not, sizeof compiler->why_not, "%.100s does not work: exit code %d", compiler->path, exit_code);
    } else {
        const char *line = fnd_text_get(&answer);
        snprintf(compiler->identity, sizeof compiler->identity, "%.*s", (int)fnd_min_size(strcspn(line, "\n"), sizeof compiler->identity - 1), line);
    }
    if (compiler->why_not[0]) compiler->path[0] = '\0';
    fnd_text_free(&answer);
}

static void ask_compiler_once(fnd_cpu_compiler *compiler) {
    pthread_mutex_lock(&asked.lock);
    for (size_t i = 0; i < asked.count; i++) {
        if (strcmp(asked.known[i].path, compiler->path) == 0) {
            memcpy(compiler->identity, asked.known[i].identity, sizeof compiler->identity);
            pthread_mutex_unlock(&asked.lock);
            return;
        }
    }
    ask_compiler(compiler);
    if (compiler->path[0] && asked.count < FND_COUNT(asked.known)) asked.known[asked.count++] = *compiler;
    pthread_mutex_unlock(&asked.lock);
}

void fnd_cpu_compiler_find(const char *name, uint32_t limit_seconds, fnd_cpu_compiler *out) {
    static const char *const usual[] = { "cc", "gcc", "clang" };
    *out = (fnd_cpu_compiler){ .limit_seconds = limit_seconds ? limit_seconds : FND_COMPILER_SECONDS };
    for (size_t i = 0; i < (name ? 1 : FND_COUNT(usual)); i++) {
        out->why_not[0] = '\0';
        if (!fnd_process_find(name ? name : usual[i], out->path)) continue;
        ask_compiler_once(out);
        if (out->path[0]) return;
    }
    if (out->why_not[0]) return;
    if (name) {
        snprintf(out->why_not, sizeof out->why_not, "there is no C compiler \"%.100s\"", name);
    } else {
        snprintf(out->why_not, sizeof out->why_not, "there is no C compiler: none of cc, gcc, clang is on the PATH");
    }
}

/* ---- flags ----------------------------------------------------------------------------------- */
typedef struct words {
    const char *at[MAX_WORDS];
    size_t count;
} words;

static void add_word(words *w, const char *word) {
    if (w->count < MAX_WORDS - 1) w->at[w->count++] = word;
}

/* Processors of one architecture differ little in what they like but on x86-64; elsewhere compilers of
 * today do not agree on how they are asked. */
static bool tunes(const fnd_cpu_level *level) { return FND_CPU_ARCH_HERE == FND_CPU_ARCH_X86_64 && level->needs; }

static void add_flags(words *w, const fnd_cpu_level *level, bool quick) {
    add_word(w, quick ? "-O1" : "-O3");
    for (size_t i = 0; i < FND_COUNT(common_flags); i++) add_word(w, common_flags[i]);
    for (size_t i = 0; i < FND_COUNT(level->flags) && level->flags[i]; i++) add_word(w, level->flags[i]);
    if (tunes(level)) add_word(w, "-mtune=native");
    if (level->vec == 0) add_word(w, "-DFND_GENERIC");
}

void fnd_cpu_target_print(const fnd_cpu_compiler *compiler, const fnd_cpu_level *level, char *text, size_t bytes) {
    const char *model = tunes(level) ? fnd_cpuinfo_get()->model : "any"; /* -mtune=native looks at it */
    words flags = { .count = 0 };
    add_flags(&flags, level, false);
    fnd_hash_piece pieces[MAX_WORDS + 3] = {
        { compiler->path, strlen(compiler->path) },
        { compiler->identity, strlen(compiler->identity) },
        { model, strlen(model) },
    };
    for (size_t i = 0; i < flags.count; i++) pieces[3 + i] = (fnd_hash_piece){ flags.at[i], strlen(flags.at[i]) };
    char hash[FND_HASH_TEXT_BYTES];
    fnd_hash_print(fnd_hash_pieces(pieces, 3 + flags.count), hash);
    /* The hash holds all of it, the words are for people and may be cut short. */
    snprintf(text, bytes, "%s %s %s %.*s", hash, level->name, model, 80, compiler->path[0] ? compiler->identity : "no compiler");
}

/* ---- building -------------------------------------------------------------------------------- */
/* The compiler's first error and what follows it, without the lines of context before. */
static const char *first_error(const char *complaint) {
    const char *at = strstr(complaint, "error:");
    if (!at) return complaint;
    while (at > complaint && at[-1] != '\n') at--;
    return at;
}

static fnd_status complain(const fnd_cpu *cpu, const fnd_build_desc *desc, const fnd_text *said, int exit_code, fnd_error *err) {
    const char *first = first_error(fnd_text_get(said));
    size_t bytes = fnd_min_size(strlen(first), COMPLAINT_BYTES);
    while (bytes && (first[bytes - 1] == '\n' || first[bytes - 1] == ' ')) bytes--;
    if (!bytes && exit_code > 128) return fnd_fail(err, FND_ERR_COMPILE, "%s: the compiler %s was ended by signal %d", desc->entry, cpu->compiler.path, exit_code - 128);
    if (!bytes) return fnd_fail(err, FND_ERR_COMPILE, "%s: the compiler %s failed with exit code %d and said nothing", desc->entry, cpu->compiler.path, exit_code);
    return fnd_fail(err, FND_ERR_COMPILE, "%s did not compile: %.*s", desc->entry, (int)bytes, first);
}

static fnd_status compile(const fnd_cpu *cpu, const fnd_build_desc *desc, const char *library, fnd_error *err) {
    words command = { .count = 0 };
    add_word(&command, cpu->compiler.path);
    add_flags(&command, cpu->level, desc->quick);
    add_word(&command, "-o");
    add_word(&command, library);
    add_word(&command, "-x");
    add_word(&command, "c");
    add_word(&command, "-");
    add_word(&command, "-lm");
    fnd_text said = { 0 };
    int exit_code = 0;
    fnd_error why = { 0 };
    fnd_status status = fnd_process_run_until(command.at, desc->text, &(fnd_process_until){ cpu->compiler.limit_seconds, desc->stop }, &said, &exit_code, &why);
    if (status == FND_ERR_LIMIT)
        fnd_fail(err, status, "%s: the compiler %s did not end within %u seconds", desc->entry, cpu->compiler.path, cpu->compiler.limit_seconds);
    else if (status != FND_OK)
        fnd_fail(err, status, "%s did not compile: %s", desc->entry, why.text);
    else if (exit_code != 0)
        status = complain(cpu, desc, &said, exit_code, err);
    else if (access(library, R_OK) != 0)
        status = fnd_fail(err, FND_ERR_COMPILE, "%s: %s wrote no library, so it is no C compiler that works", desc->entry, cpu->compiler.path);
    fnd_text_free(&said);
    return status;
}

fnd_status fnd_cpu_build(void *self, const fnd_build_desc *desc, fnd_blob *out, fnd_error *err) {
    const fnd_cpu *cpu = self;
    *out = (fnd_blob){ 0 };
    if (!cpu->compiler.path[0]) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s cannot be compiled: %s", desc->entry, cpu->compiler.why_not);
    if (desc->warps > 1) return fnd_fail(err, FND_ERR_USAGE, "%s wants groups of %u warps; here a group is one worker, 1 warp of 1 lane", desc->entry, desc->warps);
    char dir[FND_PROCESS_PATH_BYTES], library[FND_PROCESS_PATH_BYTES + 16];
    FND_TRY(fnd_process_temp_dir(dir, err));
    snprintf(library, sizeof library, "%s/kernel.so", dir);
    fnd_status status = compile(cpu, desc, library, err);
    char *data = NULL;
    if (status == FND_OK) status = fnd_file_read(library, LIBRARY_LIMIT_BYTES, &data, &out->bytes, err);
    out->data = data;
    fnd_process_remove_dir(dir);
    return status;
}
