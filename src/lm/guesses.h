/* guesses.h - a token and guesses at those behind it, evaluated in one step that reads the weights once.
 * Each row is computed exactly as a step of one token would, so that guessing changes no answer. */
#ifndef LM_GUESSES_H
#define LM_GUESSES_H

#include "lm/batch.h"
#include "lm/lookup.h"

enum { FND_GUESS_ROWS = 8 }; /* the token and 7 guesses */

typedef struct fnd_guesses {
    fnd_pool       pool;
    fnd_batch_step step;
    fnd_lookup     lookup;
    uint32_t       ids[FND_GUESS_ROWS], count, row; /* of the last step; the row whose logits are the session's */
} fnd_guesses;

/* Evaluate `id`, as fnd_session_eval, and beside it what the context suggests; or, where id is what was
 * guessed last time, take the logits that are there already. */
FND_USE_RESULT fnd_status fnd_session_eval_guessing(fnd_session *s, uint32_t id, fnd_error *err);
/* An answer with guesses begins: what was guessed before means nothing any more, and nothing is counted yet. */
FND_USE_RESULT fnd_status fnd_guesses_begin(fnd_session *s, fnd_error *err);
void fnd_guesses_close(fnd_session *s);

/* programs.c */
FND_USE_RESULT fnd_status fnd_session_make_guesses(fnd_session *s, fnd_batch_step *step, fnd_error *err);

#endif
