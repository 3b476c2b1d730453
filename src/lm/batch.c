/* batch.c - several sequences over one pool of caches, and a step of one token each. */
#include "lm/batch.h"
#include "base/base.h"
#include "base/memory.h"
#include "run/dispatch.h"

enum { DEFAULT_SEQUENCES = 8 };

/* ---- memory ---- */

/* Rows of the steps: 2, 4, 8 ... and, last, all. */
static uint32_t step_rows(const fnd_batch *b, size_t size) {
    uint32_t rows = 2u << size;
    return rows < b->count ? rows : b->count;
}
static size_t step_count(const fnd_batch *b) {
    size_t n = 1;
    while (step_rows(b, n - 1) < b->count) n++;
    return n;
}

fnd_status fnd_batch_step_take(fnd_pool *pool, const fnd_model_info *m, uint32_t rows, fnd_batch_step *step, fnd_error *err) {
    step->a.rows = rows;
    FND_TRY(fnd_session_take(pool, FND_U32, fnd_shape1(rows), &step->a.ids, "ids", err));
    FND_TRY(fnd_session_take(pool, FND_F32, fnd_shape2(rows, m->dim), &step->a.x, "x", err));
    FND_TRY(fnd_session_take(pool, FND_U32, fnd_shape1(rows), &step->positions, "positions", err));
    return fnd_session_take(pool, FND_U32, fnd_shape1(rows), &step->firsts, "firsts", err);
}
uint64_t fnd_batch_step_bytes(const fnd_model_info *m, uint32_t rows) { return rows * (4ull * m->dim + 12) + 4ull * 128; }

static uint64_t pool_bytes(const fnd_batch *b) {
    uint64_t bytes = (8ull * FND_SLICES + 4) * b->count + 3ull * 128;
    for (size_t i = 0; i < step_count(b); i++) bytes += fnd_batch_step_bytes(&b->m->info, step_rows(b, i));
    return bytes;
}

static fnd_status take_memory(fnd_batch *b, fnd_error *err) {
    b->ids = fnd_alloc_zeroed(b->count, sizeof *b->ids);
    if (!b->ids) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u sequences", b->count);
    FND_TRY(fnd_pool_create(b->m->f, pool_bytes(b), "batch", &b->pool, err));
    for (size_t i = 0; i < step_count(b); i++) FND_TRY(fnd_batch_step_take(&b->pool, &b->m->info, step_rows(b, i), &b->steps[i], err));
    FND_TRY(fnd_session_take(&b->pool, FND_F32, fnd_shape2(b->count, FND_SLICES), &b->best, "best", err));
    FND_TRY(fnd_session_take(&b->pool, FND_U32, fnd_shape2(b->count, FND_SLICES), &b->best_id, "best_id", err));
    FND_TRY(fnd_session_take(&b->pool, FND_U32, fnd_shape1(b->count), &b->chosen, "chosen", err));
    return fnd_session_take_pages(b->m->f, FND_F32, fnd_shape2(b->count, b->m->info.vocab), &b->logits, "logits", err);
}

static fnd_status take_pools(fnd_batch *b, fnd_format format, fnd_error *err) {
    const fnd_model_info *m = &b->m->info;
    fnd_shape shape = fnd_shape4((uint64_t)b->count * b->blocks, m->kv_heads, FND_KV_BLOCK, m->head_dim);
    b->k_pool = fnd_alloc_zeroed(m->layers, sizeof *b->k_pool);
    b->v_pool = fnd_alloc_zeroed(m->layers, sizeof *b->v_pool);
    if (!b->k_pool || !b->v_pool) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the caches of %u layers", m->layers);
    for (uint32_t i = 0; i < m->layers; i++) {
        FND_TRY(fnd_session_take_pages(b->m->f, format, shape, &b->k_pool[i], "k_cache", err));
        FND_TRY(fnd_session_take_pages(b->m->f, format, shape, &b->v_pool[i], "v_cache", err));
    }
    return FND_OK;
}

static fnd_status open_sessions(fnd_batch *b, const fnd_session_desc *desc, fnd_error *err) {
    b->sessions = fnd_alloc_zeroed(b->count, sizeof(fnd_session *));
    if (!b->sessions) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u sequences", b->count);
    for (uint32_t i = 0; i < b->count; i++) FND_TRY(fnd_session_open_in(b->m, desc, b, i, &b->sessions[i], err));
    return FND_OK;
}

