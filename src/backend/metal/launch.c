/* launch.c - one launch as a dispatch in the open encoder.
 *
 * SAFETY: buffers are bound as kernels/dialect/metal.h numbers them: the tensors in the order of the launch's
 * list, the numbers behind them, scratch memory, how many bytes of it each group has. The cache's key covers that
 * header, so both sides agree. Dispatches in one encoder may run together: a barrier stands before each that
 * does not say it may, and those that may have scratch memory of their own. */
#include "backend/metal/metal.h"
#include "base/base.h"

enum { SCRATCH_ALIGNMENT = 256,
       SCRATCH_STEP = 1 << 20,
       MOST_NUMBERS = 4096 /* Metal takes no more by value */ };

/* Scratch memory that no dispatch since the last barrier has: the rest of the present buffer, or a larger one. */
static fnd_status take_scratch(fnd_metal *c, const fnd_launch *l, uint64_t *each, uint64_t *at, fnd_error *err) {
    size_t one = fnd_round_up(l->scratch_bytes, SCRATCH_ALIGNMENT), bytes, end;
    if (one < l->scratch_bytes || !fnd_mul_size(one, l->groups, &bytes) || !fnd_add_size(c->scratch_used, bytes, &end)) {
        return fnd_fail(err, FND_ERR_MEMORY, "%s: %zu bytes of scratch in each of %u groups cannot be had", l->label, l->scratch_bytes, l->groups);
    }
    *each = one;
    if (end > c->scratch_bytes) {
        fnd_id larger;
        size_t want = fnd_round_up(fnd_max_size(2 * c->scratch_bytes, end), SCRATCH_STEP);
        if (want > c->max_buffer) want = fnd_round_up(bytes, SCRATCH_ALIGNMENT);
        FND_TRY(fnd_metal_new_buffer(c, want, c->unified, "foundry scratch", &larger, err));
        if (c->scratch) fnd_mtl_release(c->m, c->scratch); /* dispatches that have it hold it */
        c->scratch = larger;
        c->scratch_bytes = want;
        c->scratch_used = 0;
    }
    *at = c->scratch_used;
    c->scratch_used += bytes;
    return FND_OK;
}

static fnd_status bind_tensors(fnd_metal *c, const fnd_launch *l, fnd_error *err) {
    for (size_t i = 0; i < l->buffer_count; i++) {
        const fnd_launch_buffer *b = &l->buffers[i];
        fnd_id buffer;
        uint64_t offset;
        fnd_error why = { 0 };
        if (fnd_metal_find(c, b->address, b->bytes, &buffer, &offset, &why) != FND_OK) return fnd_fail(err, why.status, "%s: argument %s: %s", l->label, b->name, why.text);
        fnd_mtl_compute_buffer(c->m, c->compute, buffer, offset, i);
    }
    return FND_OK;
}

static fnd_status check(const fnd_launch *l, fnd_error *err) {
    if (!l->code) return fnd_fail(err, FND_ERR_USAGE, "%s: there is no code to launch", l->label);
    if (l->is_program) return fnd_fail(err, FND_ERR_UNSUPPORTED, "%s: programs run as launches on Metal, one by one", l->label);
    if (l->values_at > l->args_bytes || l->args_bytes - l->values_at > MOST_NUMBERS) return fnd_fail(err, FND_ERR_USAGE, "%s: %zu bytes of numbers; %d are possible", l->label, l->args_bytes - l->values_at, MOST_NUMBERS);
    return FND_OK;
}

static fnd_status encode(fnd_metal *c, const fnd_launch *l, fnd_error *err) {
    const fnd_metal_api *m = c->m;
    const fnd_metal_code *code = l->code;
    const uint64_t nothing[2] = { 0 };
    uint64_t each = 0, scratch_at = 0, numbers = l->args_bytes - l->values_at;
    FND_TRY(fnd_metal_cut(c, l->ops, err));
    FND_TRY(fnd_metal_compute_encoder(c, err));
    if (c->since_barrier && !l->concurrent) {
        fnd_mtl_compute_barrier(m, c->compute, FND_MTL_BARRIER_BUFFERS);
        c->since_barrier = 0;
        c->scratch_used = 0;
    }
    fnd_mtl_compute_pipeline(m, c->compute, code->pipeline);
    FND_TRY(bind_tensors(c, l, err));
    if (l->scratch_bytes) FND_TRY(take_scratch(c, l, &each, &scratch_at, err));
    fnd_mtl_compute_bytes(m, c->compute, numbers ? (const uint8_t *)l->args + l->values_at : (const uint8_t *)nothing, numbers ? numbers : sizeof nothing, l->buffer_count);
    fnd_mtl_compute_buffer(m, c->compute, l->scratch_bytes ? c->scratch : c->nothing, scratch_at, l->buffer_count + 1);
    fnd_mtl_compute_bytes(m, c->compute, &each, sizeof each, l->buffer_count + 2);
    fnd_mtl_compute_push(m, c->compute, fnd_metal_string(m, l->label));
    fnd_mtl_compute_dispatch(m, c->compute, (fnd_mtl_size){ l->groups, 1, 1 }, (fnd_mtl_size){ code->warps * FND_METAL_LANES, 1, 1 });
    fnd_mtl_compute_pop(m, c->compute);
    c->since_barrier++;
    c->recorded++;
    c->ops += l->ops;
    return FND_OK;
}

fnd_status fnd_metal_launch(void *self, const fnd_launch *launch, fnd_error *err) {
    fnd_metal *c = self;
    fnd_error why = c->failure; /* nothing is launched behind a failure that is not yet told */
    void *pool = c->m->push_pool();
    fnd_status status = why.status;
    if (status == FND_OK) status = check(launch, &why);
    if (status == FND_OK) status = encode(c, launch, &why);
    if (status != FND_OK) {
        fnd_metal_discard(c);
        if (c->failure.status == FND_OK) c->failure = why;
        fnd_fail(err, why.status, "%s", why.text);
    }
    c->m->pop_pool(pool);
    return status;
}
