/* session_edit.c - what is in the context, changed: cut, copied, continued from what is there, and with
 * its oldest part dropped. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/session.h"

enum { COPY_BYTES = 1 << 20 };

/* ---- the mark: logits behind the prompt, so that another answer to it costs nothing ---- */

fnd_status fnd_session_set_mark(fnd_session *s, fnd_error *err) {
    s->mark_position = 0;
    if (!s->mark) s->mark = fnd_alloc_zeroed(s->m->info.vocab, sizeof *s->mark);
    if (!s->mark) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the logits of %u tokens", s->m->info.vocab);
    FND_TRY(fnd_session_logits(s, s->mark, err));
    s->mark_position = s->position;
    return FND_OK;
}

fnd_status fnd_session_truncate(fnd_session *s, uint32_t position, fnd_error *err) {
    if (position > s->position) return fnd_fail(err, FND_ERR_USAGE, "the context holds %u tokens; it cannot be cut to %u", s->position, position);
    s->has_logits &= position == s->position;
    s->position = position;
    if (position < s->mark_position) s->mark_position = 0;
    if (position < s->read) s->read = position;
    if (position <= s->kept) s->kept = s->dropped = 0;
    if (s->has_logits || position == 0 || position != s->mark_position) return FND_OK;
    FND_TRY(fnd_tensor_write(s->m->f, &s->logits.t, 0, s->mark, 4ull * s->m->info.vocab, err));
    s->has_logits = true;
    s->batch_row = FND_OWN_ROW;
    return FND_OK;
}

/* ---- from what is there ---- */

uint32_t fnd_session_common(const fnd_session *s, const uint32_t *ids, size_t count) {
    uint32_t n = 0;
    while (n < s->position && n < count && s->tokens[n] == ids[n]) n++;
    return n;
}

uint32_t fnd_session_common_read(const fnd_session *s, const uint32_t *ids, size_t count) { return fnd_session_common(s, ids, count < s->read ? count : s->read); }

static fnd_status check_prompt(const fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    if (count == 0) return fnd_fail(err, FND_ERR_USAGE, "the prompt has no tokens");
    if (count > s->context) return fnd_fail(err, FND_ERR_LIMIT, "the prompt has %zu tokens, but the context holds %u", count, s->context);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= s->m->info.vocab) return fnd_fail(err, FND_ERR_USAGE, "token %u is not in the vocabulary of %u", ids[i], s->m->info.vocab);
    }
    return FND_OK;
}

fnd_status fnd_session_prompt(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    FND_TRY(check_prompt(s, ids, count, err));
    uint32_t common = fnd_session_common(s, ids, count);
    bool known = common == count && (s->mark_position == common || (s->has_logits && s->position == common));
    if (common == count && !known) common--; /* its logits are needed */
    FND_TRY(fnd_session_truncate(s, common, err));
    if (common < count) FND_TRY(fnd_session_eval(s, ids + common, count - common, err));
    s->reused += common;
    return fnd_session_set_mark(s, err);
}

/* ---- copies ---- */

/* Bytes first .. end - 1. */
static fnd_status copy_bytes(foundry *f, const fnd_tensor *from, fnd_tensor *to, uint64_t first, uint64_t end, uint8_t *block, fnd_error *err) {
    for (uint64_t at = first; at < end; at += COPY_BYTES) {
        size_t n = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        FND_TRY(fnd_tensor_read(f, from, at, block, n, err));
        FND_TRY(fnd_tensor_write(f, to, at, block, n, err));
    }
    return FND_OK;
}

/* Keys, values and tokens of positions first .. position - 1. What else is in their blocks of 16 goes along: before
 * them there is the same in both, behind them nothing is used. */
static fnd_status copy_positions(const fnd_session *s, uint32_t first, uint32_t position, fnd_session *to, uint8_t *block, fnd_error *err) {
    uint64_t from = fnd_session_cache_bytes(s, first / FND_KV_BLOCK * FND_KV_BLOCK), end = fnd_session_cache_bytes(s, position);
    FND_TRY(fnd_session_grow(to, position, err));
    for (uint32_t i = 0; i < s->m->info.layers; i++) {
        FND_TRY(copy_bytes(s->m->f, &s->k_cache[i], &to->k_cache[i], from, end, block, err));
        FND_TRY(copy_bytes(s->m->f, &s->v_cache[i], &to->v_cache[i], from, end, block, err));
    }
    if (position > first) memcpy(to->tokens + first, s->tokens + first, (position - first) * sizeof *s->tokens);
    to->position = position;
    return FND_OK;
}

