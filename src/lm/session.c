/* session.c - one conversation: its cache, its position, and evaluating tokens. */
#include "lm/session.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/guesses.h"
#include "run/dispatch.h"
#include "run/tuning.h"

/* Enough that reading the weights is nothing beside using them; more only takes more memory. A GPU's groups want
 * more, so that all have work. */
enum { DEFAULT_BATCH = 256,
       DEFAULT_GPU_BATCH = 2048 };

fnd_status fnd_session_pause(const fnd_session *s, const char *what, size_t done, size_t total, fnd_error *err) {
    if (s->progress) s->progress(s->progress_ctx, what, done, total);
    if (s->cancel && *s->cancel) return fnd_fail(err, FND_ERR_CANCELLED, "cancelled: %s, %zu of %zu", what, done, total);
    return FND_OK;
}

/* ---- memory ---- */

fnd_status fnd_session_take(fnd_pool *pool, fnd_format format, fnd_shape shape, fnd_pooled *out, const char *name, fnd_error *err) {
    FND_TRY(fnd_pool_alloc(pool, format, shape, FND_POISON, out, err));
    fnd_tensor_set_name(&out->t, name);
    return FND_OK;
}

fnd_status fnd_session_take_pages(foundry *f, fnd_format format, fnd_shape shape, fnd_dedicated *out, const char *name, fnd_error *err) {
    FND_TRY(fnd_reserve(f, format, shape, out, err));
    FND_TRY(fnd_grow(f, out, shape.dim[0], err));
    fnd_tensor_set_name(&out->t, name);
    return FND_OK;
}

static fnd_status take_activations(fnd_session *s, fnd_activations *a, uint32_t rows, fnd_error *err) {
    a->rows = rows;
    FND_TRY(fnd_session_take(&s->pool, FND_U32, fnd_shape1(rows), &a->ids, "ids", err));
    return fnd_session_take(&s->pool, FND_F32, fnd_shape2(rows, s->m->info.dim), &a->x, "x", err);
}

static uint64_t activation_bytes(const fnd_session *s, uint64_t rows) { return 4 * rows * (s->m->info.dim + 1ull) + 2 * 128; }

static fnd_status make_memory(fnd_session *s, fnd_error *err) {
    const fnd_model_info *m = &s->m->info;
    uint64_t head_bytes = 4ull * FND_HEAD_ROWS * m->dim + 128 + fnd_sampler_bytes();
    FND_TRY(fnd_pool_create(s->m->f, activation_bytes(s, 1) + activation_bytes(s, s->batch_size) + head_bytes, "activations", &s->pool, err));
    FND_TRY(take_activations(s, &s->one, 1, err));
    FND_TRY(take_activations(s, &s->many, s->batch_size, err));
    FND_TRY(fnd_session_take(&s->pool, FND_F32, fnd_shape2(FND_HEAD_ROWS, m->dim), &s->last, "last", err));
    FND_TRY(fnd_session_take_pages(s->m->f, FND_F32, fnd_shape2(FND_HEAD_ROWS, m->vocab), &s->logits, "logits", err));
    return fnd_sampler_make(s, err);
}

uint64_t fnd_session_blocks(uint32_t positions) { return ((uint64_t)positions + FND_KV_BLOCK - 1) / FND_KV_BLOCK; }

/* Caches that grow. */
static fnd_status reserve_cache(const fnd_session *s, fnd_dedicated *own, fnd_tensor *cache, fnd_error *err) {
    const fnd_model_info *m = &s->m->info;
    FND_TRY(fnd_reserve(s->m->f, s->kv_type, fnd_shape4(fnd_session_blocks(s->context), m->kv_heads, FND_KV_BLOCK, m->head_dim), own, err));
    FND_TRY(fnd_grow(s->m->f, own, 1, err));
    *cache = own->t;
    return FND_OK;
}

/* A batch has room for all: sequence `index` has a range of it. */
static fnd_status share_cache(const fnd_session *s, uint32_t index, fnd_dedicated *pool, fnd_tensor *cache, fnd_error *err) {
    fnd_view range;
    FND_TRY(fnd_view_cut(&pool->t, (fnd_cut){ .first = (uint64_t)index * s->batch->blocks, .count = s->batch->blocks }, &range, err));
    *cache = range.t;
    return FND_OK;
}

