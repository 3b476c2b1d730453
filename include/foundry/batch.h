/* batch.h - several sequences decoded together: every weight is read once for one token of each.
 *
 *     fnd_batch *b;
 *     fnd_batch_open(m, &(fnd_batch_desc){ .sequences = 8 }, &b, &err);
 *     fnd_batch_generate(b, &(fnd_batch_job){ .requests = list, .count = n, .done = keep }, &err);
 *     fnd_batch_close(b);
 *
 * or, step by step, with the sequences as sessions:
 *
 *     for (i = 0; i < 8; i++) fnd_session_prompt(fnd_batch_session(b, i), ids[i], counts[i], &err);
 *     for (i = 0; i < 8; i++) fnd_session_sample(fnd_batch_session(b, i), NULL, &next[i].id, &err);
 *     fnd_batch_eval(b, next, 8, &err);                             next[i].sequence = i
 *
 * A batch and its sessions are used by one thread at a time.
 */
#ifndef FOUNDRY_BATCH_H
#define FOUNDRY_BATCH_H

#include "foundry/generate.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FND_BATCH_SEQUENCES = 64 }; /* at most */

typedef struct fnd_batch fnd_batch;

typedef struct fnd_batch_desc {
    uint32_t         sequences; /* decoded together at most; 0: 8 */
    /* Of every sequence. The caches of all lie in one block of memory with room for `context` positions of each,
     * which a processor takes page by page as they fill, a GPU all at once. */
    fnd_session_desc session;
} fnd_batch_desc;

FND_USE_RESULT fnd_status fnd_batch_open(fnd_model *m, const fnd_batch_desc *desc, fnd_batch **out, fnd_error *err);
void fnd_batch_close(fnd_batch *b); /* and its sessions; NULL is fine */

uint32_t fnd_batch_sequences(const fnd_batch *b);
/* One of its sequences, for every call that takes a session but fnd_session_close; NULL behind the last.
 * fnd_session_fork makes a session that is not of the batch. */
fnd_session *fnd_batch_session(fnd_batch *b, uint32_t sequence);

typedef struct fnd_batch_token {
    uint32_t sequence, id;
} fnd_batch_token;

/* Evaluate one token each of several sequences, none twice, in any order; as fnd_session_eval of one token for
 * each. What is refused is refused before anything runs. */
FND_USE_RESULT fnd_status fnd_batch_eval(fnd_batch *b, const fnd_batch_token *tokens, size_t count, fnd_error *err);

/* ---- many prompts ------------------------------------------------------------------------------ */

typedef struct fnd_batch_request {
    const uint32_t          *ids;  /* the prompt: [count] */
    size_t                   count;
    const fnd_generate_desc *desc; /* cancel is not looked at: a job has its own */
} fnd_batch_request;

/* Request `index` is answered, or, where why is not NULL, has failed and result is empty; the others go on.
 * What the callee wants to keep of *result it moves out (and clears *result); the rest is freed. A failure ends
 * the job with it. Requests become ready in any order. */
typedef fnd_status fnd_batch_done_fn(void *ctx, size_t index, fnd_generated *result, const fnd_error *why, fnd_error *err);

typedef struct fnd_batch_stats {
    size_t   requests, done, failed; /* of how many; done holds failed ones */
    uint64_t steps, tokens;          /* tokens chosen so far, in so many steps */
    uint64_t prompt_tokens, reused;  /* of prompts that were evaluated; of these not computed: they were there, or were
                                      * copied from another sequence */
} fnd_batch_stats;
typedef void fnd_batch_progress_fn(void *ctx, const fnd_batch_stats *stats);

typedef struct fnd_batch_job {
    const fnd_batch_request *requests;
    size_t                   count;
    fnd_batch_done_fn       *done;
    fnd_batch_progress_fn   *progress; /* after every step and every request; may be NULL */
    void                    *ctx;
    const volatile bool     *cancel;   /* looked at after every step; may be NULL */
} fnd_batch_job;

/* Answer all requests, as many at a time as there are sequences: when one ends, its sequence takes the next
 * prompt, of the free sequences the one that has read the longest beginning of it already. Where another has read
 * more, busy or not, its keys and values are copied: what prompts begin with alike is computed once for all
 * sequences. What is left of several prompts is read in one pass. Neither changes an answer. Cancelled: FND_ERR_CANCELLED, when those that were being answered
 * are done as FND_ENDING_CANCELLED. */
FND_USE_RESULT fnd_status fnd_batch_generate(fnd_batch *b, const fnd_batch_job *job, fnd_error *err);

#ifdef __cplusplus
}
#endif
#endif
