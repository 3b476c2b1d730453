/* sampler.c - choosing the next token on the device: the logits stay there, one id comes back. */
#include "base/base.h"
#include "lm/batch.h"
#include "run/dispatch.h"

#include <math.h>

enum { NEAR = 2048 };

/* Candidates a slice can have: all of its tokens. */
static uint32_t slice_tokens(const fnd_session *s) { return (s->m->info.vocab + FND_SLICES - 1) / FND_SLICES; }

uint64_t fnd_sampler_bytes(void) { return 8ull * FND_SLICES + 4 + 3 * 128; }

fnd_status fnd_sampler_make(fnd_session *s, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    uint64_t all = (uint64_t)FND_SLICES * slice_tokens(s), vocab = s->m->info.vocab;
    FND_TRY(fnd_session_take(&s->pool, FND_F32, fnd_shape2(1, FND_SLICES), &p->best, "best", err));
    FND_TRY(fnd_session_take(&s->pool, FND_U32, fnd_shape2(1, FND_SLICES), &p->best_id, "best_id", err));
    FND_TRY(fnd_session_take_pages(s->m->f, FND_F32, fnd_shape1(all), &p->kept, "kept", err));
    FND_TRY(fnd_session_take_pages(s->m->f, FND_U32, fnd_shape1(all), &p->kept_ids, "kept_ids", err));
    FND_TRY(fnd_session_take_pages(s->m->f, FND_F32, fnd_shape1(vocab), &p->near_logits, "near_logits", err));
    FND_TRY(fnd_session_take_pages(s->m->f, FND_U32, fnd_shape1(vocab), &p->near_ids, "near_ids", err));
    return fnd_session_take(&s->pool, FND_U32, fnd_shape1(1), &p->chosen, "chosen", err);
}

static void forget(fnd_program **p) {
    fnd_program_free(*p);
    *p = NULL;
}

void fnd_sampler_free(fnd_session *s) {
    forget(&s->sampler.greedy[0]);
    forget(&s->sampler.greedy[1]);
    forget(&s->sampler.draw);
    fnd_sampler_forget(s);
}

void fnd_sampler_free_memory(fnd_session *s) {
    fnd_sampler *p = &s->sampler;
    fnd_dedicated *const own[] = { &p->kept, &p->kept_ids, &p->near_logits, &p->near_ids };
    for (size_t i = 0; i < FND_COUNT(own); i++) fnd_tensor_free(s->m->f, own[i], NULL);
}

static fnd_status call(fnd_session *s, fnd_program *p, const char *name, const fnd_binding *b, size_t count, fnd_error *err) {
    fnd_kernel *k;
    FND_TRY(fnd_kernel_get(s->m->f, name, &k, err));
    return fnd_program_call(p, k, b, count, err);
}

static fnd_status record_greedy(fnd_session *s, fnd_tensor *logits, fnd_program **out, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    FND_TRY(fnd_program_begin(s->m->f, &(fnd_program_desc){ .name = "greedy", .form = s->m->form }, out, err));
    const fnd_binding a[] = { fnd_bind_in("logits", logits), fnd_bind_out("best", &p->best.t), fnd_bind_out("best_id", &p->best_id.t) };
    const fnd_binding b[] = { fnd_bind_in("best", &p->best.t), fnd_bind_in("best_id", &p->best_id.t), fnd_bind_out("id", &p->chosen.t) };
    FND_TRY(call(s, *out, "argmax_partial", a, FND_COUNT(a), err));
    FND_TRY(call(s, *out, "argmax_pick", b, FND_COUNT(b), err));
    return fnd_program_finish(*out, err);
}

/* The first `count` values of a vector, as [rows, count / rows]. */
static fnd_status front(fnd_dedicated *of, uint64_t rows, uint64_t count, fnd_view *out, fnd_error *err) {
    fnd_view cut;
    FND_TRY(fnd_view_cut(&of->t, (fnd_cut){ .dim = 0, .first = 0, .count = count }, &cut, err));
    return rows ? fnd_view_shape(&cut.t, fnd_shape2(rows, count / rows), out, err) : (*out = cut, FND_OK);
}

