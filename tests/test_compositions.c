/* test_compositions.c - random legal lists of stages: each composed into one kernel, and executed stage
 * by stage with the values in between in memory; the results agree. Random changes of such lists are
 * judged by a grammar written here, and the composer judges the same. */
#include "kernel_bench.h"
#include "random_list.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

/* ---- a random list of stages, and the tensors for it ---- */

typedef struct composition {
    random_list l;
    fnd_pooled t[LIST_ARGS]; /* of the arguments that are tensors */
} composition;

static void must(fnd_status status, const fnd_error *err) {
    if (status == FND_OK) return;
    fprintf(stderr, "test_compositions: %s\n", err->text);
    abort();
}

static fnd_pooled filled(kernel_bench *b, fnd_format format, fnd_shape shape) {
    fnd_pooled t;
    size_t bytes;
    double *values;
    unsigned char *data = bench_blocks(format, shape.rank == 2 ? shape.dim[0] : 1, shape.dim[shape.rank - 1], &bytes, &values);
    must(fnd_pool_alloc(&b->pool, format, shape, FND_COPY(data, bytes), &t, &b->err), &b->err);
    free(data);
    free(values);
    return t;
}

static fnd_pooled poisoned(kernel_bench *b, fnd_format format, fnd_shape shape) {
    fnd_pooled t;
    must(fnd_pool_alloc(&b->pool, format, shape, FND_POISON, &t, &b->err), &b->err);
    return t;
}

static int find(const composition *c, const char *arg, const char *head) {
    char name[FND_NAME_BYTES];
    random_list_arg_name(name, arg, head);
    for (uint32_t i = 0; i < c->l.arg_count; i++) {
        if (strcmp(c->l.args[i].name, name) == 0) return (int)i;
    }
    abort();
}
static const fnd_tensor *tensor(const composition *c, const char *arg, const char *head) { return &c->t[find(c, arg, head)].t; }

static void make(kernel_bench *b, uint32_t seed, uint32_t index, bool one, composition *c) {
    random_list_make(seed, index, one, &c->l);
    for (uint32_t i = 0; i < c->l.arg_count; i++) {
        const list_arg *a = &c->l.args[i];
        if (a->shape.rank) c->t[i] = a->written ? poisoned(b, a->format, a->shape) : filled(b, a->format, a->shape);
    }
}

/* What it is, for messages. */
static const char *show_list(const random_list *c) {
    static char text[1024];
    size_t used = 0;
    for (uint32_t i = 0; i < c->steps; i++) used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s ", c->text[i][0], c->text[i][1][0] ? ":" : "", c->text[i][1]);
    snprintf(text + used, sizeof text - used, "(%u tokens of %u)", (unsigned)c->tokens, (unsigned)c->dim);
    return text;
}
static const char *show(const composition *c) { return show_list(&c->l); }

static size_t bind_all(composition *c, fnd_binding *out) {
    for (uint32_t i = 0; i < c->l.arg_count; i++) {
        const list_arg *a = &c->l.args[i];
        out[i] = !a->shape.rank ? fnd_bind_f32(a->name, a->number) : a->written ? fnd_bind_out(a->name, &c->t[i].t)
                                                                                : fnd_bind_in(a->name, &c->t[i].t);
    }
    return c->l.arg_count;
}

/* ---- stage by stage ---- */

typedef struct unfused {
    kernel_bench *b;
    composition *c;
    fnd_tensor rows;     /* after the prologues */
    fnd_tensor tiles[2]; /* results in flight */
    uint32_t count;
    fnd_error err;
} unfused;

