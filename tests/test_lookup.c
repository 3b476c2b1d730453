/* Guesses at the next tokens. */
#include "lm/lookup.h"
#include "test.h"

static uint32_t guess(const fnd_lookup *l, const uint32_t *tokens, uint32_t count, uint32_t most, uint32_t *out) {
    for (uint32_t i = 0; i < 16; i++) out[i] = 999;
    return fnd_lookup_guess(l, tokens, count, most, out);
}

TEST(lookup_guesses_what_followed_the_longest_match) {
    fnd_lookup l = { 0 };
    uint32_t out[16];
    const uint32_t text[] = { 1, 2, 3, 40, 41, 9, 2, 3, 50, 51, 1, 2, 3 };
    CHECK(guess(&l, text, 13, 2, out) == 2 && out[0] == 40 && out[1] == 41 && out[2] == 999); /* 1 2 3, not the later 2 3 */
    CHECK(guess(&l, text + 1, 12, 2, out) == 2 && out[0] == 50 && out[1] == 51);               /* of two equal ones the later */
    CHECK(guess(&l, text, 6, 4, out) == 0);
    CHECK(guess(&l, text, 1, 4, out) == 0 && guess(&l, text, 0, 4, out) == 0 && guess(&l, text, 13, 0, out) == 0);
    const uint32_t single[] = { 7, 1, 7 };
    CHECK(guess(&l, single, 3, 4, out) == 0); /* one token says little */
    const uint32_t same[] = { 5, 5, 5 };
    CHECK(guess(&l, same, 3, 4, out) == 4 && out[0] == 5 && out[3] == 5); /* beyond the end, it goes on as guessed */
    const uint32_t turns[] = { 1, 2, 1, 2, 1 };
    CHECK(guess(&l, turns, 5, 5, out) == 5 && out[0] == 2 && out[1] == 1 && out[4] == 2);
}

TEST(lookup_wants_more_after_misses) {
    fnd_lookup l = { 0 };
    uint32_t out[16];
    const uint32_t text[] = { 1, 2, 3, 4, 9, 1, 2, 3 };
    CHECK(guess(&l, text + 1, 7, 1, out) == 1);
    for (int i = 0; i < 4; i++) fnd_lookup_learn(&l, 3, 0);
    CHECK(guess(&l, text + 1, 7, 1, out) == 0);
    CHECK(l.guessed == 12 && l.hit == 0);
    fnd_lookup_learn(&l, 0, 0); /* no guess is no miss */
    CHECK(l.missed == 4);
    fnd_lookup_learn(&l, 3, 2);
    CHECK(guess(&l, text + 1, 7, 1, out) == 1 && out[0] == 4);
    for (int i = 0; i < 1000; i++) fnd_lookup_learn(&l, 1, 0);
    uint32_t lines[40];
    for (uint32_t i = 0; i < 40; i++) lines[i] = i % 20;
    CHECK(guess(&l, lines, 40, 4, out) == 4 && out[0] == 0 && out[3] == 3); /* a long match always counts */
}
