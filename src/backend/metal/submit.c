/* submit.c - command buffers: recording, giving them to the GPU, and hearing how they ended.
 *
 * SAFETY: the completion handler runs in a thread of Metal's, once for every command buffer that was committed.
 * It touches the flight that it was made for, under the lock; a flight is freed by the thread that calls the
 * backend, and only when it is done. The handler is a block on the stack: Metal copies it, as it copies
 * every block that it keeps. */
#include "backend/metal/metal.h"
#include "base/base.h"
#include "base/memory.h"

#include <stdio.h>

/* Command buffers that may be under way: the queue has room for 64, and waits where there is none. */
enum { MAX_FLIGHTS = 48,
       MOST_LAUNCHES = 4096 }; /* of one: many more than a token has */

/* ---- hearing how it ended ---- */

static void note_failure(fnd_metal_flight *f, fnd_id commands) {
    char text[400];
    const fnd_metal_api *m = f->metal->m;
    fnd_id error = fnd_mtl_commands_error(m, commands);
    fnd_metal_error_text(m, error, text, sizeof text);
    int64_t code = error ? fnd_mtl_error_code(m, error) : 0;
    bool memory = code == FND_MTL_ERROR_OUT_OF_MEMORY;
    const char *help = memory ? "; a smaller context, model or weight format would fit" : code == FND_MTL_ERROR_TIMEOUT ? "; fewer tokens of a prompt at a time (batch) take less time"
                                                                                                                        : "";
    (void)fnd_fail(&f->failure, memory ? FND_ERR_MEMORY : FND_ERR_DEVICE, "%s: the GPU did not finish: %s%s", f->label, text, help);
}