/* first | stage | last, a kernel of its own, from x to a new f32 tensor (or to y). */
static fnd_tensor alone(unfused *u, const char *first, const char *stage, const char *last, const fnd_tensor *x, fnd_tensor *y, const char *head) {
    static const char *const stage_args[][3] = { { "rmsnorm", "gamma", "eps" }, { "bias", "bias", "" }, { "gate", "gate", "" }, { "residual", "residual", "" }, { "scale", "factor", "" }, { "dot", "w", "" } };
    char name[FND_NAME_BYTES];
    fnd_kernel *k;
    fnd_binding b[6] = { fnd_bind_in("x", x) };
    size_t count = 1;
    fnd_kernel_desc desc = { .name = name, .stages = { { first, NULL }, { stage ? stage : last, NULL }, { stage ? last : NULL, NULL } } };
    if (!first) desc = (fnd_kernel_desc){ .name = name, .stages = { { stage, NULL }, { last, NULL } } };
    snprintf(name, sizeof name, "u_%s_%s", stage ? stage : "none", last);
    for (size_t i = 0; stage && i < sizeof stage_args / sizeof *stage_args; i++) {
        if (strcmp(stage_args[i][0], stage) != 0) continue;
        for (size_t a = 1; a < 3 && stage_args[i][a][0]; a++) {
            int n = find(u->c, stage_args[i][a], head);
            b[count++] = u->c->l.args[n].shape.rank ? fnd_bind_in(stage_args[i][a], &u->c->t[n].t) : fnd_bind_f32(stage_args[i][a], u->c->l.args[n].number);
        }
    }
    fnd_tensor out = { .rank = 0 };
    if (!y) {
        uint64_t cols = stage && strcmp(stage, "dot") == 0 ? b[1].in->shape[0] : x->shape[1];
        out = poisoned(u->b, FND_F32, fnd_shape2(x->shape[0], cols)).t;
        y = &out;
    }
    b[count++] = fnd_bind_out("y", y);
    must(fnd_kernel_make(u->b->f, &desc, &k, &u->err), &u->err);
    must(fnd_run(u->b->f, k, b, count, &u->err), &u->err);
    return *y;
}

static fnd_tensor join(unfused *u) {
    fnd_kernel *k;
    fnd_tensor y = poisoned(u->b, FND_F32, fnd_shape2(u->tiles[0].shape[0], u->tiles[0].shape[1])).t;
    const fnd_binding b[] = { fnd_bind_in("x_gate", &u->tiles[0]), fnd_bind_in("x_up", &u->tiles[1]), fnd_bind_out("y", &y) };
    must(fnd_kernel_get(u->b->f, "swiglu", &k, &u->err), &u->err);
    must(fnd_run(u->b->f, k, b, 3, &u->err), &u->err);
    return y;
}

/* The outputs of the list, one for each written argument, in their order. */
static void run_unfused(kernel_bench *bench, composition *c, fnd_pooled *outs) {
    unfused u = { .b = bench, .c = c };
    uint32_t out = 0;
    for (uint32_t i = 0; i < c->l.steps; i++) {
        const char *stage = c->l.text[i][0], *head = c->l.text[i][1];
        if (strcmp(stage, "rows") == 0) {
            u.rows = *tensor(c, "x", "");
        } else if (strcmp(stage, "rmsnorm") == 0) {
            u.rows = alone(&u, NULL, stage, "put_rows", tensor(c, "x", ""), NULL, "");
        } else if (strcmp(stage, "softmax") == 0) {
            u.rows = alone(&u, "rows", stage, "put_rows", &u.rows, NULL, "");
        } else if (strcmp(stage, "dot") == 0 || strcmp(stage, "take") == 0) {
            bool dot = stage[0] == 'd';
            u.tiles[u.count++] = dot ? alone(&u, "rows", "dot", "store", &u.rows, NULL, head) : alone(&u, NULL, "take", "store", tensor(c, "x", head), NULL, head);
        } else if (strcmp(stage, "swiglu") == 0) {
            u.tiles[0] = join(&u);
            u.count = 1;
        } else if (strcmp(stage, "store") == 0 || strcmp(stage, "put_rows") == 0) {
            const fnd_tensor *y = tensor(c, "y", head);
            outs[out] = poisoned(bench, y->format, fnd_shape2(y->shape[0], y->shape[1]));
            if (stage[0] == 'p')
                alone(&u, "rows", NULL, "put_rows", &u.rows, &outs[out].t, "");
            else
                alone(&u, NULL, "take", "store", &u.tiles[0], &outs[out].t, "");
            u.count = 0;
            out++;
        } else {
            fnd_tensor *last = &u.tiles[u.count - 1];
            *last = alone(&u, "take", stage, "store", last, NULL, head);
        }
    }
}

