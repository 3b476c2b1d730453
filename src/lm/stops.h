/* stops.h - text up to the first of some strings, held back while it may be the beginning of one. */
#ifndef LM_STOPS_H
#define LM_STOPS_H

#include "base/text.h"
#include "foundry/gguf.h"

typedef struct fnd_stops {
    const char *const *list;
    size_t             count;
    fnd_text           held; /* what came last: text given out, then text held back */
    size_t             given;
} fnd_stops;

/* What can be given out after `text`, valid until the next call. *met: a stop string is complete; what
 * follows it is gone. */
FND_USE_RESULT fnd_status fnd_stops_push(fnd_stops *s, fnd_span text, fnd_span *out, bool *met, fnd_error *err);
/* What is still held back: no stop string came of it. */
fnd_span fnd_stops_rest(fnd_stops *s);
void fnd_stops_free(fnd_stops *s);

#endif
