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

#include "foundry/format.h"
#include "foundry/gguf.h"
#include "foundry/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `count` weights, which are whole blocks of the format, one row after another. What is not finite is
 * refused; a weight too large for the format's scale comes out infinite or NaN. */
FND_USE_RESULT fnd_status fnd_encode(fnd_format format, const float *weights, size_t count, void *to, fnd_error *err);
FND_USE_RESULT fnd_status fnd_decode(fnd_format format, const void *from, size_t count, float *weights, fnd_error *err);

/* Tensors whose name matches the pattern (* ? [...]) get this format. */
typedef struct fnd_quantize_keep {
    const char *pattern;
    fnd_format  format;
} fnd_quantize_keep;

/* One tensor, when all are done, in the file's order. Errors are over its weights, in their unit; 0 for
 * what was copied as it was. */
typedef struct fnd_quantize_tensor {
    fnd_span   name; /* valid during the call */
    fnd_format from, to;
    uint32_t   dim_count;
    uint64_t   dims[4];
    uint64_t   weights, bytes; /* bytes: in `to` */
    double     rmse;           /* root of the mean square error */
    double     relative;       /* rmse / root of the mean square weight */
    double     worst;          /* the largest error of a weight */
} fnd_quantize_tensor;
typedef void fnd_quantize_tensor_fn(void *ctx, const fnd_quantize_tensor *tensor);

typedef struct fnd_quantize_desc {
    const char *from, *to;    /* files; `to` NULL: only say what would become what */
    fnd_format  format;       /* of its matrices, with what fnd_synth_desc.format says of heads and rows;
                               * vectors become F32 */
    const fnd_quantize_keep *keep; /* of several that match, the last counts; for matrices only */
    size_t      keep_count;
    bool        replace;      /* a file of that name, which may be `from` */
    uint32_t    threads;      /* 0: one per core */
    fnd_quantize_tensor_fn *tensor; /* may be NULL */
    fnd_progress_fn        *progress; /* may be NULL; from the calling thread */
    void                   *ctx;      /* of both */
    const volatile bool    *cancel;   /* may be NULL: FND_ERR_CANCELLED, and no file */
} fnd_quantize_desc;

typedef struct fnd_quantize_report {
    uint64_t tensors, weights;
    uint64_t bytes_before, bytes_after; /* of all tensors */
    uint64_t file_bytes;                /* 0: nothing was written */
    double   rmse, relative, worst;     /* over all weights */
    double   seconds;
} fnd_quantize_report;

/* A weight that is not finite, or too large for the format, is an error that names the tensor; a file that says it is no
 * model, such as an adapter, FND_ERR_UNSUPPORTED. */
FND_USE_RESULT fnd_status fnd_quantize(const fnd_quantize_desc *desc, fnd_quantize_report *report, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
