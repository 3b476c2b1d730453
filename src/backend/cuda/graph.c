/* graph.c - launches that go to the GPU as one graph.
 *
 * They are captured from the stream by the very calls that would launch them, once. Later runs tell the graph of
 * the kernels whose arguments or memory are others than the last time (a token's: those that know its position).
 *
 * SAFETY: while the stream captures, nothing may be asked that waits or allocates; so every launch is configured
 * before, which makes all memory as large as any of them wants. A node's handle is what the stream names as its last
 * work behind the launch. The graph stays beside what was instantiated from it, because nodes belong to it. */
#include "backend/cuda/cuda.h"
#include "base/base.h"
#include "base/memory.h"

typedef struct node {
    fnd_cu_node handle;
    fnd_cuda_config config;
} node;

struct fnd_cuda_graph {
    fnd_cuda_graph *next, **to_this; /* of the device's list */
    fnd_cu_graph graph;
    fnd_cu_graph_exec exec;
    size_t count;
    node *nodes;
    fnd_cuda_config *configs; /* of the run that begins; here, since a token allocates nothing */
    uint8_t *args;            /* as the graph knows them */
};

static const uint8_t *args_of(const void *whole, const fnd_launch *part) { return (const uint8_t *)whole + part->args_at; }

static bool same_config(const fnd_cuda_config *a, const fnd_cuda_config *b) {
    return a->function == b->function && a->groups == b->groups && a->threads == b->threads && a->shared == b->shared && a->together == b->together && a->scratch == b->scratch && a->stride == b->stride && a->shared_scratch == b->shared_scratch;
}

/* Twice: a later one may need more memory, and move what an earlier one was told of. */
static fnd_status configure_all(fnd_cuda *c, const fnd_launch *l, fnd_cuda_config *out, fnd_error *err) {
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < l->graph->count; i++) {
            const fnd_launch *part = &l->graph->launches[i];
            if (part->is_program) return fnd_fail(err, FND_ERR_USAGE, "%s: a program's text is no part of a graph", part->label);
            FND_TRY(fnd_cuda_configure(c, part, &out[i], err));
        }
    }
    return FND_OK;
}

static fnd_status capture_one(fnd_cuda *c, const fnd_launch *l, size_t i, node *n, fnd_error *err) {
    const fnd_launch *part = &l->graph->launches[i];
    const fnd_cu_node *last = NULL;
    fnd_cu_graph graph;
    uint64_t id;
    size_t count = 0;
    int capturing = 0;
    FND_TRY(fnd_cuda_start(c, &n->config, args_of(l->args, part), part->label, err));
    FND_TRY(fnd_cuda_check(c->cu, c->cu->capture_info(c->stream, &capturing, &id, &graph, &last, &count), part->label, err));
    if (count != 1) return fnd_fail(err, FND_ERR_DEVICE, "%s: the NVIDIA driver captured %zu nodes where one was launched", part->label, count);
    n->handle = last[0];
    return FND_OK;
}

static fnd_status capture(fnd_cuda *c, const fnd_launch *l, fnd_cuda_graph *g, fnd_error *err) {
    fnd_error ignored = { 0 };
    FND_TRY(fnd_cuda_check(c->cu, c->cu->capture_begin(c->stream, FND_CU_CAPTURE_THREAD), "capturing a graph", err));
    fnd_status status = FND_OK;
    for (size_t i = 0; i < g->count && status == FND_OK; i++) status = capture_one(c, l, i, &g->nodes[i], err);
    /* In any case: the stream must launch again. */
    fnd_status ended = fnd_cuda_check(c->cu, c->cu->capture_end(c->stream, &g->graph), "capturing a graph", status == FND_OK ? err : &ignored);
    if (status != FND_OK) return status;
    FND_TRY(ended);
    return fnd_cuda_check(c->cu, c->cu->graph_instantiate(&g->exec, g->graph, 0), "making a graph", err);
}

