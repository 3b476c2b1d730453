/* lookup.h - guesses at the next tokens, from what stands in the context already (Saxena 2023, "prompt
 * lookup decoding"): text that quotes, lists or edits goes on as it did before. */
#ifndef LM_LOOKUP_H
#define LM_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

/* How the last guesses fared. Starts as zeros. */
typedef struct fnd_lookup {
    uint32_t missed;       /* steps in a row without a hit: the more, the longer a match must be */
    uint64_t guessed, hit; /* tokens */
} fnd_lookup;

/* The tokens behind the longest earlier match of the last tokens; of those equally long, the latest.
 * Writes at most `most` and returns how many: 0 where nothing long enough matches. */
uint32_t fnd_lookup_guess(const fnd_lookup *l, const uint32_t *tokens, uint32_t count, uint32_t most, uint32_t *guess);

/* A guess came true, or the first that did not of a step. */
void fnd_lookup_learn(fnd_lookup *l, bool hit);

#endif
