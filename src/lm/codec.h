/* codec.h - the codecs of the weight formats, at the best level of instructions here; and what format
 * a tensor gets in a model of a format. */
#ifndef LM_CODEC_H
#define LM_CODEC_H

#include "kernels/policy/policy_codec.h"

/* NULL: the format has none (plain formats, and those registered at run time). */
const fnd_codec *fnd_codec_of(fnd_format format);
/* At a level of fnd_cpu_levels ("generic", "v3" ...; of longer names the part before '_'); NULL: none.
 * For tests: this machine must have it. */
const fnd_codec *fnd_codec_at(fnd_format format, const char *level);

/* The format of a matrix with rows of `cols` in a model of format `wanted`: the head of a 4-bit model
 * is Q6_K, of other packed formats Q8_0; rows that are no multiple of a block take a format that
 * fits. */
fnd_format fnd_format_for(fnd_format wanted, bool head, uint64_t cols);

#endif
