/* kernel_texts.c - see kernel_texts.h. */
#include "kernel_texts.h"
#include "base/cpuinfo.h"
#include "base/file.h"
#include "base/hash.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define FOLDER  "build/test-cache"
#define COMPILE "cc -O3 -w -fPIC -shared -Isrc/kernels -Itests"

enum { MOST_MACHINES = 4 };
typedef struct machine {
    const char *name;
    char flags[256], path[128];
    bool there;
} machine;

/* ---- compiling ------------------------------------------------------------------------------- */

/* Where its library is kept: all texts take part, and all macros, among which are the compiler's version. */
static bool name_library(machine *m) {
    char command[640], block[1 << 15], hash[FND_HASH_TEXT_BYTES];
    size_t bytes;
    snprintf(command, sizeof command, COMPILE " %s", m->flags);
    fnd_hasher *h = fnd_hasher_open();
    if (!h) abort();
    fnd_hasher_add(h, command, strlen(command));
    snprintf(command, sizeof command, COMPILE " %s -E -dD tests/kernel_texts/glue.c", m->flags);
    FILE *text = popen(command, "r");
    while (text && (bytes = fread(block, 1, sizeof block, text)) > 0) fnd_hasher_add(h, block, bytes);
    fnd_hash_print(fnd_hasher_get(h), hash);
    fnd_hasher_close(h);
    snprintf(m->path, sizeof m->path, FOLDER "/kernel-texts-%s.so", hash);
    return text && pclose(text) == 0;
}

/* One process compiles it; the others may wait, or see first to another machine. */
static void compile(machine *m, bool wait) {
    char lock[160], beside[160], command[1024];
    m->there = access(m->path, R_OK) == 0;
    if (m->there) return;
    snprintf(lock, sizeof lock, "%s.lock", m->path);
    int held = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (held < 0) return;
    if (flock(held, LOCK_EX | (wait ? 0 : LOCK_NB)) == 0) {
        snprintf(beside, sizeof beside, "%s.%ld", m->path, (long)getpid());
        snprintf(command, sizeof command, COMPILE " %s tests/kernel_texts/glue.c -o %s", m->flags, beside);
        m->there = access(m->path, R_OK) == 0 || (system(command) == 0 && rename(beside, m->path) == 0);
        unlink(lock);
    }
    close(held);
}

static bool load(const machine *m, texts *t) {
    void *library = m->there ? dlopen(m->path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) return false;
    t->machine = m->name;
    t->codes = !strstr(m->flags, "GENERIC");
    t->panels = strstr(m->flags, "-mamx-bf16") != NULL;
    /* SAFETY: POSIX gives functions as void *; a union-free copy of the bits is its documented use. */
#define LOOK_UP(name, signature) \
    void *name##_found = dlsym(library, #name); \
    if (!name##_found) return false; \
    memcpy(&t->name, &name##_found, sizeof name##_found);
    KT_CALLS(LOOK_UP)
    return true;
}

/* ---- which ----------------------------------------------------------------------------------- */

static void add(machine *list, size_t *count, const char *name, const char *flags) {
    machine *m = &list[*count];
    *m = (machine){ .name = name };
    snprintf(m->flags, sizeof m->flags, "%s", flags);
    *count += name_library(m);
}

#if !defined(__AARCH64EL__)
static void add_level(machine *list, size_t *count, const fnd_cpu_level *level) {
    char flags[256] = "";
    for (size_t i = 0; level->flags[i]; i++) snprintf(flags + strlen(flags), sizeof flags - strlen(flags), "%s ", level->flags[i]);
    add(list, count, level->name, flags);
}
#endif

static size_t find_machines(machine list[MOST_MACHINES]) {
    size_t count = 0;
    const fnd_cpu_level *best = fnd_cpu_level_best();
#if defined(__AARCH64EL__)
    /* portable texts: test_kernels.c, and other processors */
    add(list, &count, "neon", "");
    if (best->flags[0]) add(list, &count, best->name, best->flags[0]);
#else
    const fnd_cpu_level *amx;
    add(list, &count, "generic", "-DFND_GENERIC");
    if (best->vec) add_level(list, &count, best);
    if (fnd_cpu_level_find("amx_bf16", &amx, NULL) == FND_OK) add_level(list, &count, amx);
#endif
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) add(list, &count, "avx2", "-mavx2 -mfma -mf16c");
#endif
    return count;
}

size_t kernel_texts_machines(const texts **all) {
    static texts loaded[MOST_MACHINES];
    static size_t count;
    fnd_error err;
    *all = loaded;
    if (count || access("tests/kernel_texts/glue.c", R_OK) != 0) return count;
    machine list[MOST_MACHINES];
    size_t found = find_machines(list);
    CHECK_OK(fnd_make_dirs(FOLDER, &err), &err);
    for (int wait = 0; wait < 2; wait++) {
        for (size_t i = 0; i < found; i++) compile(&list[i], wait);
    }
    for (size_t i = 0; i < found; i++) count += load(&list[i], &loaded[count]);
    CHECK_MSG(count == found && count >= 2, "of %zu machines %zu could be compiled and loaded", found, count);
    return count;
}