static fnd_status tell_changes(fnd_cuda *c, const fnd_launch *l, fnd_cuda_graph *g, fnd_error *err) {
    for (size_t i = 0; i < g->count; i++) {
        const fnd_launch *part = &l->graph->launches[i];
        const uint8_t *args = args_of(l->args, part);
        fnd_cuda_config now = g->configs[i];
        if (same_config(&now, &g->nodes[i].config) && memcmp(args, args_of(g->args, part), part->args_bytes) == 0) continue;
        void *params[] = { (void *)(uintptr_t)args, &now.scratch, &now.stride, &now.shared_scratch };
        const fnd_cu_kernel_node told = { .function = now.function, .groups = { now.groups, 1, 1 }, .threads = { now.threads, 1, 1 }, .shared_bytes = now.shared, .params = params };
        FND_TRY(fnd_cuda_check(c->cu, c->cu->graph_set(g->exec, g->nodes[i].handle, &told), part->label, err));
        g->nodes[i].config = g->configs[i];
        memcpy(g->args + part->args_at, args, part->args_bytes);
    }
    return FND_OK;
}

static void link_graph(fnd_cuda *c, fnd_cuda_graph *g) {
    g->next = c->graphs;
    g->to_this = &c->graphs;
    if (g->next) g->next->to_this = &g->next;
    c->graphs = g;
}

static fnd_status new_graph(fnd_cuda *c, const fnd_launch *l, fnd_cuda_graph **out, fnd_error *err) {
    fnd_cuda_graph *g = fnd_alloc_zeroed(1, sizeof *g);
    *out = g;
    if (!g) return fnd_fail(err, FND_ERR_MEMORY, "%s: out of memory for a graph", l->label);
    link_graph(c, g);
    g->count = l->graph->count;
    g->nodes = fnd_alloc_zeroed(g->count, sizeof *g->nodes);
    g->configs = fnd_alloc_zeroed(g->count, sizeof *g->configs);
    g->args = fnd_alloc_zeroed(l->args_bytes, 1);
    return g->nodes && g->configs && g->args ? FND_OK : fnd_fail(err, FND_ERR_MEMORY, "%s: out of memory for a graph", l->label);
}

static fnd_status make(fnd_cuda *c, const fnd_launch *l, fnd_cuda_graph *g, fnd_error *err) {
    FND_TRY(configure_all(c, l, g->configs, err));
    for (size_t i = 0; i < g->count; i++) g->nodes[i].config = g->configs[i];
    memcpy(g->args, l->args, l->args_bytes);
    return capture(c, l, g, err);
}

fnd_status fnd_cuda_run_graph(fnd_cuda *c, const fnd_launch *l, fnd_error *err) {
    fnd_cuda_graph *g = l->graph->made;
    if (g) {
        FND_TRY(configure_all(c, l, g->configs, err));
        FND_TRY(tell_changes(c, l, g, err));
    } else {
        fnd_status status = new_graph(c, l, &g, err);
        if (status == FND_OK) status = make(c, l, g, err);
        if (status != FND_OK) {
            fnd_cuda_free_graph(c, g);
            return status;
        }
        l->graph->made = g;
    }
    return fnd_cuda_check(c->cu, c->cu->graph_launch(g->exec, c->stream), l->label, err);
}

/* One that runs is freed by the driver when it has ended. */
void fnd_cuda_free_graph(void *self, void *made) {
    fnd_cuda *c = self;
    fnd_cuda_graph *g = made;
    fnd_error ignored = { 0 };
    if (!g) return;
    *g->to_this = g->next;
    if (g->next) g->next->to_this = g->to_this;
    if (fnd_cuda_enter(c, &ignored) == FND_OK) {
        if (g->exec) c->cu->graph_exec_destroy(g->exec);
        if (g->graph) c->cu->graph_destroy(g->graph);
    }
    fnd_free_memory(g->nodes);
    fnd_free_memory(g->configs);
    fnd_free_memory(g->args);
    fnd_free_memory(g);
}
