/* commands.c - command buffers and encoders: what is recorded is checked at once, and executed by a thread that
 * is the GPU, one command buffer after the other. Dispatches of a concurrent encoder between two barriers run in
 * the reverse of their order: a barrier that is missing is a wrong result. */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SELF(type) ((type *)(void *)self)
enum { STATUS_NOT_ENQUEUED,
       STATUS_ENQUEUED,
       STATUS_COMMITTED,
       STATUS_SCHEDULED,
       STATUS_COMPLETED,
       STATUS_ERROR };

standin_counters standin_count;
atomic_long standin_most_in_flight;
char standin_last_label[256], standin_last_group[NAME_BYTES];

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;
static commands_object *first_queued, **last_queued = &first_queued;
static long in_flight;
static bool gpu_runs;

/* ---- blocks: what Block_copy does with one that captures plain values ---- */

typedef struct block {
    void *isa;
    int flags, reserved;
    void (*invoke)(struct block *self, object *argument);
    const struct block_descriptor {
        unsigned long reserved, size;
        const char *signature;
    } * descriptor;
} block;
enum { BLOCK_HAS_COPY = 1 << 25,
       BLOCK_HAS_SIGNATURE = 1 << 30 };
extern void *_NSConcreteStackBlock[32];

static block *copy_block(block *b) {
    bool good = b && b->isa == (void *)_NSConcreteStackBlock && b->invoke && b->descriptor && b->descriptor->size >= sizeof *b && !(b->flags & BLOCK_HAS_COPY);
    bool typed = good && (b->flags & BLOCK_HAS_SIGNATURE) && b->descriptor->signature && strcmp(b->descriptor->signature, "v16@?0@8") == 0;
    if (!typed) {
        standin_violation("addCompletedHandler: %s", good ? "the block's signature is not v16@?0@8" : "that is no block of the stack without captured objects");
        return NULL;
    }
    block *copy = malloc(b->descriptor->size);
    if (!copy) abort();
    memcpy(copy, b, b->descriptor->size);
    return copy;
}

/* ---- executing ---- */

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run_blit(const command *c) {
    if (c->kind == COMMAND_COPY || c->kind == COMMAND_FILL) atomic_fetch_add(&standin_count.blits, 1);
    if (c->kind == COMMAND_COPY) memmove(c->to->memory + c->to_at, c->from->memory + c->from_at, c->count);
    if (c->kind == COMMAND_FILL) memset(c->to->memory + c->to_at, c->value, c->count);
}

/* May both write at one place of a buffer? Those without scratch memory have the same few bytes in its place. */
static bool share(const command *a, const command *b) {
    for (uint32_t i = 0; i < a->pipeline->parameter_count; i++) {
        const parameter *x = &a->pipeline->parameters[i];
        const binding *to = &a->bindings[x->index];
        for (uint32_t k = 0; k < b->pipeline->parameter_count && to->buffer && !x->is_const && !x->is_constant; k++) {
            const parameter *y = &b->pipeline->parameters[k];
            const binding *other = &b->bindings[y->index];
            if (other->buffer == to->buffer && other->offset == to->offset && !y->is_const && !y->is_constant) return true;
        }
    }
    return false;
}

/* Those before the next barrier, the last first. */
static bool run_all(commands_object *b, char *says, size_t bytes) {
    for (size_t first = 0, end; first < b->count; first = end) {
        end = first + 1;
        if (b->list[first].kind == COMMAND_BARRIER) atomic_fetch_add(&standin_count.barriers, 1);
        if (b->list[first].kind != COMMAND_DISPATCH) {
            run_blit(&b->list[first]);
            continue;
        }
        while (end < b->count && b->list[end].kind == COMMAND_DISPATCH) end++;
        for (size_t i = first + 1; i < end; i++) atomic_fetch_add(&standin_count.shared, share(&b->list[i - 1], &b->list[i]));
        for (size_t i = end; i-- > first;) {
            atomic_fetch_add(&standin_count.dispatches, 1);
            if (!standin_run(&b->list[i], says, bytes)) return false;
        }
    }
    return true;
}