static fnd_status make_caches(fnd_session *s, uint32_t index, fnd_error *err) {
    uint32_t layers = s->m->info.layers;
    s->k_cache = fnd_alloc_zeroed(layers, sizeof *s->k_cache);
    s->v_cache = fnd_alloc_zeroed(layers, sizeof *s->v_cache);
    if (!s->batch) s->caches = fnd_alloc_zeroed(2ull * layers, sizeof *s->caches);
    if (!s->k_cache || !s->v_cache || (!s->batch && !s->caches)) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the caches of %u layers", layers);
    s->tokens = fnd_alloc_zeroed(s->context, sizeof *s->tokens); /* pages that are not yet used take no memory */
    if (!s->tokens) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the ids of %u tokens", s->context);
    for (uint32_t i = 0; i < layers; i++) {
        FND_TRY(s->batch ? share_cache(s, index, &s->batch->k_pool[i], &s->k_cache[i], err) : reserve_cache(s, &s->caches[i], &s->k_cache[i], err));
        FND_TRY(s->batch ? share_cache(s, index, &s->batch->v_pool[i], &s->v_cache[i], err) : reserve_cache(s, &s->caches[layers + i], &s->v_cache[i], err));
    }
    return FND_OK;
}

uint64_t fnd_session_cache_bytes(const fnd_session *s, uint32_t positions) {
    const fnd_tensor *t = &s->k_cache[0];
    return fnd_session_blocks(positions) * (fnd_tensor_bytes(t) / t->shape[0]);
}

/* Doubles, so most tokens find room. */
fnd_status fnd_session_grow(fnd_session *s, uint32_t positions, fnd_error *err) {
    uint64_t blocks = fnd_session_blocks(positions);
    uint32_t count = 2 * s->m->info.layers;
    if (!s->caches || blocks <= fnd_usable(&s->caches[count - 1].t)) return FND_OK;
    for (uint32_t i = 0; i < count; i++) FND_TRY(fnd_grow(s->m->f, &s->caches[i], blocks, err));
    return FND_OK;
}

static fnd_status check_kv_type(const fnd_model *m, fnd_format type, fnd_error *err) {
    const fnd_format_info *info = fnd_format_get(type);
    bool known = type == FND_F16 || type == FND_F32 || type == FND_Q8_0;
    if (!known) return fnd_fail(err, FND_ERR_UNSUPPORTED, "keys and values cannot be kept as %s; they can as f16, f32 or q8_0", info ? info->name : "a format that there is not");
    if (m->info.head_dim % info->block_weights == 0) return FND_OK;
    return fnd_fail(err, FND_ERR_UNSUPPORTED, "keys and values of heads of %u values cannot be kept as %s, which has blocks of %u; they can as f16 or f32", m->info.head_dim, info->name, info->block_weights);
}

fnd_status fnd_session_resolve(const fnd_model *m, fnd_session_desc *d, fnd_error *err) {
    fnd_context_info info;
    FND_TRY(fnd_info(m->f, &info, err));
    if (d->context > m->info.context_length) return fnd_fail(err, FND_ERR_LIMIT, "a context of %u tokens was asked for; this model has been made for %u%s", d->context, m->info.context_length, m->info.sliding_window ? ", where its attention would begin to slide" : "");
    if (!d->context) d->context = m->info.context_length;
    if (!d->kv_type) d->kv_type = FND_F16;
    if (!d->batch) d->batch = fnd_tuned(m->f)->batch;
    if (!d->batch) d->batch = strcmp(info.backend, "cuda") == 0 ? DEFAULT_GPU_BATCH : DEFAULT_BATCH;
    if (d->batch > d->context) d->batch = d->context;
    if (d->batch < FND_HEAD_ROWS) d->batch = FND_HEAD_ROWS;
    return check_kv_type(m, d->kv_type, err);
}

