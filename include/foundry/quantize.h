/* quantize.h - weights from one format into another.
 *
 *     fnd_quantize_desc d = { .from = "model-f16.gguf", .to = "model-q4_k.gguf", .format = FND_Q4_K };
 *     fnd_quantize_report report;
 *     if (fnd_quantize(&d, &report, &err) != FND_OK) ...
 *
 * Q8_0 and Q4_0 follow their published rules to the bit; the other formats take, for each block, the
 * scale and the minimum that a search for the least square error finds. The same input gives the
 * same bytes on every machine and with any number of threads.
 */
#ifndef FOUNDRY_QUANTIZE_H
#define FOUNDRY_QUANTIZE_H

#include "foundry/context.h"
#include "foundry/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `count` weights, which are whole blocks of the format, one row after another. What is not finite is
 * refused; a weight too large for the format's scale comes out infinite or NaN. */
FND_USE_RESULT fnd_status fnd_encode(fnd_format format, const float *weights, size_t count, void *to, fnd_error *err);
FND_USE_RESULT fnd_status fnd_decode(fnd_format format, const void *from, size_t count, float *weights, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
