/* random_list.c - see random_list.h. Nothing here needs a device. */
#include "random_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct maker {
    random_list *c;
    bool one; /* one token */
    uint64_t state;
} maker;

static uint32_t below(maker *m, uint32_t n) {
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return (uint32_t)(m->state >> 32) % n;
}
static float uniform(maker *m) { return (float)below(m, 1u << 24) * 0x1p-24f; }

static void step(random_list *c, const char *stage, const char *head) {
    if (c->steps == FND_MAX_STAGES) abort();
    snprintf(c->text[c->steps][0], LIST_NAME, "%s", stage);
    snprintf(c->text[c->steps++][1], LIST_NAME, "%s", head);
}

const char *random_list_arg_name(char out[FND_NAME_BYTES], const char *arg, const char *head) {
    snprintf(out, FND_NAME_BYTES, "%.15s%s%.12s", arg, head[0] ? "_" : "", head);
    return out;
}

static list_arg *find(random_list *c, const char *arg, const char *head) {
    char name[FND_NAME_BYTES];
    random_list_arg_name(name, arg, head);
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (strcmp(c->args[i].name, name) == 0) return &c->args[i];
    }
    return NULL;
}

static list_arg *add(random_list *c, const char *arg, const char *head) {
    if (c->arg_count == LIST_ARGS) abort();
    list_arg *n = &c->args[c->arg_count++];
    *n = (list_arg){ .number = 0.0f };
    random_list_arg_name(n->name, arg, head);
    return n;
}

static fnd_format random_act(maker *m) {
    static const fnd_format acts[] = { FND_F32, FND_F32, FND_F32, FND_F16, FND_BF16 };
    return acts[below(m, 5)];
}
static bool chance(maker *m, uint32_t percent) { return below(m, 100) < percent; }

static list_arg *add_tensor(maker *m, const char *arg, const char *head, fnd_format format, fnd_shape shape) {
    list_arg *a = add(m->c, arg, head);
    a->format = format;
    a->shape = shape;
    return a;
}
static void add_in(maker *m, const char *arg, const char *head, fnd_format format, fnd_shape shape) { (void)add_tensor(m, arg, head, format, shape); }
static void add_out(maker *m, const char *head, uint64_t cols) { add_tensor(m, "y", head, random_act(m), fnd_shape2(m->c->tokens, cols))->written = true; }

/* 0 to 2 activations. */
static void make_activations(maker *m, const char *head) {
    static const char *const names[] = { "silu", "gelu", "relu", "scale" };
    for (uint32_t n = below(m, 3), i = 0; i < n; i++) {
        const char *name = names[below(m, 4)];
        step(m->c, name, head);
        if (strcmp(name, "scale") == 0 && !find(m->c, "factor", head)) add(m->c, "factor", head)->number = 0.5f + uniform(m);
    }
}

static void make_bias(maker *m, const char *head, uint64_t rows) {
    if (!chance(m, 40)) return;
    step(m->c, "bias", head);
    add_in(m, "bias", head, FND_F32, fnd_shape1(rows));
}

static void make_main(maker *m, bool linear, const char *head, uint64_t rows) {
    static const fnd_format weights[] = { FND_F32, FND_F16, FND_BF16, FND_Q8_0, FND_Q4_0, FND_Q5_1, FND_Q4_K, FND_Q6_K };
    random_list *c = m->c;
    if (!linear) {
        step(c, "take", head);
        add_in(m, "x", head, rows % 32 == 0 && chance(m, 20) ? FND_Q8_0 : random_act(m), fnd_shape2(c->tokens, rows));
        return;
    }
    fnd_format format = weights[below(m, 8)];
    while (c->dim % fnd_format_get(format)->block_weights) format = weights[below(m, 8)];
    step(c, "dot", head);
    add_in(m, "w", head, format, fnd_shape2(rows, c->dim));
}

/* A head, or two that are joined, up to its store. */
static void make_head(maker *m, bool linear, const char *head, bool joined) {
    static const uint64_t many[] = { 1, 7, 16, 31, 32, 33, 40 };
    random_list *c = m->c;
    uint64_t rows = many[below(m, 7)];
    if (joined) {
        make_main(m, linear, "g", rows);
        make_bias(m, "g", rows);
        if (chance(m, 30)) make_activations(m, "g");
        make_main(m, linear, "u", rows);
        make_bias(m, "u", rows);
        if (chance(m, 30)) make_activations(m, "u");
        step(c, "swiglu", "");
        head = "";
    } else {
        make_main(m, linear, head, rows);
        make_bias(m, head, rows);
    }
    if (chance(m, 60)) make_activations(m, head);
    fnd_shape shape = fnd_shape2(c->tokens, rows);
    if (chance(m, 30)) {
        step(c, "gate", head);
        add_in(m, "gate", head, random_act(m), shape);
    }
    if (chance(m, 40)) {
        step(c, "residual", head);
        add_in(m, "residual", head, random_act(m), shape);
    }
    step(c, "store", head);
    add_out(m, head, rows);
}

static void make_prologue(maker *m) {
    random_list *c = m->c;
    bool norm = chance(m, 50);
    step(c, norm ? "rmsnorm" : "rows", "");
    add_in(m, "x", "", c->dim % 32 == 0 && chance(m, 15) ? FND_Q8_0 : random_act(m), fnd_shape2(c->tokens, c->dim));
    if (norm) {
        add_in(m, "gamma", "", FND_F32, fnd_shape1(c->dim));
        add(c, "eps", "")->number = 1e-5f;
    }
    if (chance(m, 20)) step(c, "softmax", "");
}

static void make(maker *m, uint32_t index) {
    static const uint64_t dims[] = { 1, 17, 32, 33, 64, 96, 256 }, tokens[] = { 1, 2, 3, 5, 8, 9, 11 };
    static const char *const heads[] = { "a", "b", "c" };
    random_list *c = m->c;
    uint32_t kind = below(m, 10);
    *c = (random_list){ .dim = dims[below(m, 7)], .tokens = m->one ? 1 : tokens[below(m, 7)] };
    snprintf(c->name, LIST_NAME, "composed_%u", index);
    bool linear = kind < 6;
    if (kind >= 6 && kind < 8) {
        make_prologue(m);
        if (c->text[c->steps - 1][0][0] != 's' && chance(m, 30)) step(c, "softmax", "");
        step(c, "put_rows", "");
        add_out(m, "", c->dim);
        return;
    }
    if (linear) make_prologue(m);
    c->heads = 1 + below(m, 3);
    bool joined = chance(m, 30);
    uint32_t join_at = below(m, c->heads);
    if (c->heads == 3) joined = false; /* 24 stages at most */
    for (uint32_t h = 0; h < c->heads; h++) make_head(m, linear, c->heads == 1 ? "" : heads[h], joined && h == join_at);
}

void random_list_describe(const random_list *c, fnd_kernel_desc *desc) {
    *desc = (fnd_kernel_desc){ .name = c->name };
    for (uint32_t i = 0; i < c->steps; i++) desc->stages[i] = (fnd_stage_use){ c->text[i][0], c->text[i][1][0] ? c->text[i][1] : NULL };
}

void random_list_make(uint32_t seed, uint32_t index, bool one_token, random_list *out) {
    maker m = { .c = out, .one = one_token, .state = (uint64_t)seed << 32 ^ (index + 1) * UINT64_C(0x9E3779B97F4A7C15) };
    for (int i = 0; i < 4; i++) (void)below(&m, 2); /* seeds that are alike part ways */
    make(&m, index);
}