fnd_status fnd_session_open_in(fnd_model *m, const fnd_session_desc *desc, fnd_batch *b, uint32_t index, fnd_session **out, fnd_error *err) {
    fnd_session_desc d = desc ? *desc : (fnd_session_desc){ 0 };
    *out = NULL;
    FND_TRY(fnd_session_resolve(m, &d, err));
    fnd_session *s = fnd_alloc_zeroed(1, sizeof *s);
    if (!s) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a session");
    *s = (fnd_session){ .m = m, .context = d.context, .batch_size = d.batch, .kv_type = d.kv_type, .progress = d.progress, .progress_ctx = d.progress_ctx, .cancel = d.cancel, .batch = b, .batch_row = FND_OWN_ROW };
    s->inv_freq = m->rope.long_inv_freq.t.rank && s->context > m->info.original_context ? &m->rope.long_inv_freq.t : &m->rope.inv_freq.t;
    fnd_status status = make_memory(s, err);
    if (status == FND_OK) status = make_caches(s, index, err);
    if (status == FND_OK) status = fnd_session_make_programs(s, err);
    if (status != FND_OK) {
        fnd_session_close(s);
        return status;
    }
    fnd_memory_trim(); /* texts of kernels, vocabularies: much was needed to get here that is not needed from here on */
    *out = s;
    return FND_OK;
}

fnd_status fnd_session_open(fnd_model *m, const fnd_session_desc *desc, fnd_session **out, fnd_error *err) { return fnd_session_open_in(m, desc, NULL, 0, out, err); }

void fnd_session_close(fnd_session *s) {
    if (!s) return;
    /* Last made, first gone: what waits for the compiler leaves the queue before what it compiles ends. */
    fnd_guesses_close(s);
    fnd_sampler_free(s);
    fnd_program_free(s->shift);
    fnd_program_free(s->heads);
    fnd_program_free(s->head);
    fnd_program_free(s->prefill);
    fnd_program_free(s->decode);
    for (uint32_t i = 0; s->caches && i < 2 * s->m->info.layers; i++) fnd_tensor_free(s->m->f, &s->caches[i], NULL);
    fnd_sampler_free_memory(s);
    fnd_tensor_free(s->m->f, &s->logits, NULL);
    if (s->pool.storage) fnd_pool_destroy(&s->pool, NULL);
    fnd_free_memory(s->caches);
    fnd_free_memory(s->k_cache);
    fnd_free_memory(s->v_cache);
    fnd_free_memory(s->tokens);
    fnd_free_memory(s->mark);
    fnd_free_memory(s);
}

/* ---- evaluating ---- */

fnd_status fnd_session_check_ids(const fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    if (count == 0) return fnd_fail(err, FND_ERR_USAGE, "there are no tokens to evaluate");
    if (count > s->context - s->position) {
        return fnd_fail(err, FND_ERR_LIMIT, "%zu token%s no room: the context holds %u and %u are in it", count, count == 1 ? " has" : "s have", s->context, s->position);
    }
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= s->m->info.vocab) return fnd_fail(err, FND_ERR_USAGE, "token %u is not in the vocabulary of %u", ids[i], s->m->info.vocab);
    }
    return FND_OK;
}

static void add_tokens(fnd_session *s, const uint32_t *ids, uint32_t count) {
    memcpy(s->tokens + s->position, ids, count * sizeof *ids);
    s->position += count;
    s->computed += count;
}

/* As a prompt. */
static void add_read(fnd_session *s, const uint32_t *ids, uint32_t count) {
    if (s->read == s->position) s->read += count;
    add_tokens(s, ids, count);
}

static fnd_status eval_one(fnd_session *s, uint32_t id, fnd_error *err) {
    FND_TRY(fnd_tensor_write(s->m->f, &s->one.ids.t, 0, &id, sizeof id, err));
    FND_TRY(fnd_program_set(s->decode, "pos", s->position, err));
    FND_TRY(fnd_program_run_held(s->decode, err));
    add_tokens(s, &id, 1);
    s->has_logits = true;
    return FND_OK;
}

void fnd_session_stepped(fnd_session *s, uint32_t id, uint32_t row) {
    add_tokens(s, &id, 1);
    s->has_logits = true;
    s->batch_row = row;
}

/* Up to `batch` tokens through the layers; their rows are then in many.x. */
static fnd_status eval_chunk(fnd_session *s, const uint32_t *ids, uint32_t count, fnd_error *err) {
    FND_TRY(fnd_tensor_write(s->m->f, &s->many.ids.t, 0, ids, count * sizeof *ids, err));
    FND_TRY(fnd_program_set(s->prefill, "pos", s->position, err));
    FND_TRY(fnd_program_set(s->prefill, "tokens", count, err));
    FND_TRY(fnd_program_run(s->prefill, err));
    add_read(s, ids, count);
    return FND_OK;
}

