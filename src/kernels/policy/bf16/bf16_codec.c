/* bf16_codec.c - BF16: the upper half of a float, rounded to nearest, ties to even. */
#include "policy/bf16/bf16.h"
#include "policy/half_codec.h"

FND_CODEC_HALF(bf16, .file_type = 32)
