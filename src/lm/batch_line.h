/* batch_line.h - a prompt with its own settings, as a line of JSON: what `foundry run --batch` reads.
 *
 *     {"prompt": "Why?", "system": "Be brief.", "max_tokens": 40, "temperature": 0.7, "seed": 3, "id": 17}
 *     {"messages": [{"role": "user", "content": "Why?"}], "stop": ["\n\n"]}
 */
#ifndef LM_BATCH_LINE_H
#define LM_BATCH_LINE_H

#include "foundry/generate.h"

struct json_t;

typedef struct fnd_batch_line {
    struct json_t    *json;      /* of the line: texts below are parts of it */
    fnd_span          prompt;    /* data NULL: messages instead */
    fnd_span          system;    /* data NULL: not given */
    char             *messages;  /* JSON; NULL: a prompt instead */
    char             *tools, *variables; /* JSON; NULL: not given */
    char             *id;        /* JSON, as it is written; NULL: not given */
    bool              has_raw, raw, has_seed;
    fnd_generate_desc desc;      /* the defaults, with what the line says; its stops are the line's */
    const char      **stops;
} fnd_batch_line;

/* A failure is a sentence about the line, which the caller puts its number before; of *out only the id is left then. To be
 * freed also after a failure. */
FND_USE_RESULT fnd_status fnd_batch_line_parse(const char *text, size_t bytes, const fnd_generate_desc *defaults, fnd_batch_line *out, fnd_error *err);
void fnd_batch_line_free(fnd_batch_line *line);

#endif
