/* synth.h - models with random weights, of the shapes that people run: for tests and measurements.
 *
 *     fnd_synth_desc d = { .architecture = "qwen2", .size = "1.5b", .format = FND_Q4_K, .to = "out.gguf" };
 *     if (fnd_synth(&d, &report, &err) != FND_OK) ...
 *
 * What is made is a whole model file: it loads, tokenizes any text, has a chat template, and says
 * nothing sensible. The same architecture, size, format and seed give the same bytes.
 */
#ifndef FOUNDRY_SYNTH_H
#define FOUNDRY_SYNTH_H

#include "foundry/format.h"
#include "foundry/gguf.h"
#include "foundry/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors as they will be in the file, in its order; offset and data are not set. */
typedef void fnd_synth_tensor_fn(void *ctx, const fnd_gguf_tensor *tensor);

typedef struct fnd_synth_desc {
    const char *architecture; /* "qwen2"; see fnd_synth_at */
    const char *size;         /* "0.5b" */
    fnd_format  format;       /* of its matrices. The head of a 4-bit model is Q6_K, of other packed
                               * ones Q8_0; rows of no multiple of 256 take Q5_0 for Q4_K, Q5_1 for
                               * Q5_K, Q8_0 for Q6_K; vectors are F32 */
    uint64_t    seed;
    const char *to;           /* the file; NULL: only count, and call `tensor` */
    bool        replace;      /* a file of that name */
    uint32_t    threads;      /* 0: one per core */
    fnd_synth_tensor_fn *tensor; /* may be NULL */
    fnd_progress_fn     *progress; /* may be NULL; from the calling thread */
    void                *ctx;      /* of both */
    const volatile bool *cancel;   /* may be NULL: FND_ERR_CANCELLED, and no file */
} fnd_synth_desc;

typedef struct fnd_synth_report {
    uint64_t tensors, weights;
    uint64_t tensor_bytes, file_bytes; /* file_bytes 0: nothing was written */
    double   seconds;
} fnd_synth_report;

FND_USE_RESULT fnd_status fnd_synth(const fnd_synth_desc *desc, fnd_synth_report *report, fnd_error *err);

/* What can be made, one after the other; false at and after the end. */
bool fnd_synth_at(size_t i, const char **architecture, const char **size);

#ifdef __cplusplus
}
#endif
#endif