/* ---- comparing ---- */

static double *read_values(kernel_bench *b, const fnd_tensor *t) {
    size_t bytes = (size_t)fnd_tensor_bytes(t), count = (size_t)fnd_tensor_values(t);
    unsigned char *data = malloc(bytes);
    double *v = calloc(count, sizeof *v);
    if (!data || !v) abort();
    must(fnd_tensor_read(b->f, t, 0, data, bytes, &b->err), &b->err);
    bench_decode(t->format, data, count, v);
    free(data);
    return v;
}

/* Contracted or not, a product and a sum differ by a rounding; a half may then be rounded the other way. */
static bool agree(kernel_bench *b, const composition *c, const fnd_tensor *fused, const fnd_tensor *plain) {
    double *got = read_values(b, fused), *want = read_values(b, plain), most = 0.0;
    double unit = fused->format == FND_F16 ? 0x1p-10 : fused->format == FND_BF16 ? 0x1p-7
                                                                                 : 0.0;
    size_t count = (size_t)fnd_tensor_values(fused), wrong = count;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(want[i]));
    for (size_t i = count; i-- > 0;) {
        double allowed = 2e-6 * most + 2e-5 * fabs(want[i]) + unit * 1.01 * fabs(want[i]) + (unit > 0.0 ? 0x1p-24 : 0.0);
        bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i]) && !c);
        if (!same && !(fabs(got[i] - want[i]) <= allowed)) wrong = i;
    }
    CHECK_MSG(wrong == count, "%s %s %s: value %zu of %zu is %.9g fused and %.9g unfused", b->label, c->l.name, show(c), wrong, count, wrong < count ? got[wrong] : 0.0, wrong < count ? want[wrong] : 0.0);
    free(got);
    free(want);
    return wrong == count;
}

/* `count` compositions as one program, so that one compilation does for all of them. */
static bool check_batch(kernel_bench *b, uint32_t seed, uint32_t first, uint32_t count, bool one, bool together) {
    composition *all = calloc(count, sizeof *all);
    fnd_program *p;
    fnd_error err = { 0 };
    char name[LIST_NAME];
    if (!all) abort();
    snprintf(name, sizeof name, "batch_%u", first);
    /* A barrier that does not exist is left out: where each call would be a launch, they are one. */
    must(fnd_program_begin(b->f, &(fnd_program_desc){ .name = name, .drop_barrier = together ? UINT32_MAX : 0 }, &p, &err), &err);
    fnd_status status = FND_OK;
    for (uint32_t i = 0; i < count && status == FND_OK; i++) {
        fnd_kernel *k;
        fnd_kernel_desc desc;
        fnd_binding bindings[LIST_ARGS];
        make(b, seed, first + i, one, &all[i]);
        random_list_describe(&all[i].l, &desc);
        status = fnd_kernel_make(b->f, &desc, &k, &err);
        if (status == FND_OK) status = fnd_program_call(p, k, bindings, bind_all(&all[i], bindings), &err);
        CHECK_MSG(status == FND_OK, "%s %s: %s", b->label, show(&all[i]), err.text);
    }
    if (status == FND_OK) status = fnd_program_finish(p, &err);
    if (status == FND_OK) status = fnd_program_run(p, &err);
    if (status == FND_OK) status = fnd_wait(b->f, &err);
    CHECK_MSG(status == FND_OK, "%s compositions %u ...: %s", b->label, first, err.text);
    for (uint32_t i = 0; i < count && status == FND_OK; i++) {
        fnd_pooled outs[4];
        uint32_t out = 0;
        run_unfused(b, &all[i], outs);
        must(fnd_wait(b->f, &err), &err);
        for (uint32_t a = 0; a < all[i].l.arg_count; a++) {
            if (all[i].l.args[a].written && !agree(b, &all[i], &all[i].t[a].t, &outs[out++].t)) status = FND_ERR_DEVICE;
        }
    }
    fnd_program_free(p);
    bench_clear(b);
    free(all);
    return status == FND_OK;
}

