/* vector_headers.c - see vector_headers.h. */
#include "vector_headers.h"
#include "backend/cpu/cpu.h"
#include "base/base.h"
#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__AARCH64EL__)
#define HEADER "arm_neon.h"
#else
#define HEADER "immintrin.h"
#endif
#define FOLDER  "build/vector-headers"
#define CHOICES FOLDER "/" HEADER ".gch" /* gcc tries every file of such a folder */

enum { MOST_WORDS = 40,
       COMPILER_SECONDS = 60 };

static bool all_there;

static bool precompile(const fnd_cpu_compiler *compiler, const fnd_cpu_level *level) {
    static const char text[] = "#include <" HEADER ">\n#define FND_TEST_PRECOMPILED\n";
    char target[256], path[320], beside[320], header[328];
    fnd_cpu_target_print(compiler, level, target, sizeof target);
    target[strcspn(target, " ")] = '\0'; /* the hash of all that decides */
    snprintf(path, sizeof path, CHOICES "/%s", target);
    if (access(path, R_OK) == 0) return true;
    snprintf(beside, sizeof beside, FOLDER "/%s.%ld", target, (long)getpid());
    snprintf(header, sizeof header, "%s.h", beside);

#define WORD_(flag) flag,
    const char *argv[MOST_WORDS] = { compiler->path, "-O3", FND_CPU_FLAGS(WORD_) }; /* serves -O1 too; what -O1 made ends gcc 12 at -O3 */
#undef WORD_
    size_t count = 0;
    while (argv[count]) count++;
    for (size_t i = 0; i < FND_COUNT(level->flags) && level->flags[i]; i++) argv[count++] = level->flags[i];
    if (FND_CPU_ARCH_HERE == FND_CPU_ARCH_X86_64) argv[count++] = "-mtune=native";
    const char *const rest[] = { "-x", "c-header", header, "-o", beside };
    for (size_t i = 0; i < FND_COUNT(rest); i++) argv[count++] = rest[i];
    int exit_code = 1;
    fnd_error err = { 0 };
    bool made = fnd_file_write(header, text, sizeof text - 1, &err) == FND_OK && fnd_process_run(argv, NULL, COMPILER_SECONDS, NULL, &exit_code, &err) == FND_OK && exit_code == 0 && rename(beside, path) == 0;
    if (!made) unlink(beside);
    unlink(header);
    return made;
}

static void tell_compilers(void) {
    char folder[PATH_MAX], places[2 * PATH_MAX];
    const char *others = getenv("C_INCLUDE_PATH");
    if (!realpath(FOLDER, folder)) return;
    snprintf(places, sizeof places, "%s%s%s", folder, others && others[0] ? ":" : "", others ? others : "");
    setenv("C_INCLUDE_PATH", places, 1);
}

void fnd_test_precompile_headers(void) {
    fnd_cpu_compiler compiler;
    fnd_error err = { 0 };
    fnd_cpu_compiler_find(NULL, COMPILER_SECONDS, &compiler);
    if (!compiler.path[0] || strstr(compiler.identity, "clang") || fnd_make_dirs(CHOICES, &err) != FND_OK) return;
    static const char next[] = "#include_next <" HEADER ">\n"; /* where nothing fits: the second time in a text, other flags */
    if (access(FOLDER "/" HEADER, R_OK) != 0 && fnd_file_write(FOLDER "/" HEADER, next, sizeof next - 1, &err) != FND_OK) return;
    size_t count;
    const fnd_cpu_level *levels = fnd_cpu_levels(&count);
    all_there = true;
    for (size_t i = 0; i < count; i++) {
        if (levels[i].vec && fnd_cpu_may_use(levels[i].needs)) all_there = precompile(&compiler, &levels[i]) && all_there;
    }
    tell_compilers();
}

bool fnd_test_headers_are_precompiled(void) { return all_there; }
