/* tiny_model.h - a language model small enough to be written by a test: architecture llama, 2 layers,
 * 64 wide, weights in Q8_0 that look random and are always the same, the byte tokenizer of
 * gguf_writer.h, a chat template. It says nothing sensible, and never ends by itself. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { TINY_MODEL_VOCAB = 270 };

/* Path of one with a context of 512 among the tests' temporary files (program.h). */
const char *tiny_model(void);
void tiny_model_save(const char *path, uint32_t context);

typedef struct tiny_model_desc {
    uint32_t    context;
    uint32_t    window;        /* how far attention looks back; 0: all the way */
    const char *chat_template; /* NULL: that of tiny_model() */
    bool        has_bos;       /* the file says that BOS (257) is put before texts */
    bool        lacks_pre;     /* the file names no pre-tokenizer */
    bool        lacks_template;
} tiny_model_desc;
void tiny_model_save_as(const char *path, const tiny_model_desc *desc);

#endif