enum { SEED = 20251122 };

TEST(compositions_fused_agree_with_unfused) {
    kernel_bench b;
    bench_seed(SEED);
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    bool good = true;
    for (uint32_t i = 0; i < 1000 && good; i += 50) good = check_batch(&b, SEED, i, 50, i % 200 == 0, false);
    CHECK_MSG(good, "seed %d", SEED);
    bench_close(&b);
}

TEST(compositions_fused_agree_with_unfused_on_sim) {
    kernel_bench b;
    bench_seed(SEED + 1);
    if (!bench_open(&b, &(bench_device){ "sim", NULL, false })) return;
    bool good = true;
    for (uint32_t i = 0; i < 100 && good; i += 5) good = check_batch(&b, SEED + 1, i, 5, i % 20 == 0, true);
    CHECK_MSG(good, "seed %d", SEED + 1);
    bench_close(&b);
}

/* ---- illegal lists: a grammar of its own ---- */

typedef struct reader {
    const fnd_kernel_desc *d;
    uint32_t at;
    const char *head; /* whose stages these are; NULL: two heads met, and no name was given yet */
    bool mixed;       /* a stage of another head was among them */
} reader;

static bool is_one_of(const char *stage, const char *const *names, size_t count) {
    for (size_t i = 0; stage && i < count; i++) {
        if (strcmp(stage, names[i]) == 0) return true;
    }
    return false;
}
static const char *const activations[] = { "silu", "gelu", "relu", "scale" }, *const wholes[] = { "embed", "argmax_pick", "rope", "ones" };

static bool next_is(const reader *r, const char *name) { return r->d->stages[r->at].stage && strcmp(r->d->stages[r->at].stage, name) == 0; }
/* A stage with a head, or with arguments, is of the head that its main began, or two that met. */
static void take_any(reader *r) {
    static const char *const begin[] = { "dot", "take", "swiglu" }, *const bare[] = { "silu", "gelu", "relu", "swiglu" };
    const fnd_stage_use *use = &r->d->stages[r->at++];
    const char *head = use->head ? use->head : is_one_of(use->stage, bare, 4) ? NULL
                                                                              : "";
    if (is_one_of(use->stage, begin, 3)) r->head = head;
    if (!head) return;
    if (!r->head) r->head = head;
    r->mixed |= strcmp(head, r->head) != 0;
}
static bool take(reader *r, const char *name) {
    bool is = next_is(r, name);
    if (is) take_any(r);
    return is;
}
static void take_activations(reader *r) {
    while (is_one_of(r->d->stages[r->at].stage, activations, 4)) take_any(r);
}
static void take_ends(reader *r) {
    take(r, "gate");
    take(r, "residual");
}

/* main bias? activation* [ gate? residual? | gate? residual? main bias? activation* swiglu activation* gate? residual? ] store */
static bool is_head(reader *r, const char *main) {
    if (!take(r, main)) return false;
    take(r, "bias");
    take_activations(r);
    take_ends(r);
    if (take(r, main)) {
        take(r, "bias");
        take_activations(r);
        if (!take(r, "swiglu")) return false;
        take_activations(r);
        take_ends(r);
    }
    return take(r, "store");
}

static bool is_legal(const fnd_kernel_desc *d) {
    reader r = { .d = d };
    const char *main = "take";
    if (is_one_of(d->stages[0].stage, wholes, 4)) return !d->stages[1].stage;
    if (next_is(&r, "rows") || next_is(&r, "rmsnorm")) {
        r.at++;
        while (next_is(&r, "softmax")) r.at++;
        if (take(&r, "put_rows")) return !d->stages[r.at].stage;
        main = "dot";
    }
    do {
        if (!is_head(&r, main)) return false;
    } while (d->stages[r.at].stage);
    return !r.mixed;
}

