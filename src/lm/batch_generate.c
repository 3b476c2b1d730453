/* batch_generate.c - many prompts answered by the sequences of a batch: one that is done takes the next. */
#include "base/base.h"
#include "base/memory.h"
#include "lm/batch.h"
#include "lm/generate.h"

/* What a prompt must have in common with one that is still to be read, more than with what was read, to wait for it. */
enum { WORTH_WAITING = 16 };

/* A sequence, and what it answers. */
typedef struct place {
    fnd_answer answer;
    size_t request;
    bool busy;
    bool reads; /* its prompt, from prompt_reused on, is to be read */
    uint64_t start_ns;
    uint32_t id; /* chosen, to be evaluated in the next step */
    uint32_t prompt_reused;
    double prompt_seconds;
} place;

typedef struct work {
    fnd_batch *b;
    const fnd_batch_job *job;
    place *places;            /* [b->count] */
    size_t next;              /* request that nobody has begun */
    fnd_batch_unread *unread; /* [b->count] */
    size_t cancelled;
    bool stopped; /* a prompt was cancelled by its session */
    fnd_batch_stats stats;
    fnd_error *err;
} work;

static void tell(const work *w) {
    if (w->job->progress) w->job->progress(w->job->ctx, &w->stats);
}

static bool cancelled(const work *w) { return w->stopped || (w->job->cancel && *w->job->cancel); }

/* ---- one request ---- */

/* `why` NULL: *result answers it. */
static fnd_status report(work *w, size_t request, fnd_generated *result, const fnd_error *why) {
    w->stats.done++;
    w->stats.failed += why != NULL;
    fnd_status status = w->job->done ? w->job->done(w->job->ctx, request, result, why, w->err) : FND_OK;
    fnd_generated_free(result);
    tell(w);
    return status;
}

static fnd_status end_answer(work *w, place *p, fnd_status status, fnd_error *failure) {
    fnd_generated result;
    p->busy = false;
    w->cancelled += status == FND_OK && p->answer.g.out.ending == FND_ENDING_CANCELLED;
    status = fnd_answer_end(&p->answer, status, &result, failure);
    result.prompt_tokens = (uint32_t)w->job->requests[p->request].count;
    result.prompt_reused = p->prompt_reused;
    result.prompt_seconds = p->prompt_seconds;
    return report(w, p->request, &result, status == FND_OK ? NULL : failure);
}

/* Of the free places the one whose session holds most of the prompt. */
static place *find_place(work *w, const fnd_batch_request *r) {
    place *best = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->b->count; i++) {
        if (w->places[i].busy || w->places[i].reads) continue;
        uint32_t common = fnd_session_common_read(w->b->sessions[i], r->ids, r->count);
        if (best && common <= most) continue;
        best = &w->places[i];
        most = common;
    }
    return best;
}

/* Of all sessions, whatever they do, the one that has read most of the prompt. */
static const fnd_session *find_source(const work *w, const fnd_batch_request *r) {
    const fnd_session *best = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->b->count; i++) {
        uint32_t common = fnd_session_common_read(w->b->sessions[i], r->ids, r->count);
        if (common <= most) continue;
        best = w->b->sessions[i];
        most = common;
    }
    return best;
}

/* Is more of it in a prompt that is still to be read? */
static bool waits(const work *w, const fnd_batch_request *r) {
    const fnd_session *source = find_source(w, r);
    size_t most = (source ? fnd_session_common_read(source, r->ids, r->count) : 0) + WORTH_WAITING;
    for (uint32_t i = 0; i < w->b->count; i++) {
        if (!w->places[i].reads) continue;
        const fnd_batch_request *o = &w->job->requests[w->places[i].request];
        size_t n = 0, end = fnd_min_size(o->count, r->count);
        while (n < end && o->ids[n] == r->ids[n]) n++;
        if (n >= most) return true;
    }
    return false;
}

/* The prompt is there: the answer begins. */
static fnd_status begin_answer(work *w, place *p, fnd_error *failure) {
    const fnd_batch_request *r = &w->job->requests[p->request];
    fnd_session *s = w->b->sessions[p - w->places];
    FND_TRY(fnd_session_set_mark(s, failure));
    p->prompt_seconds = 1e-9 * (double)(fnd_now_ns() - p->start_ns);
    w->stats.prompt_tokens += r->count;
    w->stats.reused += p->prompt_reused;
    fnd_status status = fnd_answer_begin(&p->answer, s, r->desc, failure);
    p->busy = status == FND_OK;
    if (status == FND_OK) return FND_OK;
    fnd_generated none;
    return fnd_answer_end(&p->answer, status, &none, failure);
}

/* What of the prompt there is already; p->reads: there is more. */
static fnd_status begin(work *w, place *p, fnd_error *failure) {
    const fnd_batch_request *r = &w->job->requests[p->request];
    fnd_session *s = w->b->sessions[p - w->places];
    p->start_ns = fnd_now_ns();
    FND_TRY(fnd_session_prompt_from(s, find_source(w, r), r->ids, r->count, &p->prompt_reused, failure));
    p->reads = p->prompt_reused < r->count && r->count > 1;
    if (p->reads) return FND_OK;
    if (p->prompt_reused < r->count) FND_TRY(fnd_session_eval(s, r->ids, 1, failure)); /* as one token alone is */
    return begin_answer(w, p, failure);
}