fnd_status fnd_batch_open(fnd_model *m, const fnd_batch_desc *desc, fnd_batch **out, fnd_error *err) {
    fnd_batch_desc d = desc ? *desc : (fnd_batch_desc){ 0 };
    *out = NULL;
    if (d.sequences > FND_BATCH_SEQUENCES) return fnd_fail(err, FND_ERR_USAGE, "%u sequences were asked for; at most %d are decoded together", d.sequences, FND_BATCH_SEQUENCES);
    FND_TRY(fnd_session_resolve(m, &d.session, err));
    fnd_batch *b = fnd_alloc_zeroed(1, sizeof *b);
    if (!b) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a batch");
    b->m = m;
    b->count = d.sequences ? d.sequences : DEFAULT_SEQUENCES;
    b->blocks = (uint32_t)fnd_session_blocks(d.session.context);
    fnd_status status = take_memory(b, err);
    if (status == FND_OK) status = take_pools(b, d.session.kv_type, err);
    if (status == FND_OK) status = open_sessions(b, &d.session, err);
    if (status != FND_OK) {
        fnd_batch_close(b);
        return status;
    }
    *out = b;
    return FND_OK;
}

void fnd_batch_close(fnd_batch *b) {
    if (!b) return;
    fnd_program_free(b->greedy);
    fnd_batch_prompts_free(b);
    for (size_t i = FND_BATCH_SIZES; i-- > 0;) fnd_program_free(b->steps[i].program);
    for (uint32_t i = b->count; b->sessions && i-- > 0;) fnd_session_close(b->sessions[i]);
    for (uint32_t i = 0; b->k_pool && b->v_pool && i < b->m->info.layers; i++) {
        fnd_tensor_free(b->m->f, &b->k_pool[i], NULL);
        fnd_tensor_free(b->m->f, &b->v_pool[i], NULL);
    }
    fnd_tensor_free(b->m->f, &b->logits, NULL);
    if (b->pool.storage) fnd_pool_destroy(&b->pool, NULL);
    fnd_free_memory(b->sessions);
    fnd_free_memory(b->k_pool);
    fnd_free_memory(b->v_pool);
    fnd_free_memory(b->ids);
    fnd_free_memory(b);
}

uint32_t fnd_batch_sequences(const fnd_batch *b) { return b->count; }
fnd_session *fnd_batch_session(fnd_batch *b, uint32_t sequence) { return sequence < b->count ? b->sessions[sequence] : NULL; }

/* ---- a step ---- */

static fnd_status check(const fnd_batch *b, const fnd_batch_token *tokens, size_t count, fnd_error *err) {
    uint64_t seen = 0;
    if (count == 0) return fnd_fail(err, FND_ERR_USAGE, "there are no tokens to evaluate");
    for (size_t i = 0; i < count; i++) {
        uint32_t n = tokens[i].sequence;
        if (n >= b->count) return fnd_fail(err, FND_ERR_USAGE, "there is no sequence %u in a batch of %u", n, b->count);
        if (seen >> n & 1) return fnd_fail(err, FND_ERR_USAGE, "sequence %u stands in the step twice; a step has one token of each", n);
        seen |= 1ull << n;
        FND_TRY(fnd_session_check_ids(b->sessions[n], &tokens[i].id, 1, err));
    }
    return FND_OK;
}

/* Logits of sequences that are not in the next step would be written over: they move to their session. */
static fnd_status keep_logits(fnd_batch *b, const fnd_batch_token *tokens, size_t count, fnd_error *err) {
    uint64_t stepping = 0;
    for (size_t i = 0; i < count; i++) stepping |= 1ull << tokens[i].sequence;
    for (uint32_t i = 0; i < b->count; i++) {
        if (!(stepping >> i & 1)) FND_TRY(fnd_session_own_logits(b->sessions[i], err));
    }
    return FND_OK;
}

