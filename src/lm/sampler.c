/* sampler.c - choosing the next token on the device: the logits stay there, one id comes back. */
#include "base/base.h"
#include "lm/session.h"

enum { NEAR = 2048 };

/* Candidates a slice can have: all of its tokens. */
static uint32_t slice_tokens(const fnd_session *s) { return (s->m->info.vocab + FND_SLICES - 1) / FND_SLICES; }

uint64_t fnd_sampler_bytes(const fnd_session *s) {
    return 8ull * FND_SLICES * slice_tokens(s) + 8ull * s->m->info.vocab + 8ull * FND_SLICES + 4 + 8 * 128;
}

fnd_status fnd_sampler_make(fnd_session *s, fnd_error *err) {
    uint64_t all = (uint64_t)FND_SLICES * slice_tokens(s), vocab = s->m->info.vocab;
    FND_TRY(fnd_session_take(s, FND_F32, fnd_shape2(1, FND_SLICES), &s->best, "best", err));
    FND_TRY(fnd_session_take(s, FND_U32, fnd_shape2(1, FND_SLICES), &s->best_id, "best_id", err));
    FND_TRY(fnd_session_take(s, FND_F32, fnd_shape1(all), &s->kept, "kept", err));
    FND_TRY(fnd_session_take(s, FND_U32, fnd_shape1(all), &s->kept_ids, "kept_ids", err));
    FND_TRY(fnd_session_take(s, FND_F32, fnd_shape1(vocab), &s->near_logits, "near_logits", err));
    FND_TRY(fnd_session_take(s, FND_U32, fnd_shape1(vocab), &s->near_ids, "near_ids", err));
    return fnd_session_take(s, FND_U32, fnd_shape1(1), &s->chosen, "chosen", err);
}

static fnd_status call(fnd_session *s, fnd_program *p, const char *name, const fnd_binding *b, size_t count, fnd_error *err) {
    fnd_kernel *k;
    FND_TRY(fnd_kernel_get(s->m->f, name, &k, err));
    return fnd_program_call(p, k, b, count, err);
}

static fnd_status make_greedy(fnd_session *s, fnd_tensor *logits, fnd_error *err) {
    FND_TRY(fnd_program_begin(s->m->f, &(fnd_program_desc){ .name = "greedy", .separate = s->m->separate }, &s->greedy, err));
    const fnd_binding a[] = { fnd_bind_in("logits", logits), fnd_bind_out("best", &s->best.t), fnd_bind_out("best_id", &s->best_id.t) };
    const fnd_binding b[] = { fnd_bind_in("best", &s->best.t), fnd_bind_in("best_id", &s->best_id.t), fnd_bind_out("id", &s->chosen.t) };
    FND_TRY(call(s, s->greedy, "argmax_partial", a, FND_COUNT(a), err));
    FND_TRY(call(s, s->greedy, "argmax_pick", b, FND_COUNT(b), err));
    return fnd_program_finish(s->greedy, err);
}

/* The first `count` values of a vector, as [rows, count / rows]. */
static fnd_status front(fnd_pooled *of, uint64_t rows, uint64_t count, fnd_view *out, fnd_error *err) {
    fnd_view cut;
    FND_TRY(fnd_view_cut(&of->t, (fnd_cut){ .dim = 0, .first = 0, .count = count }, &cut, err));
    return rows ? fnd_view_shape(&cut.t, fnd_shape2(rows, count / rows), out, err) : (*out = cut, FND_OK);
}

