/* kernel_texts.h - the stages of tests/kernel_texts/glue.c, as the system's C compiler makes them for one
 * lane: the portable texts, and those for this CPU at two widths of vectors. */
#ifndef TESTS_KERNEL_TEXTS_H
#define TESTS_KERNEL_TEXTS_H

#include "kernel_texts/glue.h"
#include "test.h"

#include <stdbool.h>
#include <stddef.h>

#define KT_FIELD(name, signature) void(*name) signature;
typedef struct texts {
    const char *machine;
    bool codes;  /* queries become codes where keys are */
    bool panels; /* prompts attend on a matrix unit */
    KT_CALLS(KT_FIELD)
} texts;

/* All machines of these tests; 0 without a C compiler or the texts. Compiled when no test before has, of this
 * process or another: they are kept in build/test-cache under a hash of all that the compiler sees. */
size_t kernel_texts_machines(const texts **all);

#define EACH_MACHINE(t) \
    const texts *t##_all; \
    size_t t##_count = kernel_texts_machines(&t##_all); \
    NEED(t##_count, "run from the root of the project, with a C compiler"); \
    for (const texts *t = t##_all; t < t##_all + t##_count; t++)

#endif
