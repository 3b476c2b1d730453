/* gemv/words.cuda.h - words as the CUDA strategies handle them. */
#ifndef GEMV_WORDS_CUDA_H
#define GEMV_WORDS_CUDA_H
#include "fnd_device.h"

#if defined(__CUDACC__)
#define FND_ALIGNED(n) __align__(n)
#else
#define FND_ALIGNED(n) __attribute__((aligned(n)))
#endif

/* The codes of 32 columns, four in a word. */
typedef struct fnd_codes { u32 of[8]; } fnd_codes;
typedef struct FND_ALIGNED(16) fnd_four { u32 x, y, z, w; } fnd_four; /* 16 bytes */
#endif