static fnd_status make_draw(fnd_session *s, fnd_tensor *logits, fnd_error *err) {
    fnd_view kept, kept_ids, near_logits, near_ids;
    uint64_t candidates = (uint64_t)FND_SLICES * s->draw_per_slice;
    fnd_program_desc desc = { .name = "draw", .variables = { "top_k", "top_p", "min_p", "temperature", "seed", "seed_high", "position" }, .separate = s->m->separate };
    FND_TRY(front(&s->kept, FND_SLICES, candidates, &kept, err));
    FND_TRY(front(&s->kept_ids, FND_SLICES, candidates, &kept_ids, err));
    FND_TRY(front(&s->near_logits, 0, s->draw_near, &near_logits, err));
    FND_TRY(front(&s->near_ids, 0, s->draw_near, &near_ids, err));
    FND_TRY(fnd_program_begin(s->m->f, &desc, &s->draw, err));
    const fnd_binding a[] = { fnd_bind_in("logits", logits), fnd_bind_out("kept", &kept.t), fnd_bind_out("kept_ids", &kept_ids.t) };
    const fnd_binding b[] = {
        fnd_bind_in("kept", &kept.t),
        fnd_bind_in("kept_ids", &kept_ids.t),
        fnd_bind_out("near_logits", &near_logits.t),
        fnd_bind_out("near_ids", &near_ids.t),
        fnd_bind_out("id", &s->chosen.t),
        fnd_bind_u32("top_k", 0),
        fnd_bind_f32("top_p", 1),
        fnd_bind_f32("min_p", 0),
        fnd_bind_f32("temperature", 1),
        fnd_bind_u32("seed", 0),
        fnd_bind_u32("seed_high", 0),
        fnd_bind_u32("position", 0),
    };
    FND_TRY(call(s, s->draw, "sample_partial", a, FND_COUNT(a), err));
    FND_TRY(call(s, s->draw, "sample_pick", b, FND_COUNT(b), err));
    return fnd_program_finish(s->draw, err);
}

static fnd_status set_float(fnd_program *p, const char *name, float value, fnd_error *err) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return fnd_program_set(p, name, bits, err);
}

static fnd_status check(const fnd_session *s, const fnd_sampling *c, fnd_error *err) {
    if (!s->has_logits) return fnd_fail(err, FND_ERR_USAGE, "no token was evaluated yet: there are no logits");
    bool sane = c->temperature >= 0.0f && c->temperature < 1e6f && c->top_p >= 0.0f && c->top_p <= 1.0f && c->min_p >= 0.0f && c->min_p <= 1.0f;
    if (sane) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "sampling: temperature %g, top_p %g and min_p %g must be 0 or more, the last two at most 1", (double)c->temperature, (double)c->top_p, (double)c->min_p);
}

static fnd_status run_draw(fnd_session *s, fnd_tensor *logits, const fnd_sampling *c, fnd_error *err) {
    uint32_t vocab = s->m->info.vocab, top_k = c->top_k < vocab ? c->top_k : 0, all = slice_tokens(s);
    uint32_t per_slice = top_k && top_k < all ? top_k : all, near = top_k > NEAR ? top_k : vocab < NEAR ? vocab
                                                                                                        : NEAR;
    if (!s->draw || s->draw_per_slice != per_slice || s->draw_near != near) {
        fnd_program_free(s->draw);
        s->draw = NULL;
        s->draw_per_slice = per_slice;
        s->draw_near = near;
        FND_TRY(make_draw(s, logits, err));
    }
    FND_TRY(fnd_program_set(s->draw, "top_k", top_k, err));
    FND_TRY(set_float(s->draw, "top_p", c->top_p > 0.0f ? c->top_p : 1.0f, err));
    FND_TRY(set_float(s->draw, "min_p", c->min_p, err));
    FND_TRY(set_float(s->draw, "temperature", c->temperature, err));
    FND_TRY(fnd_program_set(s->draw, "seed", (uint32_t)c->seed, err));
    FND_TRY(fnd_program_set(s->draw, "seed_high", (uint32_t)(c->seed >> 32), err));
    FND_TRY(fnd_program_set(s->draw, "position", s->position, err));
    return fnd_program_run(s->draw, err);
}

fnd_status fnd_session_sample(fnd_session *s, const fnd_sampling *sampling, uint32_t *id, fnd_error *err) {
    fnd_sampling c = sampling ? *sampling : (fnd_sampling){ 0 };
    fnd_view logits;
    FND_TRY(check(s, &c, err));
    FND_TRY(fnd_view_cut(&s->logits.t, (fnd_cut){ .count = 1 }, &logits, err));
    if (c.temperature == 0.0f) {
        if (!s->greedy) FND_TRY(make_greedy(s, &logits.t, err));
        FND_TRY(fnd_program_run(s->greedy, err));
    } else {
        FND_TRY(run_draw(s, &logits.t, &c, err));
    }
    return fnd_tensor_read(s->m->f, &s->chosen.t, 0, id, sizeof *id, err);
}