/* Rows, on the device, to the first rows of a tensor. */
static fnd_status copy_rows(const fnd_session *s, const fnd_const_view *from, fnd_tensor *to, uint32_t count, fnd_error *err) {
    fnd_kernel *copy;
    fnd_view rows;
    FND_TRY(fnd_kernel_get(s->m->f, "copy", &copy, err));
    FND_TRY(fnd_view_cut(to, (fnd_cut){ .count = count }, &rows, err));
    fnd_binding b[] = { fnd_bind_in("x", fnd_view_tensor(from)), fnd_bind_out("y", &rows.t) };
    return fnd_run_held(s->m->f, copy, b, FND_COUNT(b), err);
}

fnd_status fnd_session_take_row(fnd_session *s, uint32_t id, uint32_t row, fnd_error *err) {
    fnd_const_view from;
    FND_TRY(fnd_const_view_cut(&s->logits.t, (fnd_cut){ .first = row, .count = 1 }, &from, err));
    if (row) FND_TRY(copy_rows(s, &from, &s->logits.t, 1, err));
    add_tokens(s, &id, 1);
    s->has_logits = true;
    s->batch_row = FND_OWN_ROW;
    return FND_OK;
}

/* Logits of rows first .. first + count - 1 of the chunk, into rows 0 .. of s->logits. */
static fnd_status run_head(fnd_session *s, uint32_t first, uint32_t count, fnd_error *err) {
    fnd_const_view from;
    FND_TRY(fnd_const_view_cut(&s->many.x.t, (fnd_cut){ .dim = 0, .first = first, .count = count }, &from, err));
    FND_TRY(copy_rows(s, &from, &s->last.t, count, err));
    if (count == 1) return fnd_program_run_held(s->head, err);
    if (!s->heads) FND_TRY(fnd_session_make_heads(s, err));
    FND_TRY(fnd_program_set(s->heads, "tokens", count, err));
    return fnd_program_run_held(s->heads, err);
}

fnd_status fnd_session_was_read(fnd_session *s, const uint32_t *ids, size_t count, const fnd_const_view *x, fnd_error *err) {
    s->has_logits = false;
    s->batch_row = FND_OWN_ROW;
    add_read(s, ids, (uint32_t)count);
    if (!x) return FND_OK;
    FND_TRY(copy_rows(s, x, &s->last.t, 1, err));
    FND_TRY(fnd_program_run(s->head, err));
    s->has_logits = true;
    return FND_OK;
}

/* Between batches. */
static fnd_status pause(const fnd_session *s, size_t done, size_t total, fnd_error *err) { return fnd_session_pause(s, "reading the prompt", done, total, err); }

static fnd_status begin_eval(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    FND_TRY(fnd_session_check_ids(s, ids, count, err));
    FND_TRY(fnd_session_grow(s, s->position + (uint32_t)count, err));
    s->has_logits = false;
    s->batch_row = FND_OWN_ROW;
    return FND_OK;
}

fnd_status fnd_session_eval(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    if (count != 1) return fnd_session_read(s, ids, count, err);
    FND_TRY(begin_eval(s, ids, 1, err));
    return eval_one(s, ids[0], err);
}

fnd_status fnd_session_read(fnd_session *s, const uint32_t *ids, size_t count, fnd_error *err) {
    uint32_t n = 0;
    FND_TRY(begin_eval(s, ids, count, err));
    for (size_t done = 0; done < count; done += n) {
        FND_TRY(pause(s, done, count, err));
        n = (uint32_t)fnd_min_size(s->batch_size, count - done);
        FND_TRY(eval_chunk(s, ids + done, n, err));
    }
    FND_TRY(fnd_program_rest(s->prefill, err)); /* what follows mostly is decoding */
    FND_TRY(run_head(s, n - 1, 1, err));
    if (s->progress) s->progress(s->progress_ctx, "reading the prompt", count, count);
    s->has_logits = true;
    return FND_OK;
}

