/* f16_codec.c - F16: half precision, rounded to nearest, ties to even. */
#include "policy/f16/f16.h"
#include "policy/half_codec.h"

FND_CODEC_HALF(f16, .file_type = 1)
