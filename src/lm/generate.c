/* generate.c - choosing tokens until something ends it. */
#include "lm/generate.h"
#include "base/base.h"
#include "base/memory.h"
#include "lm/guesses.h"

static const char *const ending_names[] = {
#define NAME_(id, name) name,
    FND_ENDINGS(NAME_)
#undef NAME_
};

const char *fnd_ending_name(fnd_ending ending) { return (size_t)ending < FND_COUNT(ending_names) ? ending_names[ending] : "unknown"; }

/* ---- text and tokens ---- */

fnd_status fnd_generator_open(fnd_generator *g, const fnd_tokenizer *t, const fnd_generate_desc *desc, fnd_error *err) {
    *g = (fnd_generator){ .desc = desc, .t = t, .stops = { .list = desc->stops, .count = desc->stop_count } };
    for (size_t i = 0; i < desc->stop_count; i++) {
        if (!desc->stops[i] || !desc->stops[i][0]) return fnd_fail(err, FND_ERR_USAGE, "a stop string is empty");
    }
    return fnd_decoder_open(t, 0, &g->decoder, err);
}

static fnd_status show(fnd_generator *g, fnd_span text, fnd_error *err) {
    if (!text.bytes) return FND_OK;
    fnd_text_add(&g->text, text.data, text.bytes);
    FND_TRY(fnd_text_check(&g->text, err));
    return g->desc->text ? g->desc->text(g->desc->ctx, text, err) : FND_OK;
}

/* Text that was decoded, up to a stop string. */
static fnd_status pass(fnd_generator *g, fnd_span text, fnd_error *err) {
    bool met;
    FND_TRY(fnd_stops_push(&g->stops, text, &text, &met, err));
    if (met) g->out.ending = FND_ENDING_STOP;
    return show(g, text, err);
}

static fnd_status keep_logprobs(fnd_generator *g, const fnd_logprob *all, fnd_error *err) {
    size_t each = (size_t)g->desc->logprobs + 1, at = (g->out.ids.count - 1) * each;
    if (at + each > g->logprob_room) {
        size_t room = fnd_max_size(64 * each, 2 * g->logprob_room);
        fnd_logprob *larger = fnd_alloc_resized(g->out.logprobs, room, sizeof *larger);
        if (!larger) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the probabilities of %zu tokens", room);
        g->out.logprobs = larger;
        g->logprob_room = room;
    }
    memcpy(g->out.logprobs + at, all, each * sizeof *all);
    return FND_OK;
}

fnd_status fnd_generator_take(fnd_generator *g, uint32_t id, const fnd_logprob *all, fnd_error *err) {
    if (fnd_token_is_end(g->t, id)) {
        g->out.ending = FND_ENDING_MODEL;
        return FND_OK;
    }
    FND_TRY(fnd_ids_add(&g->out.ids, id, err));
    if (all) FND_TRY(keep_logprobs(g, all, err));
    FND_TRY(pass(g, fnd_decoder_push(g->decoder, id), err));
    if (g->out.ending == FND_ENDING_NONE && g->desc->max_tokens && g->out.ids.count >= g->desc->max_tokens) g->out.ending = FND_ENDING_TOKENS;
    return FND_OK;
}

fnd_status fnd_generator_finish(fnd_generator *g, fnd_error *err) {
    if (g->out.ending == FND_ENDING_STOP) return FND_OK;
    FND_TRY(pass(g, fnd_decoder_flush(g->decoder), err));
    return g->out.ending == FND_ENDING_STOP ? FND_OK : show(g, fnd_stops_rest(&g->stops), err);
}

void fnd_generator_close(fnd_generator *g, fnd_generated *out) {
    fnd_decoder_close(g->decoder);
    fnd_stops_free(&g->stops);
    if (out) {
        *out = g->out;
        out->text = g->text.data;
        out->bytes = g->text.bytes;
    } else {
        fnd_generated_free(&g->out);
        fnd_text_free(&g->text);
    }
    *g = (fnd_generator){ .desc = NULL };
}

void fnd_generated_free(fnd_generated *g) {
    fnd_free_memory(g->text);
    fnd_free_memory(g->logprobs);
    fnd_ids_free(&g->ids);
    *g = (fnd_generated){ .ending = FND_ENDING_NONE };
}

/* ---- a session ---- */

fnd_status fnd_shift_check(uint32_t context, uint32_t keep, fnd_error *err) {
    const uint32_t least = FND_SHIFT_STEP + 1; /* behind those that are kept */
    if (context < least) return fnd_fail(err, FND_ERR_USAGE, "a context of %u tokens cannot be shifted: %d at a time are dropped", context, FND_SHIFT_STEP);
    if (keep <= context - least) return FND_OK;
    return fnd_fail(err, FND_ERR_USAGE, "%u tokens cannot be kept: a context of %u, of which %d at a time are dropped, can keep %u", keep, context, FND_SHIFT_STEP, context - least);
}

