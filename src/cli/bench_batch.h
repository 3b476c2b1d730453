/* bench_batch.h - bench with --batch: how long a step of several sequences takes, beside one of one. */
#ifndef CLI_BENCH_BATCH_H
#define CLI_BENCH_BATCH_H

#include "cli/lm.h"
#include "foundry/batch.h"

typedef struct fnd_cli_bench_batch {
    const char *model;
    uint32_t sizes[FND_BATCH_SEQUENCES]; /* ascending, the first is 1 */
    uint32_t count, tokens, depth, repeat;
    bool json;
} fnd_cli_bench_batch;

/* "2,4,8": sizes and count. */
FND_USE_RESULT fnd_status fnd_cli_bench_sizes(const char *text, fnd_cli_bench_batch *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_cli_bench_batches(fnd_cli_lm *lm, const fnd_cli_bench_batch *o, fnd_error *err);

#endif
