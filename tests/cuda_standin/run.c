/* run.c - code, streams, events, launches and graphs of the stand-in. A launch does nothing, and is written down in the
 * file that CUDA_STANDIN_LOG names, in the order in which a GPU would run it:
 *
 *   NAME groups threads shared [together] | words of the parameters, addresses as @memory+offset
 *
 * lines that begin with # tell of graphs. What is no order of things that the driver knows is refused. */
#include "standin.h"

#include <stdatomic.h>

enum { PARAM_BYTES = 4096,
       NODES = 1024,
       GRAPHS = 64,
       PROCESSOR_THREADS = 2048,
       PROCESSOR_REGISTERS = 65536,
       PROCESSOR_SHARED = 233472,
       SYSTEM_SHARED = 1024 };

/* A module is a copy of what the one function in it takes, with the image until it is asked for. */
typedef struct code {
    const void *image;
    char name[64];
    cubin_facts facts;
} code;

typedef struct CUevent_st {
    bool never; /* it lies behind a kernel that does not end */
} event;

typedef struct CUgraphNode_st {
    const code *code;
    unsigned groups, threads, shared;
    bool together;
    uint8_t params[PARAM_BYTES];
    size_t param_bytes;
} node;

typedef struct CUgraph_st {
    node *nodes[NODES];
    size_t count;
} graph;

typedef struct CUgraphExec_st {
    const graph *of;
    node *nodes;
    size_t count, told;
} graph_exec;

static struct {
    _Atomic bool hangs;
    graph *captured;           /* NULL: the stream does not capture */
    const void *alive[GRAPHS]; /* graphs and what was instantiated from them */
    char stream;
} gpu;

bool capturing(void) { return gpu.captured != NULL; }
void would_block(const char *what) {
    if (!atomic_load(&gpu.hangs)) return;
    fprintf(stderr, "stand-in for libcuda: %s waits for a kernel that never ends\n", what);
    _Exit(99);
}

static void note(const char *format, const char *name, size_t a, size_t b) {
    const char *path = getenv("CUDA_STANDIN_LOG");
    FILE *to = path ? fopen(path, "a") : NULL;
    if (!to) return;
    fprintf(to, format, name, a, b);
    fclose(to);
}

/* ---- what is alive ---- */

static bool born(const void *p) {
    for (size_t i = 0; i < GRAPHS; i++) {
        if (gpu.alive[i]) continue;
        gpu.alive[i] = p;
        return true;
    }
    return false;
}
static bool lives(const void *p) {
    for (size_t i = 0; i < GRAPHS && p; i++) {
        if (gpu.alive[i] == p) return true;
    }
    return false;
}
static bool dies(const void *p) {
    for (size_t i = 0; i < GRAPHS && p; i++) {
        if (gpu.alive[i] != p) continue;
        gpu.alive[i] = NULL;
        return true;
    }
    return false;
}
void check_left(void) {
    for (size_t i = 0; i < GRAPHS; i++) {
        if (gpu.alive[i]) note("# %s left\n", "a graph was", 0, 0);
    }
}

/* ---- code ---- */

CALL(cuModuleLoadData, fnd_cu_module *module, const void *image) {
    code *c = calloc(1, sizeof *c);
    *module = (fnd_cu_module)(void *)c;
    if (!c || word("bad-image")) {
        free(c);
        return *module = NULL, c ? BAD_IMAGE : FND_CU_OUT_OF_MEMORY;
    }
    c->image = image;
    return OK;
}
CALL(cuModuleUnload, fnd_cu_module module) {
    would_block("unloading");
    free(module);
    return OK;
}
CALL(cuModuleGetFunction, fnd_cu_function *function, fnd_cu_module module, const char *name) {
    code *c = (code *)(void *)module;
    *function = (fnd_cu_function)(void *)c;
    snprintf(c->name, sizeof c->name, "%s", name);
    return cubin_read(c->image, name, &c->facts) ? OK : NOT_FOUND;
}
static const code *code_of(fnd_cu_function f) { return (const code *)(const void *)f; }
CALL(cuFuncGetAttribute, int *value, int attribute, fnd_cu_function function) {
    const cubin_facts *f = &code_of(function)->facts;
    *value = attribute == FND_CU_FUNCTION_REGISTERS     ? f->registers
             : attribute == FND_CU_FUNCTION_LOCAL_BYTES ? f->local_bytes
             : attribute == FND_CU_FUNCTION_MAX_THREADS ? f->max_threads
                                                        : f->shared_bytes;
    return OK;
}
CALL(cuFuncSetAttribute, fnd_cu_function function, int attribute, int value) { return (void)function, (void)attribute, (void)value, capturing() ? CAPTURES : OK; }

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }
CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor, int *groups, fnd_cu_function function, int threads, size_t shared) {
    const cubin_facts *f = &code_of(function)->facts;
    unsigned registers = ((unsigned)f->registers + 7) / 8 * 8;
    if (threads < 1 || threads > f->max_threads) return INVALID;
    unsigned fit = least(PROCESSOR_THREADS / (unsigned)threads, PROCESSOR_SHARED / (unsigned)(shared + (size_t)f->shared_bytes + SYSTEM_SHARED));
    *groups = word("crowded") ? 0 : (int)least(fit, registers ? PROCESSOR_REGISTERS / (registers * (unsigned)threads) : fit);
    return OK;
}

