/* vector_headers.h - the compiler's header of vectors, which it reads longer than most kernels, precompiled
 * for the many texts that tests compile. */
#ifndef TESTS_VECTOR_HEADERS_H
#define TESTS_VECTOR_HEADERS_H

#include <stdbool.h>

/* Makes what is not there yet for this compiler and the levels of this processor, and tells compilers of this
 * process and of those that it starts where it lies. Only gcc takes it, and it alone decides whether it fits. */
void fnd_test_precompile_headers(void);
/* Every level has one: a text that was given it finds the macro FND_TEST_PRECOMPILED. */
bool fnd_test_headers_are_precompiled(void);

#endif