static fnd_status begun(work *w, place *p, fnd_status status, const fnd_error *failure) {
    if (status == FND_OK) return FND_OK;
    fnd_generated none = { .ending = FND_ENDING_NONE };
    p->reads = false;
    return report(w, p->request, &none, failure);
}

/* All prompts that are to be read, together. */
static fnd_status read_prompts(work *w) {
    size_t count = 0;
    for (uint32_t i = 0; i < w->b->count; i++) {
        const place *p = &w->places[i];
        const fnd_batch_request *r = &w->job->requests[p->request];
        if (p->reads) w->unread[count++] = (fnd_batch_unread){ i, r->ids + p->prompt_reused, r->count - p->prompt_reused };
    }
    if (!count) return FND_OK;
    fnd_status status = fnd_batch_read(w->b, w->unread, count, w->err);
    w->stopped |= status == FND_ERR_CANCELLED; /* it is as if they had not begun */
    for (uint32_t i = 0; i < w->b->count; i++) {
        place *p = &w->places[i];
        fnd_error failure = { 0 };
        if (!p->reads) continue;
        p->reads = false;
        if (status == FND_OK) FND_TRY(begun(w, p, begin_answer(w, p, &failure), &failure));
    }
    return w->stopped ? FND_OK : status;
}

/* The next request to a place that is free; *found: there was one. */
static fnd_status begin_next(work *w, bool *found) {
    *found = false;
    if (w->next == w->job->count || cancelled(w)) return FND_OK;
    const fnd_batch_request *r = &w->job->requests[w->next];
    place *p = find_place(w, r);
    if (!p) return FND_OK;
    *found = true;
    if (waits(w, r)) return read_prompts(w);
    fnd_error failure = { 0 };
    p->request = w->next++;
    return begun(w, p, begin(w, p, &failure), &failure);
}

/* ---- all of them ---- */

static fnd_status choose(work *w, place *p) {
    fnd_error failure = { 0 };
    size_t before = p->answer.g.out.ids.count;
    fnd_status status = fnd_answer_choose(&p->answer, &p->id, &failure);
    w->stats.tokens += p->answer.g.out.ids.count - before;
    if (status == FND_OK && cancelled(w) && p->answer.g.out.ending == FND_ENDING_NONE) p->answer.g.out.ending = FND_ENDING_CANCELLED;
    if (status == FND_OK && p->answer.g.out.ending == FND_ENDING_NONE) return FND_OK;
    return end_answer(w, p, status, &failure);
}

/* One token of every answer. */
static fnd_status step(work *w) {
    fnd_batch_token tokens[FND_BATCH_SEQUENCES];
    size_t count = 0;
    for (uint32_t i = 0; i < w->b->count; i++) {
        place *p = &w->places[i];
        if (p->busy) FND_TRY(choose(w, p));
        if (p->busy) tokens[count++] = (fnd_batch_token){ i, p->id };
    }
    if (!count) return FND_OK;
    FND_TRY(fnd_batch_eval(w->b, tokens, count, w->err));
    w->stats.steps++;
    tell(w);
    return FND_OK;
}

static bool is_busy(const work *w) {
    for (uint32_t i = 0; i < w->b->count; i++) {
        if (w->places[i].busy) return true;
    }
    return false;
}

static fnd_status answer_all(work *w) {
    for (;;) {
        bool found = true;
        while (found) FND_TRY(begin_next(w, &found));
        FND_TRY(read_prompts(w));
        if (!is_busy(w) && (w->next == w->job->count || cancelled(w))) break;
        FND_TRY(step(w));
    }
    return w->stats.done == w->job->count && !w->cancelled ? FND_OK : fnd_fail(w->err, FND_ERR_CANCELLED, "interrupted: %zu of %zu prompts are answered", w->stats.done - w->stats.failed - w->cancelled, w->job->count);
}

fnd_status fnd_batch_generate(fnd_batch *b, const fnd_batch_job *job, fnd_error *err) {
    work w = { .b = b, .job = job, .places = fnd_alloc_zeroed(b->count, sizeof *w.places), .stats = { .requests = job->count }, .err = err };
    w.unread = fnd_alloc_zeroed(b->count, sizeof *w.unread);
    fnd_status status = w.places && w.unread ? answer_all(&w) : fnd_fail(err, FND_ERR_MEMORY, "out of memory for %u answers", b->count);
    for (uint32_t i = 0; w.places && i < b->count; i++) { /* after a failure of the device */
        fnd_generated none;
        fnd_error ignored = { 0 };
        if (w.places[i].busy) w.places[i].busy = fnd_answer_end(&w.places[i].answer, FND_ERR_CANCELLED, &none, &ignored) != FND_OK;
    }
    fnd_free_memory(w.places);
    fnd_free_memory(w.unread);
    return status;
}