/* ---- streams and events ---- */

static int state(bool never) { return word("lost") ? LOST : never ? FND_CU_NOT_READY
                                                                  : OK; }
static int after_waiting(const char *what) {
    would_block(what);
    return capturing() ? CAPTURES : state(false);
}
CALL(cuStreamCreate, fnd_cu_stream *stream, unsigned flags) { return (void)flags, *stream = (fnd_cu_stream)(void *)&gpu.stream, OK; }
CALL(cuStreamDestroy_v2, fnd_cu_stream stream) { return (void)stream, OK; }
CALL(cuStreamSynchronize, fnd_cu_stream stream) { return (void)stream, after_waiting("cuStreamSynchronize"); }
CALL(cuStreamQuery, fnd_cu_stream stream) { return (void)stream, capturing() ? CAPTURES : state(atomic_load(&gpu.hangs)); }
CALL(cuEventCreate, fnd_cu_event *e, unsigned flags) { return (void)flags, *e = calloc(1, sizeof **e), *e ? OK : FND_CU_OUT_OF_MEMORY; }
CALL(cuEventDestroy_v2, fnd_cu_event e) { return free(e), OK; }
CALL(cuEventRecord, fnd_cu_event e, fnd_cu_stream stream) { return (void)stream, e->never = atomic_load(&gpu.hangs), capturing() ? CAPTURES : OK; }
CALL(cuEventQuery, fnd_cu_event e) { return state(e->never); }
CALL(cuEventSynchronize, fnd_cu_event e) { return (void)e, after_waiting("cuEventSynchronize"); }
CALL(cuEventElapsedTime, float *milliseconds, fnd_cu_event start, fnd_cu_event end) { return (void)start, (void)end, *milliseconds = 0, OK; }

/* ---- launches ---- */

static bool fill(node *n, fnd_cu_function f, const unsigned groups[3], const unsigned threads[3], unsigned shared, bool together, void **params) {
    const code *c = code_of(f);
    *n = (node){ .code = c, .groups = groups[0], .threads = threads[0], .shared = shared, .together = together };
    for (unsigned i = 0; i < CUBIN_PARAMS && c->facts.param_bytes[i]; i++) {
        if (n->param_bytes + c->facts.param_bytes[i] > PARAM_BYTES) return false;
        memcpy(n->params + n->param_bytes, params[i], c->facts.param_bytes[i]);
        n->param_bytes += (c->facts.param_bytes[i] + 7) / 8 * 8;
    }
    return n->groups && n->threads && n->threads <= (unsigned)c->facts.max_threads && groups[1] * groups[2] * threads[1] * threads[2] == 1;
}

static void run(const node *n) {
    const char *hang = word("hang="), *path = getenv("CUDA_STANDIN_LOG");
    size_t bytes = strlen(n->code->name);
    if (hang && strncmp(hang + strlen("hang="), n->code->name, bytes) == 0 && !hang[strlen("hang=") + bytes]) atomic_store(&gpu.hangs, true);
    FILE *to = path ? fopen(path, "a") : NULL;
    if (!to) return;
    fprintf(to, "%s %u %u %u%s |", n->code->name, n->groups, n->threads, n->shared, n->together ? " together" : "");
    for (size_t at = 0; at < n->param_bytes; at += 8) {
        uint64_t value, offset;
        memcpy(&value, n->params + at, sizeof value);
        unsigned place = place_of(value, &offset);
        fprintf(to, place ? " @%llu+%llu" : " %llx", (unsigned long long)(place ? place : value), (unsigned long long)offset);
    }
    fputc('\n', to);
    fclose(to);
}

