/* cuda_standin.c - where the stand-in for NVIDIA's driver is, and its words. */
#include "cuda_standin.h"
#include "base/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char old_path[4096], library[2048 + 16];

const char *stand_in_path(void) {
    char folder[2048];
    fnd_system_program_path(folder, sizeof folder - 32);
    char *slash = strrchr(folder, '/');
    snprintf(slash ? slash + 1 : folder, 32, "cuda_standin");
    snprintf(library, sizeof library, "%s/libcuda.so.1", folder);
    return access(library, R_OK) == 0 ? library : NULL;
}

bool stand_in(const char *words) {
    char path[4096];
    const char *old = getenv("LD_LIBRARY_PATH"), *there = stand_in_path();
    if (!there) return false;
    snprintf(old_path, sizeof old_path, "%s", old ? old : "");
    snprintf(path, sizeof path, "%.*s:%.1900s", (int)(strrchr(there, '/') - there), there, old_path);
    setenv("LD_LIBRARY_PATH", path, 1);
    setenv("CUDA_STANDIN", words, 1);
    return true;
}
void stand_out(void) {
    setenv("LD_LIBRARY_PATH", old_path, 1);
    unsetenv("CUDA_STANDIN");
}