static void completed(fnd_completion_block *block, fnd_id commands) {
    fnd_metal_flight *f = block->context;
    fnd_metal *c = f->metal;
    void *pool = c->m->push_pool();
    uint64_t now = fnd_now_ns();
    double start = fnd_mtl_commands_start(c->m, commands), end = fnd_mtl_commands_end(c->m, commands);
    if (fnd_mtl_commands_status(c->m, commands) != FND_MTL_STATUS_COMPLETED) note_failure(f, commands);
    c->m->pop_pool(pool);
    pthread_mutex_lock(&c->lock);
    f->start_s = start;
    f->end_s = end;
    f->seen_ns = now;
    /* Both clocks tell when it ended; the handler came a little later, the least so the best. */
    int64_t offset = (int64_t)now - (int64_t)(end * 1e9);
    if (end > 0 && (!c->clock_known || offset < c->clock_offset_ns)) c->clock_offset_ns = offset;
    c->clock_known |= end > 0;
    f->done = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* ---- recording ---- */

static fnd_status begin_commands(fnd_metal *c, fnd_error *err) {
    if (c->commands) return FND_OK;
    fnd_id commands = fnd_mtl_queue_commands(c->m, c->queue);
    if (!commands) return fnd_fail(err, FND_ERR_DEVICE, "%s gives no command buffer", c->name);
    c->commands = fnd_mtl_retain(c->m, commands);
    fnd_mtl_commands_label(c->m, c->commands, fnd_metal_string(c->m, c->label[0] ? c->label : "foundry"));
    c->recorded = 0;
    return FND_OK;
}

static void end_encoders(fnd_metal *c) {
    if (c->compute) {
        fnd_mtl_compute_finish(c->m, c->compute);
        fnd_mtl_release(c->m, c->compute);
    }
    if (c->blit) {
        fnd_mtl_blit_finish(c->m, c->blit);
        fnd_mtl_release(c->m, c->blit);
    }
    c->compute = c->blit = NULL;
}

fnd_status fnd_metal_compute_encoder(fnd_metal *c, fnd_error *err) {
    if (c->compute) return FND_OK;
    FND_TRY(begin_commands(c, err));
    end_encoders(c);
    fnd_id encoder = fnd_mtl_commands_compute(c->m, c->commands, FND_MTL_DISPATCH_CONCURRENT);
    if (!encoder) return fnd_fail(err, FND_ERR_DEVICE, "%s gives no compute encoder", c->name);
    c->compute = fnd_mtl_retain(c->m, encoder);
    c->since_barrier = 0; /* encoders run one after the other */
    c->scratch_used = 0;
    return FND_OK;
}

fnd_status fnd_metal_blit_encoder(fnd_metal *c, fnd_error *err) {
    if (c->blit) return FND_OK;
    FND_TRY(begin_commands(c, err));
    end_encoders(c);
    fnd_id encoder = fnd_mtl_commands_blit(c->m, c->commands);
    if (!encoder) return fnd_fail(err, FND_ERR_DEVICE, "%s gives no blit encoder", c->name);
    c->blit = fnd_mtl_retain(c->m, encoder);
    return FND_OK;
}

/* What was begun ends without a ticket: parts of it that are under way are nobody's. */
static void disown_parts(fnd_metal *c) {
    pthread_mutex_lock(&c->lock);
    for (fnd_metal_flight *f = c->flights; f && c->part_ticket; f = f->next) {
        if (f->ticket == c->part_ticket) f->ticket = 0;
    }
    c->part_ticket = 0;
    pthread_mutex_unlock(&c->lock);
}

void fnd_metal_discard(fnd_metal *c) {
    end_encoders(c);
    if (c->commands) fnd_mtl_release(c->m, c->commands);
    c->commands = NULL;
    c->recorded = 0;
    c->ops = 0;
    c->begun = false;
    c->label[0] = '\0';
    disown_parts(c);
}

/* ---- in flight ---- */

/* Records are kept for the next command buffer: within a token nothing is allocated. */
static void free_flight(fnd_metal *c, fnd_metal_flight *f) {
    fnd_mtl_release(c->m, f->commands);
    *f = (fnd_metal_flight){ .next = c->spare };
    c->spare = f;
}

static fnd_metal_flight *new_flight(fnd_metal *c) {
    fnd_metal_flight *f = c->spare;
    if (!f) return fnd_alloc_zeroed(1, sizeof *f);
    c->spare = f->next;
    f->next = NULL;
    return f;
}

void fnd_metal_forget_flights(fnd_metal *c) {
    while (c->spare) {
        fnd_metal_flight *next = c->spare->next;
        fnd_free_memory(c->spare);
        c->spare = next;
    }
}

/* With the lock: free those that are done and that nobody asks for; their failures are kept for wait. Returns
 * how many are not done. */
static uint32_t reap(fnd_metal *c) {
    uint32_t running = 0;
    for (fnd_metal_flight **at = &c->flights; *at;) {
        fnd_metal_flight *f = *at;
        running += !f->done;
        if (!f->done || f->ticket) {
            at = &f->next;
            continue;
        }
        if (f->failure.status != FND_OK && c->failure.status == FND_OK) c->failure = f->failure;
        *at = f->next;
        free_flight(c, f);
    }
    return running;
}

static fnd_status commit(fnd_metal *c, uint64_t ticket, fnd_error *err) {
    static const fnd_block_descriptor descriptor = { 0, sizeof(fnd_completion_block), "v16@?0@8" };
    if (!c->commands && ticket) FND_TRY(begin_commands(c, err)); /* nothing to do, and somebody asks when it is done */
    if (!c->commands) return FND_OK;
    pthread_mutex_lock(&c->lock);
    fnd_metal_flight *f = new_flight(c);
    pthread_mutex_unlock(&c->lock);
    if (!f) {
        fnd_metal_discard(c);
        return fnd_fail(err, FND_ERR_MEMORY, "out of memory for a command buffer");
    }
    end_encoders(c);
    f->metal = c;
    f->commands = c->commands;
    f->ticket = ticket;
    snprintf(f->label, sizeof f->label, "%s", c->label[0] ? c->label : "launches");
    fnd_completion_block block = { .isa = c->m->stack_block, .flags = FND_BLOCK_HAS_SIGNATURE, .invoke = completed, .descriptor = &descriptor, .context = f };
    fnd_mtl_commands_on_completion(c->m, f->commands, &block);
    pthread_mutex_lock(&c->lock);
    while (reap(c) >= MAX_FLIGHTS) pthread_cond_wait(&c->changed, &c->lock);
    fnd_metal_flight **end = &c->flights;
    while (*end) end = &(*end)->next;
    *end = f;
    pthread_mutex_unlock(&c->lock);
    fnd_mtl_commands_commit(c->m, f->commands);
    c->commands = NULL;
    c->recorded = 0;
    c->ops = 0;
    return FND_OK;
}

fnd_status fnd_metal_commit(fnd_metal *c, uint64_t *ticket, fnd_error *err) {
    uint64_t given = !ticket ? 0 : c->part_ticket ? c->part_ticket
                                                  : ++c->tickets;
    fnd_status status = commit(c, given, err);
    if (status != FND_OK || !ticket) disown_parts(c);
    c->part_ticket = 0;
    if (ticket) *ticket = status == FND_OK ? given : 0;
    return status;
}

fnd_status fnd_metal_cut(fnd_metal *c, uint64_t ops, fnd_error *err) {
    bool longer = c->ops && (c->ops > c->most_ops || ops > c->most_ops - c->ops);
    if (!longer && c->recorded < MOST_LAUNCHES) return FND_OK;
    if (c->begun && !c->part_ticket) c->part_ticket = ++c->tickets;
    return commit(c, c->begun ? c->part_ticket : 0, err);
}

fnd_status fnd_metal_drain(fnd_metal *c, fnd_error *err) {
    fnd_status status = fnd_metal_commit(c, NULL, err);
    pthread_mutex_lock(&c->lock);
    while (reap(c)) pthread_cond_wait(&c->changed, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return status;
}

fnd_status fnd_metal_wait(void *self, fnd_error *err) {
    fnd_metal *c = self;
    void *pool = c->m->push_pool();
    fnd_status status = fnd_metal_drain(c, err);
    c->m->pop_pool(pool);
    fnd_error failure = c->failure;
    c->failure = (fnd_error){ 0 };
    return status != FND_OK ? status : failure.status == FND_OK ? FND_OK
                                                                : fnd_fail(err, failure.status, "%s", failure.text);
}

/* ---- submissions ---- */

fnd_status fnd_metal_begin(void *self, const char *label, fnd_error *err) {
    fnd_metal *c = self;
    if (c->begun) return fnd_fail(err, FND_ERR_USAGE, "%s: the submission before it is not yet given to the GPU", label ? label : "");
    void *pool = c->m->push_pool();
    fnd_status status = fnd_metal_commit(c, NULL, err);
    snprintf(c->label, sizeof c->label, "%s", label ? label : "");
    if (status == FND_OK) status = begin_commands(c, err);
    c->begun = status == FND_OK;
    if (!c->begun) c->label[0] = '\0';
    c->m->pop_pool(pool);
    return status;
}

fnd_status fnd_metal_submit(void *self, uint64_t *ticket, fnd_error *err) {
    fnd_metal *c = self;
    void *pool = c->m->push_pool();
    fnd_status status = fnd_metal_commit(c, ticket, err);
    c->begun = false;
    c->label[0] = '\0';
    c->m->pop_pool(pool);
    return status;
}

/* The GPU's times on the host's clock, from where the first part began to where the last ended. */
static fnd_times times_of(const fnd_metal *c, const fnd_metal_flight *first, const fnd_metal_flight *last) {
    double start = first->start_s * 1e9 + (double)c->clock_offset_ns, end = last->end_s * 1e9 + (double)c->clock_offset_ns;
    if (last->end_s <= 0 || first->start_s <= 0 || end < start || start < 0) return (fnd_times){ 0, 0 };
    return (fnd_times){ (uint64_t)start, (uint64_t)end };
}

/* The next part of a submission from `f` on. */
static fnd_metal_flight *part(fnd_metal_flight *f, uint64_t ticket) {
    while (f && f->ticket != ticket) f = f->next;
    return f;
}

fnd_status fnd_metal_finish(void *self, uint64_t ticket, fnd_times *ran, fnd_error *err) {
    fnd_metal *c = self;
    fnd_error failure = { 0 };
    *ran = (fnd_times){ 0, 0 };
    void *pool = c->m->push_pool();
    pthread_mutex_lock(&c->lock);
    fnd_metal_flight *first = part(c->flights, ticket), *last = first;
    if (first) {
        for (fnd_metal_flight *f = first; f; f = part(f->next, ticket)) {
            while (!f->done) pthread_cond_wait(&c->changed, &c->lock);
            if (failure.status == FND_OK) failure = f->failure;
            last = f;
        }
        *ran = times_of(c, first, last);
        for (fnd_metal_flight *f = first; f; f = part(f->next, ticket)) {
            f->failure = (fnd_error){ 0 };
            f->ticket = 0; /* the next to look frees it */
        }
    } else {
        (void)fnd_fail(&failure, FND_ERR_USAGE, "there is no submission %llu, or it is finished already", (unsigned long long)ticket);
    }
    pthread_mutex_unlock(&c->lock);
    c->m->pop_pool(pool);
    return failure.status == FND_OK ? FND_OK : fnd_fail(err, failure.status, "%s", failure.text);
}
