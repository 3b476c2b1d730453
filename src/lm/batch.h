/* batch.h - the inside of a batch: a pool of caches, sessions that have ranges of it, and programs for one
 * token each of several of them. */
#ifndef LM_BATCH_H
#define LM_BATCH_H

#include "foundry/batch.h"
#include "lm/session.h"

enum { FND_BATCH_SIZES = 6 };

/* A step of up to `rows` tokens, from embedding to logits. */
typedef struct fnd_batch_step {
    fnd_activations a;
    fnd_pooled      positions, firsts; /* [rows]: position of each token; the block of the pools where its sequence begins */
    fnd_program    *program;           /* NULL until it is needed */
} fnd_batch_step;

/* Tokens of several prompts in one pass, as each alone is read: weights are read once for all. */
typedef struct fnd_batch_prompts {
    fnd_pool        pool;
    fnd_activations a;
    fnd_pooled      table;             /* [count, 4]: first row, rows, position, first block of each */
    fnd_program    *program;           /* NULL until it is needed */
} fnd_batch_prompts;

struct fnd_batch {
    fnd_model      *m;
    uint32_t        count, blocks;     /* sequences; blocks of each */
    fnd_pool        pool;
    fnd_dedicated  *k_pool, *v_pool;   /* [layers], each [count * blocks, kv_heads, ...] */
    fnd_batch_step  steps[FND_BATCH_SIZES]; /* of 2, 4, 8 ... rows, the last of `count` */
    fnd_batch_prompts prompts;
    fnd_dedicated   logits;            /* [count, vocab] */
    fnd_session   **sessions;          /* [count] */
    uint32_t        rows;              /* of the last step */
    fnd_pooled      best, best_id, chosen; /* the greedy choice of every row: [count, FND_SLICES], [count] */
    fnd_program    *greedy;            /* NULL until it is needed */
    bool            knows_ids;         /* ids are those of the last step's rows */
    uint32_t       *ids;               /* [count] */
};

/* Its tensors, of a pool, and what they need of it; batch.c. */
FND_USE_RESULT fnd_status fnd_batch_step_take(fnd_pool *pool, const fnd_model_info *m, uint32_t rows, fnd_batch_step *step, fnd_error *err);
uint64_t fnd_batch_step_bytes(const fnd_model_info *m, uint32_t rows);

/* The token that row `row` of the last step makes most likely. */
FND_USE_RESULT fnd_status fnd_batch_greedy(fnd_batch *b, uint32_t row, uint32_t *id, fnd_error *err);
/* Logits of a row of the last step: [1, vocab]. */
FND_USE_RESULT fnd_status fnd_batch_row(const fnd_batch *b, uint32_t row, fnd_const_view *out, fnd_error *err);

/* What a sequence still has to read of its prompt. */
typedef struct fnd_batch_unread {
    uint32_t        sequence;
    const uint32_t *ids;
    size_t          count;
} fnd_batch_unread;
/* Read them together, each to the very bits of fnd_session_read; batch_prompts.c. */
FND_USE_RESULT fnd_status fnd_batch_read(fnd_batch *b, fnd_batch_unread *prompts, size_t count, fnd_error *err);
void fnd_batch_prompts_free(fnd_batch *b);

/* programs.c */
FND_USE_RESULT fnd_status fnd_batch_make_program(fnd_batch *b, fnd_batch_step *step, fnd_error *err);
FND_USE_RESULT fnd_status fnd_batch_make_prompts(fnd_batch *b, fnd_error *err);

#endif