uint32_t fnd_shift_half(uint32_t position, uint32_t keep) {
    uint32_t behind = position > keep ? position - keep : 0, half = behind / 2 / FND_SHIFT_STEP * FND_SHIFT_STEP;
    return half ? half : behind > FND_SHIFT_STEP ? (uint32_t)FND_SHIFT_STEP
                                                 : 0;
}

/* Room for one more token, or the end. */
static fnd_status make_room(fnd_session *s, fnd_generator *g, fnd_error *err) {
    uint32_t position = fnd_session_position(s);
    if (position < fnd_session_context(s)) return FND_OK;
    uint32_t drop = g->desc->context_shift ? fnd_shift_half(position, g->desc->keep) : 0;
    if (drop == 0) {
        g->out.ending = FND_ENDING_CONTEXT;
        return FND_OK;
    }
    FND_TRY(fnd_session_shift(s, g->desc->keep, drop, err));
    g->out.dropped += drop;
    return FND_OK;
}

fnd_status fnd_answer_begin(fnd_answer *a, fnd_session *s, const fnd_generate_desc *desc, fnd_error *err) {
    *a = (fnd_answer){ .s = s };
    if (desc->context_shift) FND_TRY(fnd_shift_check(fnd_session_context(s), desc->keep, err));
    FND_TRY(fnd_generator_open(&a->g, fnd_model_tokenizer(fnd_session_model(s)), desc, err));
    uint32_t position = fnd_session_position(s);
    if (position) (void)fnd_decoder_push(a->g.decoder, fnd_session_tokens(s)[position - 1]); /* the answer follows it */
    a->g.start_ns = fnd_now_ns();
    if (!desc->logprobs) return FND_OK;
    a->all = fnd_alloc_zeroed((size_t)desc->logprobs + 1, sizeof *a->all);
    return a->all ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for the probabilities of %u tokens", desc->logprobs);
}

fnd_status fnd_answer_choose(fnd_answer *a, uint32_t *id, fnd_error *err) {
    fnd_generator *g = &a->g;
    FND_TRY(fnd_session_sample(a->s, &g->desc->sampling, id, err));
    if (g->out.first_seconds == 0) g->out.first_seconds = 1e-9 * (double)(fnd_now_ns() - g->start_ns);
    if (a->all) FND_TRY(fnd_session_logprobs(a->s, *id, a->all, g->desc->logprobs, err));
    FND_TRY(fnd_generator_take(g, *id, a->all, err));
    return g->out.ending == FND_ENDING_NONE ? make_room(a->s, g, err) : FND_OK;
}

static fnd_status end(fnd_generator *g, fnd_error *err) {
    g->out.seconds = 1e-9 * (double)(fnd_now_ns() - g->start_ns);
    FND_TRY(fnd_generator_finish(g, err));
    if (!g->text.data) g->text.data = fnd_alloc_string("", 0); /* an empty text ends with a NUL too */
    return g->text.data ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "out of memory for an answer");
}

fnd_status fnd_answer_end(fnd_answer *a, fnd_status status, fnd_generated *out, fnd_error *err) {
    *out = (fnd_generated){ .ending = FND_ENDING_NONE };
    if (status == FND_OK) status = end(&a->g, err);
    fnd_generator_close(&a->g, status == FND_OK ? out : NULL);
    fnd_free_memory(a->all);
    *a = (fnd_answer){ .s = NULL };
    return status;
}

static fnd_status step(fnd_answer *a, fnd_error *err) {
    uint32_t id;
    FND_TRY(fnd_answer_choose(a, &id, err));
    if (a->g.out.ending != FND_ENDING_NONE) return FND_OK;
    FND_TRY(a->g.desc->lookup ? fnd_session_eval_guessing(a->s, id, err) : fnd_session_eval(a->s, &id, 1, err));
    if (a->g.desc->cancel && *a->g.desc->cancel) a->g.out.ending = FND_ENDING_CANCELLED;
    return FND_OK;
}

fnd_status fnd_generate(fnd_session *s, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    fnd_answer a;
    *out = (fnd_generated){ .ending = FND_ENDING_NONE };
    if (desc->lookup) FND_TRY(fnd_guesses_begin(s, err));
    fnd_status status = fnd_answer_begin(&a, s, desc, err);
    while (status == FND_OK && a.g.out.ending == FND_ENDING_NONE) status = step(&a, err);
    if (desc->lookup) {
        a.g.out.guessed = s->guesses->lookup.guessed;
        a.g.out.guessed_right = s->guesses->lookup.hit;
    }
    return fnd_answer_end(&a, status, out, err);
}
