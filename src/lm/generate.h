/* generate.h - a generation under way, for those who choose its tokens. */
#ifndef LM_GENERATE_H
#define LM_GENERATE_H

#include "base/text.h"
#include "foundry/generate.h"
#include "lm/stops.h"

/* Text and tokens of one answer. It knows no session: tokens come from whoever chose them. */
typedef struct fnd_generator {
    const fnd_generate_desc *desc;
    const fnd_tokenizer     *t;
    fnd_decoder             *decoder;
    fnd_stops                stops;
    fnd_text                 text;
    fnd_generated            out;
    size_t                   logprob_room;
    uint64_t                 start_ns;
} fnd_generator;

FND_USE_RESULT fnd_status fnd_generator_open(fnd_generator *g, const fnd_tokenizer *t, const fnd_generate_desc *desc, fnd_error *err);
/* One more token; all: its logprobs, if they were asked for. out.ending then says whether it was the last. */
FND_USE_RESULT fnd_status fnd_generator_take(fnd_generator *g, uint32_t id, const fnd_logprob *all, fnd_error *err);
/* Nothing more comes: show what was held back. */
FND_USE_RESULT fnd_status fnd_generator_finish(fnd_generator *g, fnd_error *err);
/* Frees all but what went to *out; NULL: that too. */
void fnd_generator_close(fnd_generator *g, fnd_generated *out);

/* An answer under way in a session, for those who evaluate its tokens. */
typedef struct fnd_answer {
    fnd_session  *s;
    fnd_generator g;
    fnd_logprob  *all; /* of one token; NULL: not asked for */
} fnd_answer;

FND_USE_RESULT fnd_status fnd_answer_begin(fnd_answer *a, fnd_session *s, const fnd_generate_desc *desc, fnd_error *err);
/* Choose the next token. Unless g.out.ending then says that the answer has ended, *id is to be evaluated. */
FND_USE_RESULT fnd_status fnd_answer_choose(fnd_answer *a, uint32_t *id, fnd_error *err);
/* The answer to *out, when status is FND_OK; else *out is empty. Frees the rest. Gives the status, or what failed now. */
FND_USE_RESULT fnd_status fnd_answer_end(fnd_answer *a, fnd_status status, fnd_generated *out, fnd_error *err);

/* Can a full context be shifted? FND_SHIFT_STEP tokens and one more have to be behind the first `keep`; FND_ERR_USAGE. */
FND_USE_RESULT fnd_status fnd_shift_check(uint32_t context, uint32_t keep, fnd_error *err);
/* How many tokens behind the first `keep` to drop from a context full of `position`; 0: none can be. */
uint32_t fnd_shift_half(uint32_t position, uint32_t keep);

#endif
