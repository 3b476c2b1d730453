/* test_isa.c - all tests with other instructions: with FOUNDRY_TEST_ISA=generic (make test isa=generic) a
 * device that a test opens without saying which instructions it wants has those; so has the program that tests
 * run. The linker puts __wrap_fnd_open in the place of fnd_open, which it calls __real_fnd_open. */
#include "base/base.h"
#include "foundry/context.h"
#include "test.h"

#include <stdlib.h>

fnd_status __real_fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err);
fnd_status __wrap_fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err);

fnd_status __wrap_fnd_open(const fnd_desc *desc, foundry **out, fnd_error *err) {
    const char *isa = getenv("FOUNDRY_TEST_ISA");
    fnd_desc d = desc ? *desc : (fnd_desc){ 0 };
    bool on_cpu = !d.backend || strcmp(d.backend, "cpu") == 0;
    if (!isa || !isa[0] || !on_cpu || d.isa) return __real_fnd_open(desc, out, err);
    d.isa = isa;
    return __real_fnd_open(&d, out, err);
}

TEST(isa_of_the_tests_can_be_chosen) {
    foundry *f;
    fnd_error err = { 0 };
    fnd_context_info info;
    const char *isa = getenv("FOUNDRY_TEST_ISA"), *kept = isa ? strdup(isa) : NULL;
    setenv("FOUNDRY_TEST_ISA", "generic", 1);
    CHECK_OK(fnd_open(NULL, &f, &err), &err);
    CHECK_OK(fnd_info(f, &info, &err), &err);
    CHECK_HAS(info.device, "generic");
    CHECK(info.tile_rows == 0);
    CHECK_OK(fnd_close(f, &err), &err);
    unsetenv("FOUNDRY_TEST_ISA");
    if (kept) setenv("FOUNDRY_TEST_ISA", kept, 1);
    free((void *)(uintptr_t)kept);
}
