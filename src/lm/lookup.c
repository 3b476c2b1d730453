/* lookup.c - guesses at the next tokens. */
#include "lm/lookup.h"

/* A pair of tokens that came before is worth a guess; after misses in a row, only more is. */
enum { SHORTEST = 2,
       LONGEST = 16,
       PATIENCE = 2 };

static uint32_t shortest(const fnd_lookup *l) {
    uint32_t more = l->missed / PATIENCE;
    return more < LONGEST - SHORTEST ? SHORTEST + more : LONGEST;
}

/* How many tokens before `end` equal those before `count`. */
static uint32_t match_before(const uint32_t *tokens, uint32_t end, uint32_t count) {
    uint32_t n = 0;
    while (n < end && n < LONGEST && tokens[end - 1 - n] == tokens[count - 1 - n]) n++;
    return n;
}

uint32_t fnd_lookup_guess(const fnd_lookup *l, const uint32_t *tokens, uint32_t count, uint32_t most, uint32_t *guess) {
    uint32_t longest = 0, at = 0;
    for (uint32_t end = count ? count - 1 : 0; end > 0 && longest < LONGEST; end--) {
        uint32_t n = match_before(tokens, end, count);
        if (n <= longest) continue;
        longest = n;
        at = end;
    }
    if (longest < shortest(l)) return 0;
    /* Behind a match near the end, what follows is what has been guessed: text that repeats a short piece. */
    for (uint32_t i = 0; i < most; i++) guess[i] = at + i < count ? tokens[at + i] : guess[at + i - count];
    return most;
}

void fnd_lookup_learn(fnd_lookup *l, bool hit) {
    l->missed = hit ? 0 : l->missed + 1;
    l->hit += hit;
}
