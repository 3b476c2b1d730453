/* gguf_file.h - what an opened GGUF file is made of. */
#ifndef LM_GGUF_FILE_H
#define LM_GGUF_FILE_H

#include "base/file.h"
#include "foundry/gguf.h"
#include "lm/name_index.h"

struct fnd_gguf {
    fnd_map          map;
    bool             mapped; /* false: the caller's memory */
    char            *path;
    unsigned         flags;
    uint32_t         version, alignment;
    fnd_gguf_value  *values;
    fnd_gguf_tensor *tensors;
    size_t           value_count, tensor_count;
    fnd_index        value_index, tensor_index;
};

/* Bytes of one value; 0 for strings and arrays. */
size_t fnd_gguf_type_bytes(fnd_gguf_type type);

/* What was read of the file need not stay in memory; what is read again comes again. */
void fnd_gguf_forget(const fnd_gguf *g);

#endif
