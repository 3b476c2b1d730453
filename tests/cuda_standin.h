/* cuda_standin.h - running the program with the stand-in for NVIDIA's driver (cuda_standin/). */
#ifndef TESTS_CUDA_STANDIN_H
#define TESTS_CUDA_STANDIN_H

#include "backend/cuda/api.h"
#include "program.h"
#include "test.h"

/* The program finds the stand-in from here on, which is told `words`. Skips where it cannot be. */
#define STAND_IN(words) \
    const fnd_nvrtc_api *nvrtc_; \
    fnd_error missing_ = { 0 }; \
    NEED(program_there(), "the program is not built beside the tests"); \
    NEED(fnd_nvrtc_api_open(&nvrtc_, &missing_) == FND_OK, missing_.text); \
    NEED(stand_in(words), "the stand-in is not built beside the tests")

bool stand_in(const char *words);
void stand_out(void);
/* Where its library is; NULL: it is not built. */
const char *stand_in_path(void);

#endif
