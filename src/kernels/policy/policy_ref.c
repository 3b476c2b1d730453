/* policy_ref.c - the table of the reference decoders. */
#include "kernels/policy/policy_ref.h"

#include <stddef.h>

fnd_ref_decode_fn *fnd_ref_decoder(fnd_format format) {
#define DECODER(id, name, ggml, weights, bytes) [FND_##id] = fnd_ref_decode_##name,
    static fnd_ref_decode_fn *const decoders[FND_FORMAT_COUNT] = { FND_FORMATS(DECODER) };
#undef DECODER
    return format < FND_FORMAT_COUNT ? decoders[format] : NULL;
}
