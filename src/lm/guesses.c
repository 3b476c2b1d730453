/* guesses.c - steps of a token and guesses at those behind it. */
#include "lm/guesses.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/dispatch.h"

static fnd_status open_guesses(fnd_session *s, fnd_error *err) {
    fnd_guesses *g = s->guesses = fnd_alloc_zeroed(1, sizeof *g);
    if (!g) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for guesses");
    FND_TRY(fnd_pool_create(s->m->f, fnd_batch_step_bytes(&s->m->info, FND_GUESS_ROWS), "guesses", &g->pool, err));
    FND_TRY(fnd_batch_step_take(&g->pool, &s->m->info, FND_GUESS_ROWS, &g->step, err));
    return fnd_session_make_guesses(s, &g->step, err);
}

void fnd_guesses_close(fnd_session *s) {
    if (!s->guesses) return;
    fnd_program_free(s->guesses->step.program);
    if (s->guesses->pool.storage) fnd_pool_destroy(&s->guesses->pool, NULL);
    fnd_free_memory(s->guesses);
    s->guesses = NULL;
}

fnd_status fnd_guesses_begin(fnd_session *s, fnd_error *err) {
    fnd_status status = s->guesses ? FND_OK : open_guesses(s, err);
    if (status != FND_OK) {
        fnd_guesses_close(s);
        return status;
    }
    s->guesses->count = s->guesses->row = 0;
    s->guesses->lookup = (fnd_lookup){ 0 };
    return FND_OK;
}

/* All rows of g->ids, from the present position on. */
static fnd_status run(fnd_session *s, fnd_guesses *g, fnd_error *err) {
    const uint32_t firsts[FND_GUESS_ROWS] = { 0 };
    uint32_t positions[FND_GUESS_ROWS], keys = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        positions[i] = s->position + i;
        keys += positions[i] + 1;
    }
    fnd_program *p = g->step.program;
    FND_TRY(fnd_session_grow(s, s->position + g->count, err));
    FND_TRY(fnd_tensor_write(s->m->f, &g->step.a.ids.t, 0, g->ids, g->count * sizeof *g->ids, err));
    FND_TRY(fnd_tensor_write(s->m->f, &g->step.positions.t, 0, positions, g->count * sizeof *positions, err));
    FND_TRY(fnd_tensor_write(s->m->f, &g->step.firsts.t, 0, firsts, g->count * sizeof *firsts, err));
    FND_TRY(fnd_program_set(p, "tokens", g->count, err));
    FND_TRY(fnd_program_set(p, "pos", s->position, err));
    FND_TRY(fnd_program_set(p, "keys", keys, err));
    return fnd_program_run_held(p, err);
}

/* Rows guessed wrongly stay in the caches behind the end, where whatever comes is written over them. */
fnd_status fnd_session_eval_guessing(fnd_session *s, uint32_t id, fnd_error *err) {
    FND_TRY(fnd_session_check_ids(s, &id, 1, err));
    fnd_guesses *g = s->guesses;
    if (g->row + 1 < g->count && g->ids[g->row + 1] == id) {
        fnd_lookup_learn(&g->lookup, true);
        return fnd_session_take_row(s, id, ++g->row, err);
    }
    if (g->row + 1 < g->count) fnd_lookup_learn(&g->lookup, false);
    uint32_t room = s->context - s->position - 1;
    s->tokens[s->position] = g->ids[0] = id;
    g->row = 0;
    g->count = 1 + fnd_lookup_guess(&g->lookup, s->tokens, s->position + 1, room < FND_GUESS_ROWS - 1 ? room : FND_GUESS_ROWS - 1, g->ids + 1);
    uint32_t count = g->count;
    g->count = 0; /* until it has worked */
    g->lookup.guessed += count - 1;
    if (count == 1) return fnd_session_eval(s, &id, 1, err);
    g->count = count;
    s->has_logits = false;
    fnd_status status = run(s, g, err);
    if (status != FND_OK) g->count = 0;
    FND_TRY(status);
    return fnd_session_take_row(s, id, 0, err);
}
