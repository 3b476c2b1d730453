/* session.h - the inside of a session. */
#ifndef LM_SESSION_H
#define LM_SESSION_H

#include "lm/model.h"

enum { FND_HEAD_ROWS = 16, FND_KV_BLOCK = 16, FND_SPLITS = 8, FND_SLICES = 64 };

/* What goes into the layers and what comes out, for up to `rows` tokens: the residual stream x. */
typedef struct fnd_activations {
    uint32_t   rows;
    fnd_pooled ids, x;
} fnd_activations;

struct fnd_session {
    fnd_model       *m;
    uint32_t         context, batch, position;
    fnd_progress_fn *progress;
    void            *progress_ctx;
    const volatile bool *cancel;
    fnd_pool         pool;
    fnd_dedicated   *k_cache, *v_cache; /* [layers], each [blocks, kv_heads, ...] */
    fnd_activations  one, many;
    fnd_pooled       last;              /* [FND_HEAD_ROWS, dim]: rows for the head */
    fnd_pooled       logits;            /* [FND_HEAD_ROWS, vocab] */
    fnd_pooled       best, best_id;     /* [1, FND_SLICES]: the greedy choice */
    fnd_pooled       kept, kept_ids;    /* candidates of all slices */
    fnd_pooled       near_logits, near_ids; /* [vocab]: work space */
    fnd_pooled       chosen;            /* [1] */
    fnd_program     *decode;            /* one token: embedding to logits */
    fnd_program     *prefill;           /* up to `batch` tokens, without the head */
    fnd_program     *head;              /* one row of `last` */
    fnd_program     *heads;             /* up to FND_HEAD_ROWS rows of `last` */
    fnd_program     *greedy, *draw;
    uint32_t         draw_per_slice, draw_near; /* what `draw` was made for */
    bool             has_logits;
};

/* sampler.c: tensors for choosing tokens, and its programs. */
uint64_t fnd_sampler_bytes(const fnd_session *s);
FND_USE_RESULT fnd_status fnd_sampler_make(fnd_session *s, fnd_error *err);

/* One more pooled tensor; session.c. */
FND_USE_RESULT fnd_status fnd_session_take(fnd_session *s, fnd_format format, fnd_shape shape, fnd_pooled *out, const char *name, fnd_error *err);

/* programs.c: the model's forward pass as programs. */
FND_USE_RESULT fnd_status fnd_session_make_programs(fnd_session *s, fnd_error *err);

#endif
