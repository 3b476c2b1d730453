/* nearest.c - what a mistyped word may have meant. */
#include "base/nearest.h"
#include "base/base.h"

#include <ctype.h>
#include <stdio.h>

enum { LONGEST = 40,
       UNLIKE = 99,
       PREFIX_BYTES = 3 };

static char plain(char c) { return c == '_' ? '-' : (char)tolower((unsigned char)c); }

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Letters to leave out, put in, replace or swap with their neighbour (optimal string alignment). */
static unsigned distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    unsigned rows[3][LONGEST + 1];
    if (a_bytes > LONGEST || b_bytes > LONGEST) return UNLIKE;
    for (size_t k = 0; k <= b_bytes; k++) rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= a_bytes; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3];
        const unsigned *two_above = i > 1 ? rows[(i - 2) % 3] : NULL;
        row[0] = (unsigned)i;
        for (size_t k = 1; k <= b_bytes; k++) {
            bool same = plain(a[i - 1]) == plain(b[k - 1]);
            row[k] = least(least(row[k - 1], above[k]) + 1, above[k - 1] + !same);
            bool swapped = two_above && k > 1 && plain(a[i - 1]) == plain(b[k - 2]) && plain(a[i - 2]) == plain(b[k - 1]);
            if (swapped) row[k] = least(row[k], two_above[k - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

static bool begins(const char *candidate, const char *word, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (plain(candidate[i]) != plain(word[i])) return false; /* also at the candidate's end */
    }
    return bytes >= PREFIX_BYTES;
}

void fnd_nearest_try(fnd_nearest *n, const char *candidate) {
    unsigned d = distance(n->word, n->bytes, candidate, strlen(candidate));
    unsigned most = n->bytes <= 3 ? 1 : n->bytes <= 7 ? 2
                                                      : 3;
    if (begins(candidate, n->word, n->bytes)) d = least(d, most);
    if (d > most || (n->best && d >= n->distance)) return;
    n->best = candidate;
    n->distance = d;
}

const char *fnd_nearest_text(fnd_nearest *n, const char *before) {
    n->text[0] = '\0';
    if (n->best) snprintf(n->text, sizeof n->text, " (did you mean '%s%s'?)", before, n->best);
    return n->text;
}
