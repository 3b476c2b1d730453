/* tensor_stream.h - the data of a new model file, made and written in pieces by several threads: no
 * more of it is in memory than a piece per thread. */
#ifndef LM_TENSOR_STREAM_H
#define LM_TENSOR_STREAM_H

#include "foundry/gguf_write.h"
#include "foundry/model.h"

/* Weights of a piece: whole blocks of every format, and whole 8 bytes of each. */
enum { FND_PIECE_WEIGHTS = 1 << 17 };

typedef struct fnd_piece {
    size_t   tensor;
    uint64_t first;  /* weight of the tensor */
    size_t   count;  /* <= FND_PIECE_WEIGHTS */
    uint32_t worker; /* < workers */
} fnd_piece;

/* Fill `to` with the piece as the file shall have it. */
typedef fnd_status fnd_piece_fn(void *ctx, const fnd_piece *piece, uint8_t *to, fnd_error *err);

typedef struct fnd_stream_tensor {
    fnd_format format;
    uint64_t   weights; /* whole blocks */
} fnd_stream_tensor;

typedef struct fnd_stream {
    fnd_gguf_writer         *writer; /* begun, with the same tensors */
    const fnd_stream_tensor *tensors;
    size_t                   tensor_count;
    uint32_t                 workers;
    fnd_piece_fn            *fill;
    void                    *ctx;
    const char              *what; /* for progress */
    fnd_progress_fn         *progress;
    void                    *progress_ctx;
    const volatile bool     *cancel;
} fnd_stream;

/* Threads for a job, of 0 or more asked for. */
uint32_t fnd_stream_workers(uint32_t asked);
/* Make, write and finish. The first failure of any thread ends it. */
FND_USE_RESULT fnd_status fnd_stream_run(const fnd_stream *stream, fnd_error *err);

#endif
