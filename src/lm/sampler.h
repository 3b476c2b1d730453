/* sampler.h - what choosing the next token needs: tensors, and programs made when first used. */
#ifndef LM_SAMPLER_H
#define LM_SAMPLER_H

#include "foundry/model.h"
#include "foundry/run.h"

enum { FND_SLICES = 64 };

/* What a program that draws was made for. */
typedef struct fnd_draw_key {
    uint32_t per_slice, near;
    bool     adjusted, typical;
} fnd_draw_key;

typedef struct fnd_sampler {
    fnd_pooled    best, best_id;         /* [1, FND_SLICES]: the greedy choice */
    fnd_dedicated kept, kept_ids;        /* candidates of all slices */
    fnd_dedicated near_logits, near_ids; /* [vocab]: work space */
    fnd_pooled    chosen;                /* [1] */
    fnd_program  *greedy[2];             /* of the model's logits; of the adjusted ones */
    fnd_program  *draw;
    fnd_draw_key  draw_key;

    /* Biases and penalties; made when first used. A place is a token whose logit changes. */
    fnd_dedicated adjusted;              /* [1, vocab] */
    fnd_dedicated ids, counts, bias;     /* [room] */
    fnd_program  *penalize;
    uint32_t      room;                  /* of places */
    uint32_t     *place_ids, *place_counts;
    float        *place_bias;
    uint32_t     *place_of;              /* [vocab]: place + 1; 0: none. All zeros between calls */
} fnd_sampler;

uint64_t fnd_sampler_bytes(void); /* of the session's pool */
FND_USE_RESULT fnd_status fnd_sampler_make(fnd_session *s, fnd_error *err);
void fnd_sampler_free(fnd_session *s); /* the programs; then */
void fnd_sampler_free_memory(fnd_session *s);

/* penalties.c: do these settings change logits; write the changed ones into sampler.adjusted. */
bool fnd_sampling_adjusts(const fnd_sampling *c);
FND_USE_RESULT fnd_status fnd_sampler_adjust(fnd_session *s, const fnd_sampling *c, fnd_tensor *logits, fnd_error *err);
FND_USE_RESULT fnd_status fnd_sampler_adjusted(fnd_session *s, fnd_error *err); /* behind it, when the token is chosen */
void fnd_sampler_forget(fnd_session *s); /* all that fnd_sampler_adjust made */

#endif
