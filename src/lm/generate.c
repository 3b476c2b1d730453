/* generate.c - choosing tokens until something ends it. */
#include "lm/generate.h"
#include "base/base.h"
#include "base/memory.h"

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

static fnd_status step(fnd_session *s, fnd_generator *g, fnd_logprob *all, fnd_error *err) {
    uint32_t id;
    FND_TRY(fnd_session_sample(s, &g->desc->sampling, &id, err));
    if (g->out.first_seconds == 0) g->out.first_seconds = 1e-9 * (double)(fnd_now_ns() - g->start_ns);
    if (all) FND_TRY(fnd_session_logprobs(s, id, all, g->desc->logprobs, err));
    FND_TRY(fnd_generator_take(g, id, all, err));
    if (g->out.ending == FND_ENDING_NONE) FND_TRY(make_room(s, g, err));
    if (g->out.ending != FND_ENDING_NONE) return FND_OK;
    FND_TRY(fnd_session_eval(s, &id, 1, err));
    if (g->desc->cancel && *g->desc->cancel) g->out.ending = FND_ENDING_CANCELLED;
    return FND_OK;
}

static fnd_status generate(fnd_session *s, fnd_generator *g, fnd_error *err) {
    fnd_logprob *all = NULL;
    g->start_ns = fnd_now_ns();
    if (g->desc->logprobs) {
        all = fnd_alloc_zeroed((size_t)g->desc->logprobs + 1, sizeof *all);
        if (!all) return fnd_fail(err, FND_ERR_MEMORY, "out of memory for the probabilities of %u tokens", g->desc->logprobs);
    }
    fnd_status status = FND_OK;
    while (g->out.ending == FND_ENDING_NONE && status == FND_OK) status = step(s, g, all, err);
    fnd_free_memory(all);
    g->out.seconds = 1e-9 * (double)(fnd_now_ns() - g->start_ns);
    return status == FND_OK ? fnd_generator_finish(g, err) : status;
}

fnd_status fnd_generate(fnd_session *s, const fnd_generate_desc *desc, fnd_generated *out, fnd_error *err) {
    fnd_generator g;
    *out = (fnd_generated){ .ending = FND_ENDING_NONE };
    fnd_status status = fnd_generator_open(&g, fnd_model_tokenizer(fnd_session_model(s)), desc, err);
    uint32_t position = fnd_session_position(s);
    if (status == FND_OK && position) (void)fnd_decoder_push(g.decoder, fnd_session_tokens(s)[position - 1]); /* the answer follows it */
    if (status == FND_OK) status = generate(s, &g, err);
    if (status == FND_OK && !g.text.data) {
        g.text.data = fnd_alloc_string("", 0); /* an empty text ends with a NUL too */
        if (!g.text.data) status = fnd_fail(err, FND_ERR_MEMORY, "out of memory for an answer");
    }
    fnd_generator_close(&g, status == FND_OK ? out : NULL);
    return status;
}
