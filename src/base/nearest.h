/* nearest.h - what a mistyped word may have meant. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* Start with { word, bytes }, try what there is, and add the text to the sentence: " (did you mean
 * 'run'?)", or "" when nothing is near. */
typedef struct fnd_nearest {
    const char *word;
    size_t      bytes;
    const char *best;
    unsigned    distance;
    char        text[96];
} fnd_nearest;

void fnd_nearest_try(fnd_nearest *n, const char *candidate);
/* `before` stands before what may have been meant: "--". */
const char *fnd_nearest_text(fnd_nearest *n, const char *before);

#endif
