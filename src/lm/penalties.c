/* penalties.c - biases and penalties: which tokens' logits change is found here, from the tokens in the
 * context; the logits themselves are changed on the device, in a copy. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/session.h"
#include "run/dispatch.h"
#include "tensor/storage.h"

enum { WINDOW = 64,
       LEAST_ROOM = 128 };

static bool penalises(const fnd_sampling *c) { return (c->repeat_penalty > 0.0f && c->repeat_penalty != 1.0f) || c->presence_penalty != 0.0f || c->frequency_penalty != 0.0f; }

bool fnd_sampling_adjusts(const fnd_sampling *c) { return c->bias_count > 0 || penalises(c); }

static uint32_t window_of(const fnd_session *s, const fnd_sampling *c) {
    uint32_t n = c->repeat_last_n ? c->repeat_last_n : WINDOW;
    if (!penalises(c)) return 0;
    return n < s->position ? n : s->position;
}

void fnd_sampler_forget(fnd_session *s) {
    fnd_sampler *p = &s->sampler;
    fnd_program_free(p->penalize);
    p->penalize = NULL;
    fnd_dedicated *tensors[] = { &p->adjusted, &p->ids, &p->counts, &p->bias };
    for (size_t i = 0; i < FND_COUNT(tensors); i++) fnd_tensor_free(s->m->f, tensors[i], NULL);
    fnd_free_memory(p->place_ids);
    fnd_free_memory(p->place_counts);
    fnd_free_memory(p->place_bias);
    fnd_free_memory(p->place_of);
    p->place_ids = p->place_counts = p->place_of = NULL;
    p->place_bias = NULL;
    p->room = 0;
}

/* ---- memory and program, for `room` places ---- */

static fnd_status take(fnd_session *s, uint32_t room, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    foundry *f = s->m->f;
    p->place_ids = fnd_alloc_zeroed(room, sizeof *p->place_ids);
    p->place_counts = fnd_alloc_zeroed(room, sizeof *p->place_counts);
    p->place_bias = fnd_alloc_zeroed(room, sizeof *p->place_bias);
    p->place_of = fnd_alloc_zeroed(s->m->info.vocab, sizeof *p->place_of);
    if (!p->place_ids || !p->place_counts || !p->place_bias || !p->place_of) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the penalties of %u tokens", room);
    FND_TRY(fnd_alloc(f, FND_F32, fnd_shape2(1, s->m->info.vocab), FND_POISON, &p->adjusted, err));
    FND_TRY(fnd_alloc(f, FND_U32, fnd_shape1(room), FND_POISON, &p->ids, err));
    FND_TRY(fnd_alloc(f, FND_U32, fnd_shape1(room), FND_ZEROS, &p->counts, err));
    return fnd_alloc(f, FND_F32, fnd_shape1(room), FND_ZEROS, &p->bias, err);
}

static fnd_status record(fnd_session *s, fnd_tensor *logits, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    fnd_kernel *k;
    fnd_program_desc desc = { .name = "penalize", .variables = { "places", "repeat", "presence", "frequency" }, .form = s->m->form };
    FND_TRY(fnd_program_begin(s->m->f, &desc, &p->penalize, err));
    const fnd_binding b[] = {
        fnd_bind_in("logits", logits),
        fnd_bind_in("ids", &p->ids.t),
        fnd_bind_in("counts", &p->counts.t),
        fnd_bind_in("bias", &p->bias.t),
        fnd_bind_out("adjusted", &p->adjusted.t),
        fnd_bind_f32("repeat", 1),
        fnd_bind_f32("presence", 0),
        fnd_bind_f32("frequency", 0),
    };
    FND_TRY(fnd_kernel_get(s->m->f, "sample_penalize", &k, err));
    FND_TRY(fnd_program_call(p->penalize, k, b, FND_COUNT(b), err));
    return fnd_program_finish(p->penalize, err);
}

static fnd_status make(fnd_session *s, uint64_t places, fnd_tensor *logits, fnd_error *err) {
    uint64_t room = LEAST_ROOM;
    if (s->sampler.room >= places && s->sampler.penalize) return FND_OK;
    while (room < places) room *= 2;
    fnd_sampler_free(s); /* programs that read `adjusted` go too */
    fnd_status status = room < UINT32_MAX ? take(s, (uint32_t)room, err) : fnd_fail(err, FND_ERR_LIMIT, "sampling: %llu biases and recent tokens are too many", (unsigned long long)places);
    if (status == FND_OK) status = record(s, logits, err);
    if (status == FND_OK)
        s->sampler.room = (uint32_t)room;
    else
        fnd_sampler_forget(s);
    return status;
}

/* ---- places ---- */

static uint32_t place_for(fnd_sampler *p, uint32_t *used, uint32_t id) {
    if (!p->place_of[id]) {
        p->place_ids[*used] = id;
        p->place_counts[*used] = 0;
        p->place_bias[*used] = 0.0f;
        p->place_of[id] = ++*used;
    }
    return p->place_of[id] - 1;
}

static uint32_t find_places(fnd_session *s, const fnd_sampling *c, uint32_t window) {
    fnd_sampler *p = &s->sampler;
    uint32_t used = 0;
    for (size_t i = 0; i < c->bias_count; i++) p->place_bias[place_for(p, &used, c->bias[i].id)] += c->bias[i].bias;
    for (uint32_t i = s->position - window; i < s->position; i++) p->place_counts[place_for(p, &used, s->tokens[i])]++;
    for (uint32_t i = 0; i < used; i++) p->place_of[p->place_ids[i]] = 0;
    if (used) return used;
    p->place_ids[0] = UINT32_MAX; /* no token at all: a list has at least one place */
    p->place_counts[0] = 0;
    p->place_bias[0] = 0.0f;
    return 1;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The lists for the next token are written while its pass is under way, and shall not wait for that. */
fnd_status fnd_sampler_adjusted(fnd_session *s, fnd_error *err) {
    const fnd_dedicated *const lists[] = { &s->sampler.ids, &s->sampler.counts, &s->sampler.bias };
    for (size_t i = 0; i < FND_COUNT(lists); i++) FND_TRY(fnd_storage_free_for_host(s->m->f, &lists[i]->t, err));
    return FND_OK;
}

fnd_status fnd_sampler_adjust(fnd_session *s, const fnd_sampling *c, fnd_tensor *logits, fnd_error *err) {
    fnd_sampler *p = &s->sampler;
    foundry *f = s->m->f;
    uint32_t window = window_of(s, c);
    FND_TRY(make(s, (uint64_t)window + c->bias_count, logits, err));
    uint32_t places = find_places(s, c, window);
    FND_TRY(fnd_tensor_write(f, &p->ids.t, 0, p->place_ids, places * sizeof *p->place_ids, err));
    FND_TRY(fnd_tensor_write(f, &p->counts.t, 0, p->place_counts, places * sizeof *p->place_counts, err));
    FND_TRY(fnd_tensor_write(f, &p->bias.t, 0, p->place_bias, places * sizeof *p->place_bias, err));
    FND_TRY(fnd_program_set(p->penalize, "places", places, err));
    FND_TRY(fnd_program_set(p->penalize, "repeat", bits_of(c->repeat_penalty > 0.0f ? c->repeat_penalty : 1.0f), err));
    FND_TRY(fnd_program_set(p->penalize, "presence", bits_of(c->presence_penalty), err));
    FND_TRY(fnd_program_set(p->penalize, "frequency", bits_of(c->frequency_penalty), err));
    return fnd_program_run_held(p->penalize, err);
}
