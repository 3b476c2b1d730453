/* logprobs.c - probabilities on the host. */
#include "lm/logprobs.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/session.h"

#include <math.h>

fnd_status fnd_log_sum(const float *logits, size_t count, double *out, fnd_error *err) {
    float top = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (logits[i] > top) top = logits[i];
    }
    for (size_t i = 0; i < count; i++) sum += exp((double)logits[i] - (double)top);
    *out = (double)top + log(sum);
    return isfinite(*out) ? FND_OK : fnd_fail(err, FND_ERR_DEVICE, "the model's results are no numbers (NaN or infinite)");
}

/* ---- the highest: a heap whose root is its worst ---- */

static bool better(const float *logits, uint32_t a, uint32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); }

static void sink(const float *logits, uint32_t *heap, uint32_t count, uint32_t at) {
    for (uint32_t worst = at;; at = worst) {
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
            if (better(logits, heap[worst], heap[child])) worst = child;
        }
        if (worst == at) return;
        uint32_t swap = heap[at];
        heap[at] = heap[worst];
        heap[worst] = swap;
    }
}

void fnd_top_ids(const float *logits, uint32_t vocab, uint32_t *ids, uint32_t count) {
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) ids[i] = i;
    for (uint32_t i = count / 2; i-- > 0;) sink(logits, ids, count, i);
    for (uint32_t id = count; id < vocab; id++) {
        if (!better(logits, id, ids[0])) continue;
        ids[0] = id;
        sink(logits, ids, count, 0);
    }
    for (uint32_t left = count - 1; left > 0; left--) { /* the worst of what is left goes behind it */
        uint32_t worst = ids[0];
        ids[0] = ids[left];
        ids[left] = worst;
        sink(logits, ids, left, 0);
    }
}

static fnd_status look(fnd_session *s, float *logits, uint32_t *ids, uint32_t id, fnd_logprob *all, uint32_t count, fnd_error *err) {
    double sum;
    FND_TRY(fnd_session_logits(s, logits, err));
    FND_TRY(fnd_log_sum(logits, s->m->info.vocab, &sum, err));
    fnd_top_ids(logits, s->m->info.vocab, ids, count);
    all[0] = (fnd_logprob){ .id = id, .logprob = (float)((double)logits[id] - sum) };
    for (uint32_t i = 0; i < count; i++) all[i + 1] = (fnd_logprob){ .id = ids[i], .logprob = (float)((double)logits[ids[i]] - sum) };
    return FND_OK;
}

fnd_status fnd_session_logprobs(fnd_session *s, uint32_t id, fnd_logprob *all, uint32_t count, fnd_error *err) {
    uint32_t vocab = s->m->info.vocab;
    if (id >= vocab || count > vocab) return fnd_fail(err, FND_ERR_USAGE, "token %u and its %u likeliest rivals are not in the vocabulary of %u", id, count, vocab);
    float *logits = fnd_alloc_zeroed(vocab, sizeof *logits);
    uint32_t *ids = fnd_alloc_zeroed((size_t)count + 1, sizeof *ids);
    fnd_status status = logits && ids ? look(s, logits, ids, id, all, count, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the logits of %u tokens", vocab);
    fnd_free_memory(logits);
    fnd_free_memory(ids);
    return status;
}
