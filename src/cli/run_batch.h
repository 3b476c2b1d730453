/* run_batch.h - run with --batch: many prompts, answered several at a time. */
#ifndef CLI_RUN_BATCH_H
#define CLI_RUN_BATCH_H

#include "cli/generation.h"
#include "foundry/batch.h"

typedef struct fnd_cli_batch {
    const char *model, *file, *system; /* system: of lines that name none; may be NULL */
    bool raw;                          /* of lines that do not say it */
    uint32_t logprobs, parallel;
    const fnd_cli_generation *generation;
} fnd_cli_batch;

FND_USE_RESULT fnd_status fnd_cli_run_batch(const fnd_cli_globals *globals, const fnd_cli_batch *o, fnd_error *err);

#endif
