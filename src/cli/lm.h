/* lm.h - a loaded model and a session, for the commands that run one. */
#ifndef CLI_LM_H
#define CLI_LM_H

#include "base/cpurate.h"
#include "cli/cli.h"
#include "foundry/model.h"
#include "foundry/profile.h"

typedef struct fnd_cli_lm {
    foundry             *f;
    fnd_model           *m;
    fnd_session         *s;
    const fnd_tokenizer *t;
    fnd_format           kv_type;          /* of sessions, as --kv-type says */
    bool                 separate;         /* set before: each kernel a launch of its own, to be seen, unless --program says otherwise: then timed within a program */
    bool                 wait_for_kernels; /* set before: figures must not depend on how far compiling is */
    bool                 untuned;          /* set before: as if nothing had been tuned */
    bool                 quick;            /* set before: compile fast rather than well, for what will hardly run */
    /* Set before, may be NULL: called with m and t when the weights are not yet read. What can be refused
     * is refused then. */
    fnd_status         (*check)(struct fnd_cli_lm *lm, void *ctx, fnd_error *err);
    void                *check_ctx;
    double               load_seconds, open_seconds; /* of the weights; of programs and their compilation */
} fnd_cli_lm;

/* Device and model; then a session of `context` positions. 0, the model's limit, costs nothing: caches
 * grow as they fill, and kernels compiled for it serve every command. */
FND_USE_RESULT fnd_status fnd_cli_lm_open(const fnd_cli_globals *globals, const char *path, fnd_cli_lm *out, fnd_error *err);
FND_USE_RESULT fnd_status fnd_cli_lm_begin(fnd_cli_lm *lm, uint32_t context, fnd_error *err);
/* What is open of it, be it nothing. Returns `status`, or the first failure of the device if it was
 * FND_OK. */
FND_USE_RESULT fnd_status fnd_cli_lm_close(fnd_cli_lm *lm, fnd_status status, fnd_error *err);

/* A note when a window of attention ends the context, and nobody chose it (context is 0). */
void fnd_cli_lm_note_window(const fnd_cli_lm *lm, uint32_t context);
/* FND_ERR_LIMIT with a sentence when `count` tokens of `what` do not fit the context that a session of
 * `context` positions (0: the model's limit) has. */
FND_USE_RESULT fnd_status fnd_cli_lm_fits(const fnd_cli_lm *lm, const char *what, size_t count, uint32_t context, fnd_error *err);

static inline double fnd_cli_seconds_since(uint64_t start_ns) { return 1e-9 * (double)(fnd_now_ns() - start_ns); }

/* Read bandwidth of this machine with as many threads as `f` has, in GB/s; 0 where it says nothing
 * about the device. Call before the model is loaded: it needs the processor for itself. */
FND_USE_RESULT fnd_status fnd_cli_bandwidth(foundry *f, double *gb_per_s, fnd_error *err);

/* That, and how fast the processor computes with these threads and --isa: the roofs over all kernels. */
typedef struct fnd_cli_roofs {
    double read_gb_s; /* 0: neither is known */
    double rates[FND_UNIT_COUNT];
} fnd_cli_roofs;
FND_USE_RESULT fnd_status fnd_cli_measure_roofs(const fnd_cli_globals *globals, foundry *f, fnd_cli_roofs *out, fnd_error *err);
/* As a profile takes them. */
void fnd_cli_put_roofs(const fnd_cli_roofs *roofs, fnd_profile_desc *to);

/* Evaluate a prompt, then token by token, once unseen (what happens only once is not in the table) and
 * once with the profiler on, in the scopes "prefill" and "decode". lm: begun, `separate`. */
FND_USE_RESULT fnd_status fnd_cli_record(fnd_cli_lm *lm, uint32_t prompt_tokens, uint32_t tokens, const fnd_profile_desc *desc, fnd_error *err);

#endif
