/* generate.h - text from a session: tokens are chosen and evaluated until something ends it.
 *
 *     fnd_session_prompt(s, ids, count, &err);
 *     fnd_generated g;
 *     fnd_generate(s, &(fnd_generate_desc){ .max_tokens = 100, .text = show }, &g, &err);
 *     puts(g.text);
 *     fnd_generated_free(&g);
 */
#ifndef FOUNDRY_GENERATE_H
#define FOUNDRY_GENERATE_H

#include "foundry/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/*    id          name           */
#define FND_ENDINGS(X)                                                               \
    X(NONE,       "none")       /* not yet */                                        \
    X(MODEL,      "end")        /* a token that ends text, turn or message */        \
    X(STOP,       "stop")       /* a stop string */                                  \
    X(TOKENS,     "max-tokens") /* as many tokens as were asked for */               \
    X(CONTEXT,    "context")    /* no room is left in the context */                 \
    X(CANCELLED,  "interrupted")

typedef enum fnd_ending {
#define FND_ENDING_ROW_(id, name) FND_ENDING_##id,
    FND_ENDINGS(FND_ENDING_ROW_)
#undef FND_ENDING_ROW_
} fnd_ending;
const char *fnd_ending_name(fnd_ending ending);

/* Text that can be shown: whole UTF-8 characters (what is none is U+FFFD), never the beginning of a stop
 * string. A failure ends the generation with it. */
typedef fnd_status fnd_shown_fn(void *ctx, fnd_span text, fnd_error *err);

typedef struct fnd_generate_desc {
    fnd_sampling         sampling;
    uint32_t             max_tokens;    /* 0: no limit */
    const char *const   *stops;         /* the answer ends before any of these; they may span tokens. Of those
                                         * met, the one that is complete first; of these the longest */
    size_t               stop_count;
    uint32_t             logprobs;      /* for each token so many alternatives, and its own; 0: none at all */
    bool                 context_shift; /* at the end of the context, drop half of what is behind the first */
    uint32_t             keep;          /* so many tokens, and go on; without it, end there. More than FND_SHIFT_STEP
                                         * positions have to be behind them */
    bool                 lookup;        /* guess tokens from what the context holds already and check several in
                                         * one step: the same answer, sooner where text repeats itself. Of
                                         * fnd_generate; a batch has its step full already */
    fnd_shown_fn        *text;          /* as it comes; may be NULL */
    void                *ctx;
    const volatile bool *cancel;        /* looked at after every token; may be NULL */
} fnd_generate_desc;

typedef struct fnd_generated {
    fnd_ending   ending;
    char        *text;          /* all that was shown; NUL-terminated */
    size_t       bytes;
    fnd_ids      ids;           /* all tokens chosen, also those of the stop string that the text leaves out; not the
                                 * model's token that ended it */
    fnd_logprob *logprobs;      /* [ids.count][1 + desc.logprobs], as fnd_session_logprobs; NULL: not asked for */
    uint32_t     dropped;       /* tokens, by context_shift */
    uint64_t     guessed, guessed_right; /* tokens, by lookup */
    double       first_seconds, seconds; /* until the first token was chosen; in all */
    /* Of the prompt, where a fnd_conversation evaluated it: its tokens, and those that were there. */
    uint32_t     prompt_tokens, prompt_reused;
    double       prompt_seconds;
} fnd_generated;

/* The session must have logits. What was generated stays in it, but for the last token where that was not
 * needed. On failure *out is empty. */
FND_USE_RESULT fnd_status fnd_generate(fnd_session *s, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err);
void fnd_generated_free(fnd_generated *g); /* an empty one is fine */

#ifdef __cplusplus
}
#endif
#endif