static fnd_status record_draw(fnd_session *s, fnd_tensor *logits, const fnd_draw_key *key, fnd_program **out, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    fnd_view kept, kept_ids, near_logits, near_ids;
    uint64_t candidates = (uint64_t)FND_SLICES * key->per_slice;
    fnd_program_desc desc = { .name = "draw", .variables = { "top_k", "top_p", "min_p", "temperature", "seed", "seed_high", "position" }, .form = s->m->form };
    if (key->typical) desc.variables[7] = "typical_p";
    FND_TRY(front(&p->kept, FND_SLICES, candidates, &kept, err));
    FND_TRY(front(&p->kept_ids, FND_SLICES, candidates, &kept_ids, err));
    FND_TRY(front(&p->near_logits, 0, key->near, &near_logits, err));
    FND_TRY(front(&p->near_ids, 0, key->near, &near_ids, err));
    FND_TRY(fnd_program_begin(s->m->f, &desc, out, err));
    const fnd_binding a[] = { fnd_bind_in("logits", logits), fnd_bind_out("kept", &kept.t), fnd_bind_out("kept_ids", &kept_ids.t) };
    const fnd_binding typical[] = { fnd_bind_out("kept", &kept.t), fnd_bind_u32("top_k", 0), fnd_bind_f32("typical_p", 1) };
    const fnd_binding b[] = {
        fnd_bind_in("kept", &kept.t),
        fnd_bind_in("kept_ids", &kept_ids.t),
        fnd_bind_out("near_logits", &near_logits.t),
        fnd_bind_out("near_ids", &near_ids.t),
        fnd_bind_out("id", &p->chosen.t),
        fnd_bind_u32("top_k", 0),
        fnd_bind_f32("top_p", 1),
        fnd_bind_f32("min_p", 0),
        fnd_bind_f32("temperature", 1),
        fnd_bind_u32("seed", 0),
        fnd_bind_u32("seed_high", 0),
        fnd_bind_u32("position", 0),
    };
    FND_TRY(call(s, *out, "sample_partial", a, FND_COUNT(a), err));
    if (key->typical) FND_TRY(call(s, *out, "sample_typical", typical, FND_COUNT(typical), err));
    FND_TRY(call(s, *out, "sample_pick", b, FND_COUNT(b), err));
    return fnd_program_finish(*out, err);
}

static fnd_status set_float(fnd_program *p, const char *name, float value, fnd_error *err) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return fnd_program_set(p, name, bits, err);
}

static fnd_status check_share(const char *name, float value, fnd_error *err) {
    return value >= 0.0f && value <= 1.0f ? FND_OK : fnd_fail(err, FND_ERR_USAGE, "sampling: %s is %g; it must be from 0 to 1", name, (double)value);
}

static fnd_status check(const fnd_session *s, const fnd_sampling *c, fnd_error *err) {
    if (!s->has_logits) return fnd_fail(err, FND_ERR_USAGE, "no token was evaluated yet: there are no logits");
    if (!(c->temperature >= 0.0f && c->temperature < 1e6f)) return fnd_fail(err, FND_ERR_USAGE, "sampling: temperature %g must be 0 or more, and below a million", (double)c->temperature);
    FND_TRY(check_share("top_p", c->top_p, err));
    FND_TRY(check_share("min_p", c->min_p, err));
    FND_TRY(check_share("typical_p", c->typical_p, err));
    if (!(c->repeat_penalty >= 0.0f && c->repeat_penalty < 1e6f)) return fnd_fail(err, FND_ERR_USAGE, "sampling: repeat_penalty %g must be 0 or more, and below a million", (double)c->repeat_penalty);
    bool finite = fabsf(c->presence_penalty) < 1e6f && fabsf(c->frequency_penalty) < 1e6f;
    if (!finite) return fnd_fail(err, FND_ERR_USAGE, "sampling: presence_penalty %g and frequency_penalty %g must be between minus a million and a million", (double)c->presence_penalty, (double)c->frequency_penalty);
    for (size_t i = 0; i < c->bias_count; i++) {
        const fnd_logit_bias *b = &c->bias[i];
        if (b->id >= s->m->info.vocab) return fnd_fail(err, FND_ERR_USAGE, "sampling: a bias is for token %u, but the vocabulary has %u", b->id, s->m->info.vocab);
        if (!(b->bias < 1e6f && (b->bias > -1e6f || b->bias == -INFINITY))) return fnd_fail(err, FND_ERR_USAGE, "sampling: the bias of token %u is %g; it must be between minus a million and a million, or -infinity", b->id, (double)b->bias);
    }
    return FND_OK;
}

