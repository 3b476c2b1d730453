/* generation.h - how tokens are chosen and what ends an answer: options that several commands take. */
#ifndef CLI_GENERATION_H
#define CLI_GENERATION_H

#include "cli/lm.h"
#include "cli/template_inputs.h"
#include "foundry/generate.h"

typedef struct fnd_cli_generation {
    uint32_t      max_tokens, context, keep, top_k, repeat_last_n;
    double        temperature, top_p, min_p, typical_p, repeat_penalty, presence_penalty, frequency_penalty;
    fnd_cli_u64   seed;
    fnd_cli_list  stop, logit_bias;
    fnd_cli_template_options template;
    bool          context_shift, lookup, compile;
} fnd_cli_generation;

#define FND_CLI_KEEP_AS_FITS UINT32_MAX /* --keep was not given: 16, or fewer in a context that is small */
#define FND_CLI_GENERATION_DEFAULTS { .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .repeat_last_n = 64, .keep = FND_CLI_KEEP_AS_FITS }

/* Rows of options for a struct of type T whose field G is an fnd_cli_generation. */
#define FND_CLI_GENERATION_OPTIONS(T, G)                                                                                                                                      \
    { "max-tokens", FND_CLI_U32, "N", offsetof(T, G.max_tokens), "stop after so many (default: when the model ends or the context is full)", 1, UINT32_MAX },                 \
    { "stop", FND_CLI_LIST, "S", offsetof(T, G.stop), "end the answer before this text; may be given several times", 0, 0 },                                                 \
    { "context", FND_CLI_U32, "N", offsetof(T, G.context), "positions at most (default: the model's limit)", 1, UINT32_MAX },                                                 \
    { "context-shift", FND_CLI_FLAG, NULL, offsetof(T, G.context_shift), "where the context is full, drop the oldest tokens behind the first and go on", 0, 0 },               \
    { "keep", FND_CLI_U32, "N", offsetof(T, G.keep), "of which --context-shift keeps so many (default: 16, or what the context allows)", 0, UINT32_MAX - 1 },                                             \
    { "temperature", FND_CLI_REAL, "X", offsetof(T, G.temperature), "0: always the most likely token (default)", 0, 100 },                                                    \
    { "top-k", FND_CLI_U32, "N", offsetof(T, G.top_k), "choose among the N most likely; 0: all", 0, UINT32_MAX },                                                             \
    { "typical-p", FND_CLI_REAL, "X", offsetof(T, G.typical_p), "choose among the least surprising that make up X together; 1: all", 0, 1 },                                  \
    { "top-p", FND_CLI_REAL, "X", offsetof(T, G.top_p), "choose among the most likely that make up X together; 1: all", 0, 1 },                                               \
    { "min-p", FND_CLI_REAL, "X", offsetof(T, G.min_p), "choose among those at least X times as likely as the first; 0: all", 0, 1 },                                         \
    { "repeat-penalty", FND_CLI_REAL, "X", offsetof(T, G.repeat_penalty), "make recent tokens less likely: divides their logits; 1: off", 0.01, 100 },                        \
    { "presence-penalty", FND_CLI_REAL, "X", offsetof(T, G.presence_penalty), "subtracted from the logits of recent tokens; 0: off", -100, 100 },                             \
    { "frequency-penalty", FND_CLI_REAL, "X", offsetof(T, G.frequency_penalty), "subtracted for every time they came; 0: off", -100, 100 },                                   \
    { "repeat-last-n", FND_CLI_U32, "N", offsetof(T, G.repeat_last_n), "tokens that are recent (default: 64)", 1, UINT32_MAX },                                               \
    { "logit-bias", FND_CLI_LIST, "TOKEN=X", offsetof(T, G.logit_bias), "added to a token's logit (-inf: never); TOKEN: id or text; may be given several times", 0, 0 },     \
    { "lookup", FND_CLI_FLAG, NULL, offsetof(T, G.lookup), "guess tokens from the text so far and check several at once: the same answer, sooner where text repeats itself", 0, 0 }, \
    { "template", FND_CLI_NAME, "FILE", offsetof(T, G.template.file), "a file with the chat template, in place of the model's", 0, 0 },        \
    { "template-var", FND_CLI_LIST, "K=JSON", offsetof(T, G.template.variables), FND_CLI_TEMPLATE_VAR_DOC, 0, 0 },                                                                 \
    { "tools", FND_CLI_NAME, "FILE", offsetof(T, G.template.tools), "JSON array of tools for the template", 0, 0 },                                                                    \
    { "compile", FND_CLI_FLAG, NULL, offsetof(T, G.compile), "compile all kernels before the answer, and keep them (else they are compiled during answers that last)", 0, 0 }, \
    { "seed", FND_CLI_U64, "S", offsetof(T, G.seed), "the same seed chooses the same tokens (default: a new one, which is told)", 0, 0 }

/* The options as the library takes them. `bias` has FND_CLI_LIST_ITEMS places; the rest of *out stays. */
FND_USE_RESULT fnd_status fnd_cli_generation_desc(const fnd_cli_generation *o, const fnd_cli_lm *lm, fnd_logit_bias *bias, fnd_generate_desc *out, fnd_error *err);
/* Notes: which seed was taken; which options change nothing. */
void fnd_cli_generation_note(const fnd_cli_generation *o, uint64_t seed);

/* A note on what --lookup gave. */
void fnd_cli_lookup_note(const fnd_cli_generation *o, const fnd_generated *g);

static inline double fnd_cli_per_second(double count, double seconds) { return count / (seconds > 0 ? seconds : 1); }

#endif
