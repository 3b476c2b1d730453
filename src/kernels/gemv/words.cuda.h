/* gemv/words.cuda.h - words as the CUDA strategies handle them. */
#ifndef GEMV_WORDS_CUDA_H
#define GEMV_WORDS_CUDA_H
#include "fnd_device.h"

/* The codes of 32 columns, four in a word. */
typedef struct fnd_codes { u32 of[8]; } fnd_codes;
typedef struct FND_ALIGNED(16) fnd_four { u32 x, y, z, w; } fnd_four; /* 16 bytes */
#endif