static fnd_status copy_state(const fnd_session *s, uint32_t position, fnd_session *to, uint8_t *block, fnd_error *err) {
    FND_TRY(copy_positions(s, 0, position, to, block, err));
    to->has_logits = s->has_logits && position == s->position;
    if (to->has_logits) {
        fnd_const_view logits;
        FND_TRY(fnd_session_find_logits(s, &logits, err));
        FND_TRY(copy_bytes(s->m->f, fnd_view_tensor(&logits), &to->logits.t, 0, 4ull * s->m->info.vocab, block, err));
    }
    to->read = position < s->read ? position : s->read;
    to->kept = position > s->kept ? s->kept : 0;
    to->dropped = position > s->kept ? s->dropped : 0;
    to->reused = position;
    return FND_OK;
}

fnd_status fnd_session_fork(const fnd_session *s, uint32_t position, fnd_session **out, fnd_error *err) {
    *out = NULL;
    if (position > s->position) return fnd_fail(err, FND_ERR_USAGE, "the context holds %u tokens; it cannot be branched at %u", s->position, position);
    fnd_session *fork = NULL;
    fnd_session_desc desc = { .context = s->context, .batch = s->batch_size, .kv_type = s->kv_type, .progress = s->progress, .progress_ctx = s->progress_ctx, .cancel = s->cancel };
    uint8_t *block = fnd_alloc_aligned(COPY_BYTES, 64);
    fnd_status status = block ? fnd_session_open(s->m, &desc, &fork, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for a session");
    if (status == FND_OK) status = copy_state(s, position, fork, block, err);
    fnd_free_memory(block);
    if (status != FND_OK) {
        fnd_session_close(fork);
        return status;
    }
    *out = fork;
    return FND_OK;
}

/* ---- a prompt, with what another session has of it ---- */

/* The first `common` tokens of `other`, of which `to` has `own`; and the logits, where its prompt ended there. */
static fnd_status take_from(fnd_session *to, const fnd_session *other, uint32_t own, uint32_t common, fnd_error *err) {
    FND_TRY(fnd_session_truncate(to, own, err));
    uint8_t *block = fnd_alloc_aligned(COPY_BYTES, 64);
    fnd_status status = block ? copy_positions(other, own, common, to, block, err) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for a copy of %u tokens", common);
    fnd_free_memory(block);
    if (status != FND_OK) return status;
    to->read = common;
    to->has_logits = false;
    if (other->mark_position != common) return FND_OK;
    if (!to->mark) to->mark = fnd_alloc_zeroed(to->m->info.vocab, sizeof *to->mark);
    if (!to->mark) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the logits of %u tokens", to->m->info.vocab);
    memcpy(to->mark, other->mark, to->m->info.vocab * sizeof *to->mark);
    to->mark_position = common;
    return FND_OK;
}

fnd_status fnd_session_prompt_from(fnd_session *s, const fnd_session *other, const uint32_t *ids, size_t count, uint32_t *reused, fnd_error *err) {
    *reused = 0;
    FND_TRY(check_prompt(s, ids, count, err));
    uint32_t own = fnd_session_common_read(s, ids, count), common = other ? fnd_session_common_read(other, ids, count) : 0;
    if (common > own)
        FND_TRY(take_from(s, other, own, common, err));
    else
        common = own;
    if (common == count && s->mark_position != common) common--; /* its logits are needed */
    FND_TRY(fnd_session_truncate(s, common, err));
    s->reused += common;
    *reused = common;
    return FND_OK;
}

/* ---- dropping ---- */

fnd_status fnd_session_shift(fnd_session *s, uint32_t keep, uint32_t drop, fnd_error *err) {
    if (drop == 0 || drop % FND_SHIFT_STEP) return fnd_fail(err, FND_ERR_USAGE, "%u tokens cannot be dropped: only multiples of %d can", drop, FND_SHIFT_STEP);
    if (keep > s->position || drop > s->position - keep) return fnd_fail(err, FND_ERR_USAGE, "%u tokens behind the first %u cannot be dropped: the context holds %u", drop, keep, s->position);
    if (!s->shift) FND_TRY(fnd_session_make_shift(s, err));
    if (keep + drop < s->position) {
        FND_TRY(fnd_program_set(s->shift, "keep", keep, err));
        FND_TRY(fnd_program_set(s->shift, "drop", drop, err));
        FND_TRY(fnd_program_set(s->shift, "pos", s->position, err));
        FND_TRY(fnd_program_run(s->shift, err));
    }
    memmove(s->tokens + keep, s->tokens + keep + drop, (s->position - keep - drop) * sizeof *s->tokens);
    s->position -= drop;
    s->mark_position = 0;
    if (keep < s->read) s->read = keep;
    s->kept = s->dropped && s->kept < keep ? s->kept : keep;
    s->dropped += drop;
    return FND_OK;
}
