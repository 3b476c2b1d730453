/* test_isa.c - all tests with other instructions: with FOUNDRY_TEST_ISA=generic (make test isa=generic) a
 * device that a test opens without saying which instructions it wants has those; so has the program that tests
 * run. A device of the metal backend is the stand-in's where there is one. Where a test says fnd_open, the Makefile has it call fnd_test_open. */
#include "base/base.h"
#include "foundry/context.h"
#include "metal_standin.h"
#include "test.h"

#include <stdlib.h>

#undef fnd_open
fnd_status fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err);

fnd_status fnd_test_open(const fnd_desc *desc, foundry **out, fnd_error *err) {
    const char *isa = getenv("FOUNDRY_TEST_ISA");
    fnd_desc d = desc ? *desc : (fnd_desc){ 0 };
    bool on_cpu = !d.backend || strcmp(d.backend, "cpu") == 0;
    if (d.backend && strcmp(d.backend, "metal") == 0 && !d.metal_library) {
        d.metal_library = fnd_test_metal_library();
        return fnd_open(&d, out, err);
    }
    if (!isa || !isa[0] || !on_cpu || d.isa) return fnd_open(desc, out, err);
    d.isa = isa;
    return fnd_open(&d, out, err);
}

TEST(isa_of_the_tests_can_be_chosen) {
    foundry *f;
    fnd_error err = { 0 };
    fnd_context_info info;
    const char *isa = getenv("FOUNDRY_TEST_ISA"), *kept = isa ? strdup(isa) : NULL;
    setenv("FOUNDRY_TEST_ISA", "generic", 1);
    CHECK_OK(fnd_test_open(NULL, &f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK_HAS(info.device, "generic");
    CHECK(info.tile_rows == 0);
    CHECK_OK(fnd_close(f, &err), &err);
    unsetenv("FOUNDRY_TEST_ISA");
    if (kept) setenv("FOUNDRY_TEST_ISA", kept, 1);
    free((void *)(uintptr_t)kept);
}