static void execute(commands_object *b) {
    char says[1200] = "";
    struct timespec pause = { .tv_sec = standin_set.slow_ms / 1000, .tv_nsec = standin_set.slow_ms % 1000 * 1000000 };
    b->start_s = now_s();
    if (standin_set.slow_ms) nanosleep(&pause, NULL);
    bool fails = standin_hits(&standin_set.fail_commands), good = !fails && run_all(b, says, sizeof says);
    b->end_s = standin_set.told_us ? b->start_s + (double)standin_set.told_us / 1e6 : now_s();
    atomic_fetch_add(&standin_count.commands, 1);
    standin_lock();
    snprintf(standin_last_label, sizeof standin_last_label, "%s", b->label ? standin_text(b->label) : "");
    if (!good) b->error = standin_error("MTLCommandBufferErrorDomain", fails ? standin_set.fail_code : 3, fails ? "Insufficient Memory (planted)" : says);
    b->status = good ? STATUS_COMPLETED : STATUS_ERROR;
    standin_unlock();
}

static void *gpu(void *nothing) {
    (void)nothing;
    for (;;) {
        pthread_mutex_lock(&queue_lock);
        while (!first_queued) pthread_cond_wait(&queue_changed, &queue_lock);
        commands_object *b = first_queued;
        pthread_mutex_unlock(&queue_lock);
        execute(b);
        pthread_mutex_lock(&queue_lock);
        first_queued = b->next;
        if (!first_queued) last_queued = &first_queued;
        block *handler = b->handler;
        b->handler = NULL;
        pthread_cond_broadcast(&queue_changed);
        pthread_mutex_unlock(&queue_lock);
        for (size_t i = 0; i < b->count; i++) standin_command_free(&b->list[i]);
        b->count = 0;
        if (handler) handler->invoke(handler, &b->base);
        free(handler);
        standin_release(&b->base);
        pthread_mutex_lock(&queue_lock);
        in_flight--;
        pthread_cond_broadcast(&queue_changed);
        pthread_mutex_unlock(&queue_lock);
    }
    return NULL;
}

void standin_wait_idle(void) {
    pthread_mutex_lock(&queue_lock);
    while (in_flight) pthread_cond_wait(&queue_changed, &queue_lock);
    pthread_mutex_unlock(&queue_lock);
}

void standin_command_free(command *c) {
    if (c->pipeline) standin_release(&c->pipeline->base);
    if (c->from) standin_release(&c->from->base);
    if (c->to) standin_release(&c->to->base);
    for (size_t i = 0; i < MAX_BUFFERS; i++) {
        if (c->bindings[i].buffer) standin_release(&c->bindings[i].buffer->base);
        free(c->bindings[i].bytes);
    }
    *c = (command){ .kind = COMMAND_ENCODER };
}

/* ---- command buffers ---- */

object *mtl_queue_commands(object *self, selector s) {
    (void)s;
    commands_object *b = (commands_object *)(void *)standin_new(&class_StandinCommands);
    b->queue = (queue_object *)(void *)standin_retain(self);
    return standin_autorelease(&b->base);
}

void dealloc_StandinCommands(object *self) {
    commands_object *b = SELF(commands_object);
    for (size_t i = 0; i < b->count; i++) standin_command_free(&b->list[i]);
    if (b->open) standin_violation("a command buffer goes while an encoder of it is open");
    free(b->list);
    free(b->handler);
    standin_release(b->label);
    standin_release(b->error);
    standin_release(&b->queue->base);
}

static bool may_record(commands_object *b, const char *what) {
    if (b->status == STATUS_NOT_ENQUEUED && !b->open) return true;
    standin_violation("%s: %s", what, b->open ? "another encoder of the command buffer is open" : "the command buffer was committed");
    return false;
}

static command *add(commands_object *b, command_kind kind) {
    if (b->count == b->capacity) {
        b->capacity = b->capacity ? 2 * b->capacity : 64;
        b->list = realloc(b->list, b->capacity * sizeof *b->list);
        if (!b->list) abort();
    }
    command *c = &b->list[b->count++];
    *c = (command){ .kind = kind };
    return c;
}