static int launch(const node *n) {
    int fit = 0;
    if (n->together && (cuOccupancyMaxActiveBlocksPerMultiprocessor(&fit, (fnd_cu_function)(uintptr_t)n->code, (int)n->threads, n->shared) != OK || (unsigned)fit * PROCESSORS < n->groups)) return TOO_LARGE;
    if (!gpu.captured) return run(n), OK;
    if (gpu.captured->count == NODES) return FND_CU_OUT_OF_MEMORY;
    node *copy = malloc(sizeof *copy);
    if (!copy) return FND_CU_OUT_OF_MEMORY;
    *copy = *n;
    gpu.captured->nodes[gpu.captured->count++] = copy;
    return OK;
}
CALL(cuLaunchKernel, fnd_cu_function f, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz, unsigned shared, fnd_cu_stream s, void **params, void **extra) {
    node n;
    (void)s;
    return extra || !fill(&n, f, (unsigned[]){ x, y, z }, (unsigned[]){ bx, by, bz }, shared, false, params) ? INVALID : launch(&n);
}
CALL(cuLaunchCooperativeKernel, fnd_cu_function f, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz, unsigned shared, fnd_cu_stream s, void **params) {
    node n;
    (void)s;
    write_stamps(*(const fnd_cu_address *)params[0]);
    return !fill(&n, f, (unsigned[]){ x, y, z }, (unsigned[]){ bx, by, bz }, shared, true, params) ? INVALID : launch(&n);
}

/* ---- graphs ---- */

CALL(cuStreamBeginCapture_v2, fnd_cu_stream s, int mode) {
    (void)s;
    if (capturing() || mode != FND_CU_CAPTURE_THREAD) return BAD_STATE;
    gpu.captured = calloc(1, sizeof *gpu.captured);
    return gpu.captured ? OK : FND_CU_OUT_OF_MEMORY;
}
CALL(cuStreamGetCaptureInfo_v2, fnd_cu_stream s, int *status, uint64_t *id, fnd_cu_graph *g, const fnd_cu_node **last, size_t *count) {
    (void)s;
    *status = capturing();
    if (!capturing()) return OK;
    *id = 1;
    *g = gpu.captured;
    *count = gpu.captured->count ? 1 : 0;
    *last = *count ? &gpu.captured->nodes[gpu.captured->count - 1] : NULL;
    return OK;
}
CALL(cuStreamEndCapture, fnd_cu_stream s, fnd_cu_graph *g) {
    (void)s;
    *g = gpu.captured;
    if (!capturing()) return BAD_STATE;
    gpu.captured = NULL;
    note("# %scaptured %zu\n", "", (*g)->count, 0);
    return born(*g) ? OK : FND_CU_OUT_OF_MEMORY;
}
CALL(cuGraphInstantiateWithFlags, fnd_cu_graph_exec *out, fnd_cu_graph g, unsigned long long flags) {
    *out = NULL;
    if (!lives(g) || flags) return BAD_HANDLE;
    graph_exec *e = calloc(1, sizeof *e);
    if (!e || !(e->nodes = calloc(g->count + 1, sizeof *e->nodes)) || !born(e)) return FND_CU_OUT_OF_MEMORY;
    e->of = g;
    e->count = g->count;
    for (size_t i = 0; i < g->count; i++) e->nodes[i] = *g->nodes[i];
    *out = e;
    return OK;
}
CALL(cuGraphExecKernelNodeSetParams, fnd_cu_graph_exec e, fnd_cu_node handle, const fnd_cu_kernel_node *p) {
    size_t i = 0;
    if (!lives(e) || !lives(e->of)) return BAD_HANDLE;
    while (i < e->count && e->of->nodes[i] != handle) i++;
    if (i == e->count || code_of(p->function) != e->nodes[i].code || p->extra) return INVALID;
    e->told++;
    return fill(&e->nodes[i], p->function, p->groups, p->threads, p->shared_bytes, e->nodes[i].together, p->params) ? OK : INVALID;
}
CALL(cuGraphLaunch, fnd_cu_graph_exec e, fnd_cu_stream s) {
    (void)s;
    if (!lives(e)) return BAD_HANDLE;
    if (capturing()) return CAPTURES;
    note("# %sgraph of %zu, %zu told anew\n", "", e->count, e->told);
    e->told = 0;
    for (size_t i = 0; i < e->count; i++) run(&e->nodes[i]);
    return OK;
}
CALL(cuGraphExecDestroy, fnd_cu_graph_exec e) {
    if (!dies(e)) return BAD_HANDLE;
    free(e->nodes);
    free(e);
    return OK;
}
CALL(cuGraphDestroy, fnd_cu_graph g) {
    if (!dies(g)) return BAD_HANDLE;
    for (size_t i = 0; i < g->count; i++) free(g->nodes[i]);
    free(g);
    return OK;
}
