/* golden.h - the recorded figures in tests/golden/ and the real models they were made with.
 *
 * Models are looked for in $FOUNDRY_MODELS, then in $XDG_CACHE_HOME/foundry/models, then in
 * ~/.cache/foundry/models; a test that needs one which is not there is skipped. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "foundry/tokenizer.h"

#include <jansson.h>

enum { GOLDEN_SMOLLM2, GOLDEN_QWEN };

/* The model that FOUNDRY_TEST_SMOLLM2 or FOUNDRY_TEST_QWEN names, for tests that `make test-models` runs;
 * NULL: none. */
const char *golden_model_file(int model);
/* Path of a model's file; NULL when it is not on this machine (why: at least 256 bytes says so). */
const char *golden_model_path(int model, char *why);
/* The tokenizer alone. */
fnd_tokenizer *golden_tokenizer(int model, char *why);
fnd_gguf *golden_gguf(int model, unsigned flags, char *why);
/* tests/golden/<model>/<file> parsed, and tests/golden/<file> as it is (fnd_free_memory). The tests
 * run in the root of the tree; a file that is not there fails the test. */
json_t *golden_json(int model, const char *file);
char *golden_text(const char *file, size_t *bytes);

#endif