static object *new_encoder(object *self, class_ *of, bool concurrent, const char *what) {
    if (!may_record(SELF(commands_object), what)) return NULL;
    encoder_object *e = (encoder_object *)(void *)standin_new(of);
    e->commands = (commands_object *)(void *)standin_retain(self);
    e->concurrent = concurrent;
    SELF(commands_object)->open = e;
    add(SELF(commands_object), COMMAND_ENCODER);
    return standin_autorelease(&e->base);
}

object *mtl_commands_compute(object *self, selector s, uint64_t type) {
    (void)s;
    if (type > 1) standin_violation("computeCommandEncoderWithDispatchType: %llu", (unsigned long long)type);
    return new_encoder(self, &class_StandinCompute, type == 1, "computeCommandEncoderWithDispatchType");
}
object *mtl_commands_blit(object *self, selector s) { return (void)s, new_encoder(self, &class_StandinBlit, false, "blitCommandEncoder"); }

void mtl_commands_handler(object *self, selector s, block *handler) {
    (void)s;
    if (SELF(commands_object)->status != STATUS_NOT_ENQUEUED) standin_violation("addCompletedHandler: after commit");
    if (SELF(commands_object)->handler) standin_violation("addCompletedHandler: a second one, which is not known here");
    SELF(commands_object)->handler = copy_block(handler);
}

