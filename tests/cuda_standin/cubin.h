/* cubin.h - what machine code for NVIDIA's GPUs says of itself, as the driver answers it. */
#ifndef CUDA_STANDIN_CUBIN_H
#define CUDA_STANDIN_CUBIN_H

enum { CUBIN_PARAMS = 4 };
typedef struct cubin_facts {
    int registers, local_bytes, shared_bytes, max_threads;
    unsigned param_bytes[CUBIN_PARAMS]; /* 0: there is none */
} cubin_facts;

/* Of the entry point of this name. Returns 0 when the image is no ELF file or has no such entry point. */
int cubin_read(const void *image, const char *entry, cubin_facts *out);

#endif
