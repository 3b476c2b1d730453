/* metal_standin.c - finding the stand-in, and what it says after every test. */
#include "metal_standin.h"
#include "base/dynlib.h"
#include "base/process.h"
#include "base/system.h"
#include "test.h"

#include <unistd.h>

static fnd_dynlib *library;

const char *fnd_test_metal_library(void) {
    static char path[2048];
    fnd_error err = { 0 };
    if (!path[0]) {
        fnd_system_program_path(path, sizeof path - 32);
        char *slash = strrchr(path, '/');
        snprintf(slash ? slash + 1 : path, 32, "libmetal_standin.so");
    }
    if (!library && (access(path, R_OK) != 0 || fnd_dynlib_open(path, &library, &err) != FND_OK)) return NULL;
    return path;
}

const char *fnd_test_metal_missing(void) {
    char path[FND_PROCESS_PATH_BYTES];
    if (!fnd_test_metal_library()) return "there is no stand-in for Metal on this system";
    if (!fnd_process_find("clang", path)) return "the stand-in for Metal compiles with clang, which is not here; scripts/setup.sh --checks installs it";
    return NULL;
}

long standin(const char *request, char *out, size_t bytes) {
    char ignored[16];
    long (*control)(const char *, char *, size_t) = NULL;
    if (!fnd_test_metal_library()) return -1;
    void *address = fnd_dynlib_find(library, "standin_control");
    memcpy(&control, &address, sizeof control);
    return control ? control(request, out ? out : ignored, out ? bytes : sizeof ignored) : -1;
}

void standin_set(const char *name, long value) {
    char request[96];
    snprintf(request, sizeof request, "set %s %ld", name, value);
    CHECK_MSG(standin(request, NULL, 0) == 0, "the stand-in has no setting %s", name);
}

void standin_reset(void) { (void)standin("reset", NULL, 0); }

void fnd_test_metal_leaks(void) {
    char names[600];
    if (!library) return;
    long live = standin("live", names, sizeof names);
    CHECK_MSG(live == 0, "%ld objects of Metal are alive behind the test: %s", live, names);
}
