/* gemv/panel_bytes.cuda.h - how much of a group's memory strategies with matrices take on which GPU. */
#ifndef GEMV_PANEL_BYTES_CUDA_H
#define GEMV_PANEL_BYTES_CUDA_H

/* The simulator's compiler need not know all shapes as constants. */
#if defined(__CUDACC__)
  #define FND_PANEL_UNROLL FND_UNROLL
#else
  #define FND_PANEL_UNROLL
#endif

/* How much of the group's memory the stages take: backend/cuda/cuda.c says the same. Not everywhere is room for
 * the largest panels. */
#if defined(__CUDACC__) && (__CUDA_ARCH__ < 800)
  #define FND_PANEL_STAGES 2u
  #define FND_PANEL_BYTES 49152u
#elif defined(__CUDACC__) && (__CUDA_ARCH__ == 860 || __CUDA_ARCH__ == 890 || __CUDA_ARCH__ >= 1200)
  #define FND_PANEL_STAGES 2u
  #define FND_PANEL_BYTES 65536u
#elif defined(__CUDACC__) && __CUDA_ARCH__ >= 900
  #define FND_PANEL_STAGES 4u
  #define FND_PANEL_BYTES 196608u
#else
  #define FND_PANEL_STAGES 3u
  #define FND_PANEL_BYTES 147456u
#endif
/* Stages on the way while one is multiplied. Of four, one more may still be in use. */
#define FND_PANEL_AHEAD (FND_PANEL_STAGES == 2 ? 1u : 2u)

/* Attention of prompts; 0: there is no room for it. */
#define FND_FLASH_BYTES (FND_PANEL_BYTES < 147456u ? 0u : 137216u)
#endif