void mtl_commands_commit(object *self, selector s) {
    commands_object *b = SELF(commands_object);
    pthread_t thread;
    (void)s;
    if (b->status != STATUS_NOT_ENQUEUED || b->open) {
        standin_violation("commit: %s", b->open ? "an encoder is open" : "for the second time");
        return;
    }
    b->status = STATUS_COMMITTED;
    atomic_fetch_add(&standin_count.unlabelled, !b->label || !b->queue->label);
    standin_retain(self);
    pthread_mutex_lock(&queue_lock);
    if (!gpu_runs && pthread_create(&thread, NULL, gpu, NULL) == 0) {
        pthread_detach(thread);
        gpu_runs = true;
    }
    b->next = NULL;
    *last_queued = b;
    last_queued = &b->next;
    if (++in_flight > atomic_load(&standin_most_in_flight)) atomic_store(&standin_most_in_flight, in_flight);
    pthread_cond_broadcast(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
}

void mtl_commands_wait(object *self, selector s) {
    (void)s;
    if (SELF(commands_object)->status == STATUS_NOT_ENQUEUED) {
        standin_violation("waitUntilCompleted: before commit, for ever");
        return;
    }
    pthread_mutex_lock(&queue_lock);
    while (SELF(commands_object)->status < STATUS_COMPLETED) pthread_cond_wait(&queue_changed, &queue_lock);
    pthread_mutex_unlock(&queue_lock);
}
uint64_t mtl_commands_status(object *self, selector s) {
    (void)s;
    standin_lock();
    uint64_t status = SELF(commands_object)->status;
    standin_unlock();
    return status;
}
object *mtl_commands_error(object *self, selector s) { return (void)s, SELF(commands_object)->error; }
double mtl_commands_start(object *self, selector s) { return (void)s, SELF(commands_object)->start_s; }
double mtl_commands_end(object *self, selector s) { return (void)s, SELF(commands_object)->end_s; }

/* ---- encoders ---- */

static bool is_open(object *self, const char *what) {
    if (!SELF(encoder_object)->ended) return true;
    standin_violation("%s: the encoder has ended", what);
    return false;
}

void mtl_encoder_end(object *self, selector s) {
    encoder_object *e = SELF(encoder_object);
    (void)s;
    if (!is_open(self, "endEncoding")) return;
    if (e->groups_open) standin_violation("endEncoding: %d debug groups are open", e->groups_open);
    e->ended = true;
    e->commands->open = NULL;
}

static void clear_binding(binding *b) {
    if (b->buffer) standin_release(&b->buffer->base);
    free(b->bytes);
    *b = (binding){ .buffer = NULL };
}

/* Also of blit encoders. One that goes before it has ended is a violation, as in Metal. */
void dealloc_StandinCompute(object *self) {
    encoder_object *e = SELF(encoder_object);
    if (!e->ended) {
        standin_violation("an encoder goes before endEncoding");
        e->commands->open = NULL;
    }
    for (size_t i = 0; i < MAX_BUFFERS; i++) clear_binding(&e->bindings[i]);
    if (e->pipeline) standin_release(&e->pipeline->base);
    standin_release(&e->commands->base);
}

void mtl_compute_pipeline(object *self, selector s, object *pipeline) {
    (void)s;
    if (!is_open(self, "setComputePipelineState") || !standin_is(pipeline, &class_StandinPipeline, "setComputePipelineState")) return;
    standin_retain(pipeline);
    if (SELF(encoder_object)->pipeline) standin_release(&SELF(encoder_object)->pipeline->base);
    SELF(encoder_object)->pipeline = (pipeline_object *)(void *)pipeline;
}

void mtl_compute_buffer(object *self, selector s, object *buffer, uint64_t offset, uint64_t index) {
    (void)s;
    if (!is_open(self, "setBuffer") || !standin_is(buffer, &class_StandinBuffer, "setBuffer")) return;
    buffer_object *b = (buffer_object *)(void *)buffer;
    if (index >= MAX_BUFFERS || offset >= b->length) {
        standin_violation("setBuffer: offset %llu of %llu, index %llu of %d", (unsigned long long)offset, (unsigned long long)b->length, (unsigned long long)index, MAX_BUFFERS);
        return;
    }
    binding *at = &SELF(encoder_object)->bindings[index];
    standin_retain(buffer);
    clear_binding(at);
    *at = (binding){ .buffer = b, .offset = offset };
}

void mtl_compute_bytes(object *self, selector s, const void *bytes, uint64_t length, uint64_t index) {
    (void)s;
    if (!is_open(self, "setBytes")) return;
    if (index >= MAX_BUFFERS || length == 0 || length > MAX_BYTES || !bytes) {
        standin_violation("setBytes: %llu bytes, index %llu of %d", (unsigned long long)length, (unsigned long long)index, MAX_BUFFERS);
        return;
    }
    binding *at = &SELF(encoder_object)->bindings[index];
    clear_binding(at);
    at->bytes = malloc(length);
    if (!at->bytes) abort();
    memcpy(at->bytes, bytes, length);
    at->count = length;
}

void mtl_compute_barrier(object *self, selector s, uint64_t scope) {
    (void)s;
    if (!is_open(self, "memoryBarrierWithScope")) return;
    if (!(scope & 1) || scope > 3) standin_violation("memoryBarrierWithScope: %llu: the buffers are not in it", (unsigned long long)scope);
    add(SELF(encoder_object)->commands, COMMAND_BARRIER);
}

/* Every buffer of the text is bound, its address is a multiple of what its type needs, and fits. */
static bool check_bindings(const encoder_object *e) {
    const pipeline_object *p = e->pipeline;
    for (uint32_t i = 0; i < p->parameter_count; i++) {
        const parameter *x = &p->parameters[i];
        if (!x->is_buffer) continue;
        const binding *b = &e->bindings[x->index];
        if (!b->buffer && !b->bytes) {
            standin_violation("dispatch of %s: nothing is bound to buffer %u, %s", p->name, x->index, x->name);
            return false;
        }
        if (b->bytes && !x->is_constant && !x->is_const) standin_violation("dispatch of %s: %s is written, and bound with setBytes", p->name, x->name);
        if (x->alignment && b->buffer && b->offset % x->alignment) standin_violation("dispatch of %s: the offset %llu of %s is no multiple of %u", p->name, (unsigned long long)b->offset, x->name, x->alignment);
    }
    return true;
}

void mtl_compute_dispatch(object *self, selector s, size3 groups, size3 threads) {
    encoder_object *e = SELF(encoder_object);
    (void)s;
    if (!is_open(self, "dispatchThreadgroups")) return;
    if (!e->pipeline) {
        standin_violation("dispatchThreadgroups: without a pipeline");
        return;
    }
    bool flat = groups.height == 1 && groups.depth == 1 && threads.height == 1 && threads.depth == 1 && groups.width && threads.width;
    if (!flat || threads.width > e->pipeline->threads || threads.width % (uint64_t)standin_set.width) {
        standin_violation("dispatch of %s: %llux%llux%llu groups of %llux%llux%llu threads; the pipeline has %llu at most", e->pipeline->name, (unsigned long long)groups.width, (unsigned long long)groups.height,
                          (unsigned long long)groups.depth, (unsigned long long)threads.width, (unsigned long long)threads.height, (unsigned long long)threads.depth, (unsigned long long)e->pipeline->threads);
        return;
    }
    if (!check_bindings(e)) return;
    atomic_fetch_add(&standin_count.serial, !e->concurrent);
    atomic_fetch_add(&standin_count.unlabelled, !e->pipeline->label);
    atomic_store(&standin_count.threads, (long)threads.width);
    standin_lock();
    snprintf(standin_last_group, sizeof standin_last_group, "%s", e->groups_open ? e->group : "");
    standin_unlock();
    command *c = add(e->commands, COMMAND_DISPATCH);
    c->pipeline = (pipeline_object *)(void *)standin_retain(&e->pipeline->base);
    c->groups = groups.width;
    c->threads = threads.width;
    for (size_t i = 0; i < MAX_BUFFERS; i++) {
        binding *to = &c->bindings[i];
        *to = e->bindings[i];
        if (to->buffer) standin_retain(&to->buffer->base);
        atomic_fetch_add(&standin_count.unlabelled, to->buffer && !to->buffer->label);
        if (!to->bytes) continue;
        to->bytes = malloc(to->count);
        if (!to->bytes) abort();
        memcpy(to->bytes, e->bindings[i].bytes, to->count);
    }
    if (!e->concurrent) add(e->commands, COMMAND_ENCODER);
}

void mtl_compute_push(object *self, selector s, object *name) {
    (void)s;
    if (!is_open(self, "pushDebugGroup") || !standin_is(name, &class_NSString, "pushDebugGroup")) return;
    SELF(encoder_object)->groups_open++;
    snprintf(SELF(encoder_object)->group, NAME_BYTES, "%s", standin_text(name));
}
void mtl_compute_pop(object *self, selector s) {
    (void)s;
    if (!is_open(self, "popDebugGroup")) return;
    if (SELF(encoder_object)->groups_open-- == 0) standin_violation("popDebugGroup: none is open");
}

static bool in_buffer(const buffer_object *b, uint64_t at, uint64_t count) { return at <= b->length && count <= b->length - at; }

void mtl_blit_copy(object *self, selector s, object *from, uint64_t from_at, object *to, uint64_t to_at, uint64_t count) {
    (void)s;
    if (!is_open(self, "copyFromBuffer") || !standin_is(from, &class_StandinBuffer, "copyFromBuffer") || !standin_is(to, &class_StandinBuffer, "copyFromBuffer: to")) return;
    buffer_object *a = (buffer_object *)(void *)from, *b = (buffer_object *)(void *)to;
    if (!count || from_at % 4 || to_at % 4 || count % 4 || !in_buffer(a, from_at, count) || !in_buffer(b, to_at, count) || (a == b && from_at < to_at + count && to_at < from_at + count)) {
        standin_violation("copyFromBuffer: %llu bytes from %llu of %llu to %llu of %llu: all in the buffers, and multiples of 4", (unsigned long long)count, (unsigned long long)from_at, (unsigned long long)a->length, (unsigned long long)to_at,
                          (unsigned long long)b->length);
        return;
    }
    command *c = add(SELF(encoder_object)->commands, COMMAND_COPY);
    c->from = (buffer_object *)(void *)standin_retain(from);
    c->to = (buffer_object *)(void *)standin_retain(to);
    c->from_at = from_at;
    c->to_at = to_at;
    c->count = count;
}

void mtl_blit_fill(object *self, selector s, object *to, range where, uint8_t value) {
    (void)s;
    if (!is_open(self, "fillBuffer") || !standin_is(to, &class_StandinBuffer, "fillBuffer")) return;
    buffer_object *b = (buffer_object *)(void *)to;
    if (!where.length || where.location % 4 || where.length % 4 || !in_buffer(b, where.location, where.length)) {
        standin_violation("fillBuffer: %llu bytes at %llu of %llu: in the buffer, and multiples of 4", (unsigned long long)where.length, (unsigned long long)where.location, (unsigned long long)b->length);
        return;
    }
    command *c = add(SELF(encoder_object)->commands, COMMAND_FILL);
    c->to = (buffer_object *)(void *)standin_retain(to);
    c->to_at = where.location;
    c->count = where.length;
    c->value = value;
}