static fnd_status write_rows(fnd_batch *b, fnd_batch_step *step, const fnd_batch_token *tokens, size_t count, fnd_error *err) {
    uint32_t ids[FND_BATCH_SEQUENCES], positions[FND_BATCH_SEQUENCES], firsts[FND_BATCH_SEQUENCES], keys = 0;
    for (size_t i = 0; i < count; i++) {
        ids[i] = tokens[i].id;
        positions[i] = b->sessions[tokens[i].sequence]->position;
        firsts[i] = tokens[i].sequence * b->blocks;
        keys += positions[i] + 1;
    }
    FND_TRY(fnd_tensor_write(b->m->f, &step->a.ids.t, 0, ids, count * sizeof *ids, err));
    FND_TRY(fnd_tensor_write(b->m->f, &step->positions.t, 0, positions, count * sizeof *positions, err));
    FND_TRY(fnd_tensor_write(b->m->f, &step->firsts.t, 0, firsts, count * sizeof *firsts, err));
    FND_TRY(fnd_program_set(step->program, "tokens", (uint32_t)count, err));
    return fnd_program_set(step->program, "keys", keys, err);
}

fnd_status fnd_batch_eval(fnd_batch *b, const fnd_batch_token *tokens, size_t count, fnd_error *err) {
    size_t size = 0;
    FND_TRY(check(b, tokens, count, err));
    if (count == 1) return fnd_session_eval(b->sessions[tokens[0].sequence], &tokens[0].id, 1, err);
    while (step_rows(b, size) < count) size++;
    fnd_batch_step *step = &b->steps[size];
    if (!step->program) FND_TRY(fnd_batch_make_program(b, step, err));
    FND_TRY(keep_logits(b, tokens, count, err));
    for (size_t i = 0; i < count; i++) b->sessions[tokens[i].sequence]->has_logits = false;
    b->rows = 0;
    b->knows_ids = false;
    FND_TRY(write_rows(b, step, tokens, count, err));
    FND_TRY(fnd_program_run_held(step->program, err));
    b->rows = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) fnd_session_stepped(b->sessions[tokens[i].sequence], tokens[i].id, i);
    return FND_OK;
}

/* ---- what the step left ---- */

fnd_status fnd_batch_row(const fnd_batch *b, uint32_t row, fnd_const_view *out, fnd_error *err) { return fnd_const_view_cut(&b->logits.t, (fnd_cut){ .first = row, .count = 1 }, out, err); }

static fnd_status record_greedy(fnd_batch *b, fnd_error *err) {
    fnd_kernel *partial, *pick;
    const fnd_binding one[] = { fnd_bind_in("logits", &b->logits.t), fnd_bind_out("best", &b->best.t), fnd_bind_out("best_id", &b->best_id.t) };
    const fnd_binding two[] = { fnd_bind_in("best", &b->best.t), fnd_bind_in("best_id", &b->best_id.t), fnd_bind_out("id", &b->chosen.t) };
    FND_TRY(fnd_kernel_get(b->m->f, "argmax_partial", &partial, err));
    FND_TRY(fnd_kernel_get(b->m->f, "argmax_pick", &pick, err));
    FND_TRY(fnd_program_begin(b->m->f, &(fnd_program_desc){ .name = "greedy_batch", .variables = { "tokens" }, .form = b->m->form }, &b->greedy, err));
    FND_TRY(fnd_program_call(b->greedy, partial, one, FND_COUNT(one), err));
    FND_TRY(fnd_program_call(b->greedy, pick, two, FND_COUNT(two), err));
    return fnd_program_finish(b->greedy, err);
}

static fnd_status make_greedy(fnd_batch *b, fnd_error *err) {
    fnd_status status = record_greedy(b, err);
    if (status == FND_OK) return FND_OK;
    fnd_program_free(b->greedy);
    b->greedy = NULL;
    return status;
}

fnd_status fnd_batch_greedy(fnd_batch *b, uint32_t row, uint32_t *id, fnd_error *err) {
    if (!b->knows_ids) {
        if (!b->greedy) FND_TRY(make_greedy(b, err));
        FND_TRY(fnd_program_set(b->greedy, "tokens", b->rows, err));
        FND_TRY(fnd_program_run_held(b->greedy, err));
        FND_TRY(fnd_tensor_read(b->m->f, &b->chosen.t, 0, b->ids, b->rows * sizeof *b->ids, err));
        b->knows_ids = true;
    }
    *id = b->ids[row];
    return FND_OK;
}