static void mutate(fnd_kernel_desc *d, uint32_t count) {
    static const char *const any[] = { "rows", "rmsnorm", "softmax", "put_rows", "dot", "take", "bias", "silu", "scale", "gate", "residual", "swiglu", "store", "embed", "argmax_pick", "rope", "ones", "no_such_stage" };
    fnd_stage_use *s = d->stages;
    uint32_t at = bench_below(count), other = bench_below(count), kind = bench_below(4);
    fnd_stage_use kept = s[at];
    if (kind == 0) { /* one less */
        memmove(s + at, s + at + 1, (count - at - 1) * sizeof *s);
        s[count - 1] = (fnd_stage_use){ NULL, NULL };
    } else if (kind == 1) { /* two exchanged */
        s[at] = s[other];
        s[other] = kept;
    } else if (kind == 2) { /* another instead */
        s[at].stage = any[bench_below(18)];
    } else if (count < FND_MAX_STAGES) { /* one more */
        memmove(s + at + 1, s + at, (count - at) * sizeof *s);
        s[at] = (fnd_stage_use){ any[bench_below(18)], kept.head };
    }
}

/* Heads exchanged with their stages may store twice under one name, which has nothing to do with the order. */
static bool stores_once(const fnd_kernel_desc *d) {
    for (uint32_t i = 0; i < FND_MAX_STAGES && d->stages[i].stage; i++) {
        for (uint32_t k = 0; k < i; k++) {
            const char *a = d->stages[i].head ? d->stages[i].head : "", *b = d->stages[k].head ? d->stages[k].head : "";
            if (strcmp(d->stages[i].stage, "store") == 0 && strcmp(d->stages[k].stage, "store") == 0 && strcmp(a, b) == 0) return false;
        }
    }
    return true;
}

/* Whether the composer judges a changed list as the grammar does. */
static void check_judgement(kernel_bench *b, const fnd_kernel_desc *d, uint32_t *refused) {
    char text[1024] = "";
    size_t used = 0;
    fnd_kernel *k;
    fnd_error err = { 0 };
    bool legal = is_legal(d) && stores_once(d);
    for (uint32_t i = 0; i < FND_MAX_STAGES && d->stages[i].stage; i++) used += (size_t)snprintf(text + used, sizeof text - used, "%s%s%s ", d->stages[i].stage, d->stages[i].head ? ":" : "", d->stages[i].head ? d->stages[i].head : "");
    fnd_status status = fnd_kernel_make(b->f, d, &k, &err);
    CHECK_MSG(status == (legal ? FND_OK : FND_ERR_COMPOSE), "%s: status %d, %s; the grammar says it is %s", text, status, err.text, legal ? "legal" : "not");
    CHECK_MSG(legal || (!k && strstr(err.text, d->name)), "%s: \"%s\" does not name the kernel", text, err.text);
    *refused += !legal;
}

TEST(compositions_illegal_are_refused) {
    kernel_bench b;
    uint32_t refused = 0;
    bench_seed(SEED + 2);
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    for (uint32_t i = 0; i < 3000; i++) {
        random_list c;
        fnd_kernel_desc desc;
        random_list_make(SEED + 2, i, true, &c);
        random_list_describe(&c, &desc);
        CHECK_MSG(is_legal(&desc), "the grammar does not know %s", show_list(&c));
        for (uint32_t n = bench_below(2) + 1; n > 0; n--) mutate(&desc, c.steps > n ? c.steps - 1 : c.steps);
        check_judgement(&b, &desc, &refused);
        bench_clear(&b);
    }
    CHECK_MSG(refused > 1500, "only %u of 3000 changed lists were illegal; seed %d", refused, SEED + 2);
    bench_close(&b);
}
