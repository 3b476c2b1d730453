/* session.h - the inside of a session. */
#ifndef LM_SESSION_H
#define LM_SESSION_H

#include "lm/model.h"
#include "lm/sampler.h"

enum { FND_HEAD_ROWS = 16, FND_KV_BLOCK = 16, FND_SPLITS = 8 };
#define FND_OWN_ROW UINT32_MAX

/* What goes into the layers and what comes out, for up to `rows` tokens: the residual stream x. */
typedef struct fnd_activations {
    uint32_t   rows;
    fnd_pooled ids, x;
} fnd_activations;

struct fnd_session {
    fnd_model       *m;
    uint32_t         context, batch_size, position;
    fnd_format       kv_type;           /* of keys and values */
    fnd_progress_fn *progress;
    void            *progress_ctx;
    const volatile bool *cancel;
    const fnd_tensor *inv_freq;         /* of RoPE: the model's short or long frequencies */
    fnd_pool         pool;
    fnd_tensor      *k_cache, *v_cache; /* [layers], each [blocks, kv_heads, ...]: of `caches`, or ranges of a batch's pools */
    fnd_dedicated   *caches;            /* [2 * layers]: keys, then values; NULL in a batch */
    fnd_activations  one, many;
    fnd_pooled       last;              /* [FND_HEAD_ROWS, dim]: rows for the head */
    fnd_dedicated    logits;            /* [FND_HEAD_ROWS, vocab] */
    fnd_program     *decode;            /* one token: embedding to logits */
    fnd_program     *prefill;           /* up to `batch_size` tokens, without the head */
    fnd_program     *head;              /* one row of `last` */
    fnd_program     *heads;             /* up to FND_HEAD_ROWS rows of `last`; NULL until it is needed */
    fnd_program     *shift;             /* drop positions; NULL until it is needed */
    struct fnd_guesses *guesses;        /* guesses.h; NULL until they are needed */
    fnd_sampler      sampler;
    uint32_t        *tokens;            /* [position] of [context] */
    bool             has_logits;
    struct fnd_batch *batch;            /* whose sequence it is; NULL: of none */
    uint32_t         batch_row;         /* where its logits are: that row of the batch's, or FND_OWN_ROW: row 0 of `logits` */
    float           *mark;              /* [vocab]: the logits at mark_position; NULL until it is needed */
    uint32_t         mark_position;     /* 0: there is no mark */
    uint32_t         read;              /* positions from the start that were evaluated as a prompt is: what decoding leaves
                                         * behind may differ from that in the last bits */
    uint32_t         kept, dropped;     /* positions dropped so far, all from `kept` on */
    uint64_t         computed, reused;  /* tokens */
};

/* In what takes long: so much is done. FND_ERR_CANCELLED when somebody has had enough; session.c. */
FND_USE_RESULT fnd_status fnd_session_pause(const fnd_session *s, const char *what, size_t done, size_t total, fnd_error *err);
/* One more pooled tensor; session.c. */
FND_USE_RESULT fnd_status fnd_session_take(fnd_pool *pool, fnd_format format, fnd_shape shape, fnd_pooled *out, const char *name, fnd_error *err);
/* A tensor of zeros that takes memory page by page, as it is written; session.c. */
FND_USE_RESULT fnd_status fnd_session_take_pages(foundry *f, fnd_format format, fnd_shape shape, fnd_dedicated *out, const char *name, fnd_error *err);
/* Room in the caches, and for the ids, for so many positions in all; session.c. */
FND_USE_RESULT fnd_status fnd_session_grow(fnd_session *s, uint32_t positions, fnd_error *err);
/* Bytes of a layer's keys (and of its values) that hold so many positions: whole blocks. */
uint64_t fnd_session_cache_bytes(const fnd_session *s, uint32_t positions);

uint64_t fnd_session_blocks(uint32_t positions);

/* session.c, for batches: a description with its defaults, checked; a session that is sequence `index` of a
 * batch (NULL: of none); can these tokens be evaluated; one was, and row `row` of the batch has its logits. */
FND_USE_RESULT fnd_status fnd_session_resolve(const fnd_model *m, fnd_session_desc *desc, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_open_in(fnd_model *m, const fnd_session_desc *desc, struct fnd_batch *b, uint32_t index, fnd_session **out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_check_ids(const fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err);
void fnd_session_stepped(fnd_session *s, uint32_t id, uint32_t row);
/* Its logits, [1, vocab], wherever they are; bring them into `logits`, where programs of the session look. */
FND_USE_RESULT fnd_status fnd_session_find_logits(const fnd_session *s, fnd_const_view *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_own_logits(fnd_session *s, fnd_error *err);

/* Tokens behind the present position as a prompt is read, however few; the logits of the last; session.c. */
FND_USE_RESULT fnd_status fnd_session_read(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err);

/* Its tokens were evaluated beside those of others, and `x` [1, dim] is what came of the last (NULL: there are more to
 * come); session.c. */
FND_USE_RESULT fnd_status fnd_session_was_read(fnd_session *s, const uint32_t *ids, size_t count, const fnd_const_view *x, fnd_error *err);

/* A token was evaluated at the present position, and row `row` of `logits` is what came of it; session.c. */
FND_USE_RESULT fnd_status fnd_session_take_row(fnd_session *s, uint32_t id, uint32_t row, fnd_error *err);

/* session_edit.c. How many of these tokens it holds already, from the start; of those, how many just as a session of
 * its own would that has read them as a prompt. */
uint32_t fnd_session_common(const fnd_session *s, const uint32_t *ids, size_t count);
uint32_t fnd_session_common_read(const fnd_session *s, const uint32_t *ids, size_t count);
/* fnd_session_prompt in two steps, with the very same bits as by a session that holds nothing: only what was read is
 * kept, and more of it copied from `other` where that has more (NULL: from none). *reused: tokens that were kept or
 * copied; where they are not all, the rest is to be read. Then the logits are kept aside. */
FND_USE_RESULT fnd_status fnd_session_prompt_from(fnd_session *s, const fnd_session *other, const uint32_t *ids, size_t count, uint32_t *reused, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_set_mark(fnd_session *s, fnd_error *err);

/* programs.c: the model's forward pass as programs. */
FND_USE_RESULT fnd_status fnd_session_make_programs(fnd_session *s, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_make_heads(fnd_session *s, fnd_error *err);
FND_USE_RESULT fnd_status fnd_session_make_shift(fnd_session *s, fnd_error *err);

#endif
