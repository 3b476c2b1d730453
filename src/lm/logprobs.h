/* logprobs.h - probabilities on the host, for those who look at them. */
#ifndef LM_LOGPROBS_H
#define LM_LOGPROBS_H

#include "foundry/model.h"

/* log(sum(exp(logits))). FND_ERR_DEVICE when the logits are no numbers. */
FND_USE_RESULT fnd_status fnd_log_sum(const float *logits, size_t count, double *out, fnd_error *err);

/* The ids of the `count` (at most `vocab`) highest logits, highest first, of equals the lower id. */
void fnd_top_ids(const float *logits, uint32_t vocab, uint32_t *ids, uint32_t count);

#endif