static fnd_status get_draw(fnd_session *s, fnd_tensor *logits, const fnd_draw_key *key, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    const fnd_draw_key *had = &p->draw_key;
    if (p->draw && had->per_slice == key->per_slice && had->near == key->near && had->adjusted == key->adjusted && had->typical == key->typical) return FND_OK;
    forget(&p->draw);
    p->draw_key = *key;
    fnd_status status = record_draw(s, logits, key, &p->draw, err);
    if (status != FND_OK) forget(&p->draw);
    return status;
}

static fnd_status run_draw(fnd_session *s, fnd_tensor *logits, const fnd_sampling *c, bool adjusted, fnd_error *err) {
    uint32_t vocab = s->m->info.vocab, top_k = c->top_k < vocab ? c->top_k : 0, all = slice_tokens(s);
    fnd_draw_key key = { .per_slice = top_k && top_k < all ? top_k : all, .near = NEAR, .adjusted = adjusted, .typical = c->typical_p > 0.0f && c->typical_p < 1.0f };
    if (key.near > vocab) key.near = vocab;
    if (key.near < top_k) key.near = top_k;
    FND_TRY(get_draw(s, logits, &key, err));
    fnd_program *draw = s->sampler.draw;
    if (key.typical) FND_TRY(set_float(draw, "typical_p", c->typical_p, err));
    FND_TRY(fnd_program_set(draw, "top_k", top_k, err));
    FND_TRY(set_float(draw, "top_p", c->top_p > 0.0f ? c->top_p : 1.0f, err));
    FND_TRY(set_float(draw, "min_p", c->min_p, err));
    FND_TRY(set_float(draw, "temperature", c->temperature, err));
    FND_TRY(fnd_program_set(draw, "seed", (uint32_t)c->seed, err));
    FND_TRY(fnd_program_set(draw, "seed_high", (uint32_t)(c->seed >> 32), err));
    FND_TRY(fnd_program_set(draw, "position", s->position + s->dropped, err));
    return fnd_program_run_held(draw, err);
}

static fnd_status run_greedy(fnd_session *s, fnd_tensor *logits, bool adjusted, fnd_error *err) {
    fnd_program **p = &s->sampler.greedy[adjusted];
    if (!*p) {
        fnd_status status = record_greedy(s, logits, p, err);
        if (status != FND_OK) forget(p);
        FND_TRY(status);
    }
    return fnd_program_run_held(*p, err);
}

fnd_status fnd_session_sample(fnd_session *s, const fnd_sampling *sampling, uint32_t *id, fnd_error *err) {
    fnd_sampling c = sampling ? *sampling : (fnd_sampling){ 0 };
    fnd_view model;
    fnd_tensor *logits = &model.t;
    bool adjusted = fnd_sampling_adjusts(&c);
    FND_TRY(check(s, &c, err));
    if (s->batch_row != FND_OWN_ROW && c.temperature == 0.0f && !adjusted) return fnd_batch_greedy(s->batch, s->batch_row, id, err);
    FND_TRY(fnd_session_own_logits(s, err));
    FND_TRY(fnd_view_cut(&s->logits.t, (fnd_cut){ .count = 1 }, &model, err));
    if (adjusted) {
        FND_TRY(fnd_sampler_adjust(s, &c, logits, err));
        logits = &s->sampler.adjusted.t;
    }
    if (c.temperature == 0.0f) {
        FND_TRY(run_greedy(s, logits, adjusted, err));
    } else {
        FND_TRY(run_draw(s, logits, &c, adjusted, err));
    }
    FND_TRY(fnd_tensor_read(s->m->f, &s->sampler.chosen.t, 0, id, sizeof *id, err));
    return adjusted ? fnd_sampler_adjusted(s, err) : FND_OK;
}
