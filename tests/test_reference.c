/* test_reference.c - docs/kernel-reference.md is what the program prints from the argument lists. */
#include "base/file.h"
#include "base/memory.h"
#include "program.h"
#include "test.h"

TEST(reference_is_current) {
    NEED(program_there(), "the program is not built beside the tests");
    program_result r;
    fnd_error err = { 0 };
    char *text = NULL;
    size_t bytes;
    program_run(&r, (const char *const[]){ "kernels", "--markdown", NULL });
    CHECK_OK(fnd_file_read("docs/kernel-reference.md", 4u << 20, &text, &bytes, &err), &err);
    CHECK_MSG(text && strcmp(text, r.out) == 0, "docs/kernel-reference.md is old: make reference writes it anew");
    fnd_free_memory(text);
    program_free(&r);
}
