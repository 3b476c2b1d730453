/* metal_standin.h - the stand-in for Apple's frameworks (metal_standin/standin.h), as tests see it. */
#ifndef TESTS_METAL_STANDIN_H
#define TESTS_METAL_STANDIN_H

#include <stddef.h>

/* The path of the stand-in beside the tests; NULL where there is none, as on a Mac: then Metal is Metal. */
const char *fnd_test_metal_library(void);
/* Why texts cannot be run on it, or there is none; NULL: they can. */
const char *fnd_test_metal_missing(void);
/* Ask it something; what it can be asked stands in standin.h. -1: there is none. */
long standin(const char *request, char *out, size_t bytes);
/* A setting of it, until standin_reset. */
void standin_set(const char *name, long value);
void standin_reset(void);

/* A test that used it and left objects of Metal alive has failed. */
void fnd_test_metal_leaks(void);

#endif
