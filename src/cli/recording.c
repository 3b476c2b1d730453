/* recording.c - a model at work while the profiler looks on. */
#include "base/memory.h"
#include "cli/lm.h"
#include "foundry/run.h"

static fnd_status decode(fnd_cli_lm *lm, const uint32_t *ids, uint32_t count, fnd_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        FND_TRY(fnd_session_eval(lm->s, &ids[i], 1, err));
        FND_TRY(fnd_cli_check_interrupt(err));
    }
    return fnd_wait(lm->f, err);
}

static fnd_status prefill(fnd_cli_lm *lm, const uint32_t *ids, uint32_t count, fnd_error *err) {
    FND_TRY(fnd_session_eval(lm->s, ids, count, err));
    return fnd_wait(lm->f, err);
}

static fnd_status warm_up(fnd_cli_lm *lm, const uint32_t *ids, uint32_t prompt_tokens, fnd_error *err) {
    FND_TRY(prefill(lm, ids, prompt_tokens, err));
    FND_TRY(decode(lm, ids, 1, err));
    return fnd_session_truncate(lm->s, 0, err);
}

static fnd_status record(fnd_cli_lm *lm, const uint32_t *ids, uint32_t prompt_tokens, uint32_t tokens, fnd_error *err) {
    FND_SCOPE(lm->f, "prefill")
    FND_TRY(prefill(lm, ids, prompt_tokens, err));
    FND_SCOPE(lm->f, "decode")
    FND_TRY(decode(lm, ids, tokens, err));
    return FND_OK;
}

fnd_status fnd_cli_record(fnd_cli_lm *lm, uint32_t prompt_tokens, uint32_t tokens, const fnd_profile_desc *desc, fnd_error *err) {
    uint32_t count = prompt_tokens > tokens ? prompt_tokens : tokens;
    uint32_t *ids = fnd_alloc_zeroed(count, sizeof *ids);
    if (!ids) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u ids", count);
    for (uint32_t i = 0; i < count; i++) ids[i] = (uint32_t)((uint64_t)i * 7919 % fnd_model_get_info(lm->m)->vocab);
    fnd_status status = warm_up(lm, ids, prompt_tokens, err);
    if (status == FND_OK) status = fnd_profile_start(lm->f, desc, err);
    if (status == FND_OK) status = record(lm, ids, prompt_tokens, tokens, err);
    fnd_free_memory(ids);
    fnd_cli_progress_clear();
    fnd_status stopped = fnd_profile_stop(lm->f, err);
    return status != FND_OK ? status : stopped;
}
