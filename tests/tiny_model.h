/* tiny_model.h - a language model small enough to be written by a test: architecture llama, 2 layers,
 * 64 wide, weights in Q8_0 that look random and are always the same, the byte tokenizer of
 * gguf_writer.h, a chat template. It says nothing sensible, and never ends by itself. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <stdint.h>

enum { TINY_MODEL_VOCAB = 270 };

/* Path of one with a context of 512 among the tests' temporary files (program.h). */
const char *tiny_model(void);
void tiny_model_save(const char *path, uint32_t context);
/* The same, and the file says that BOS (257) is put before texts. */
void tiny_model_save_with_bos(const char *path, uint32_t context);

#endif