static fnd_status give_each(fnd_session *s, uint32_t rows, size_t index, float *logits, fnd_logits_fn *each, void *ctx, fnd_error *err) {
    for (uint32_t first = 0; first < rows; first += FND_HEAD_ROWS) {
        uint32_t count = rows - first < FND_HEAD_ROWS ? rows - first : FND_HEAD_ROWS;
        FND_TRY(run_head(s, first, count, err));
        for (uint32_t i = 0; i < count; i++) {
            FND_TRY(fnd_tensor_read(s->m->f, &s->logits.t, 4ull * i * s->m->info.vocab, logits, 4ull * s->m->info.vocab, err));
            FND_TRY(each(ctx, index + first + i, logits, err));
        }
    }
    return FND_OK;
}

fnd_status fnd_session_eval_each(fnd_session *s, const uint32_t *ids, size_t count, fnd_logits_fn *each, void *ctx, fnd_error *err) {
    FND_TRY(begin_eval(s, ids, count, err));
    float *logits = fnd_alloc_zeroed(s->m->info.vocab, sizeof *logits);
    if (!logits) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the logits of %u tokens", s->m->info.vocab);
    fnd_status status = FND_OK;
    for (size_t done = 0; done < count && status == FND_OK;) {
        uint32_t n = (uint32_t)fnd_min_size(s->batch_size, count - done);
        status = pause(s, done, count, err);
        if (status == FND_OK) status = eval_chunk(s, ids + done, n, err);
        if (status == FND_OK) status = give_each(s, n, done, logits, each, ctx, err);
        done += n;
    }
    fnd_free_memory(logits);
    if (status == FND_OK) status = fnd_program_rest(s->prefill, err);
    if (status == FND_OK) status = run_head(s, (uint32_t)((count - 1) % s->batch_size), 1, err);
    s->has_logits = status == FND_OK;
    return status;
}

static fnd_status need_logits(const fnd_session *s, fnd_error *err) {
    return s->has_logits ? FND_OK : fnd_fail(err, FND_ERR_USAGE, "no token was evaluated yet: there are no logits");
}

fnd_status fnd_session_find_logits(const fnd_session *s, fnd_const_view *out, fnd_error *err) {
    FND_TRY(need_logits(s, err));
    if (s->batch_row != FND_OWN_ROW) return fnd_batch_row(s->batch, s->batch_row, out, err);
    return fnd_const_view_cut(&s->logits.t, (fnd_cut){ .count = 1 }, out, err);
}

fnd_status fnd_session_own_logits(fnd_session *s, fnd_error *err) {
    fnd_const_view from;
    if (!s->has_logits || s->batch_row == FND_OWN_ROW) return FND_OK;
    FND_TRY(fnd_session_find_logits(s, &from, err));
    FND_TRY(copy_rows(s, &from, &s->logits.t, 1, err));
    s->batch_row = FND_OWN_ROW;
    return FND_OK;
}

fnd_status fnd_session_logits(fnd_session *s, float *logits, fnd_error *err) {
    fnd_const_view from;
    FND_TRY(fnd_session_find_logits(s, &from, err));
    return fnd_tensor_read(s->m->f, fnd_view_tensor(&from), 0, logits, 4ull * s->m->info.vocab, err);
}

fnd_model *fnd_session_model(const fnd_session *s) { return s->m; }
const fnd_program *fnd_session_program(const fnd_session *s, const char *name) {
    if (strcmp(name, "decode") == 0) return s->decode;
    if (strcmp(name, "prefill") == 0) return s->prefill;
    return strcmp(name, "head") == 0 ? s->head : NULL;
}

uint32_t fnd_session_position(const fnd_session *s) { return s->position; }
uint32_t fnd_session_context(const fnd_session *s) { return s->context; }
const uint32_t *fnd_session_tokens(const fnd_session *s) { return s->tokens; }

void fnd_session_get_stats(const fnd_session *s, fnd_session_stats *out) {
    uint32_t usable = s->caches ? (uint32_t)fnd_usable(&s->k_cache[0]) * FND_KV_BLOCK : s->position;
    *out = (fnd_session_stats){ .computed = s->computed, .reused = s->reused, .dropped = s->dropped };
    out->cache_bytes = 2ull * s->m->info.layers * fnd_session_cache_bytes(s, usable);
}
