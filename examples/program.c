/* program.c - a program of one's own: a stack of three gated layers for up to four tokens,
 *
 *     x := x + W_down (silu(W_gate norm(x)) * (W_up norm(x)))     in every layer
 *     y  = W norm(x)                                              behind them
 *
 * recorded once, compiled as one function, run with as many tokens as a variable says, and then several times
 * in flight. */
#include "foundry/context.h"
#include "foundry/kernels.h"
#include "foundry/submit.h"

#include <math.h>
#include <stdio.h>

enum { LAYERS = 3,
       TOKENS = 4,
       DIM = 64,
       HIDDEN = 96,
       VOCAB = 40 };

typedef struct weights {
    float gate[HIDDEN][DIM], up[HIDDEN][DIM], down[DIM][HIDDEN], norm[DIM];
} weights;

static weights layers[LAYERS];
static float head[VOCAB][DIM], head_norm[DIM], start[TOKENS][DIM], y[TOKENS][VOCAB];

/* ---- on the device ---- */

typedef struct device {
    foundry *f;
    fnd_status status;
    fnd_error err;
} device;

static fnd_dedicated upload(device *d, fnd_shape shape, const float *data) {
    fnd_dedicated t = { 0 };
    fnd_init init = data ? FND_COPY(data, shape.dim[0] * (shape.rank > 1 ? shape.dim[1] : 1) * sizeof *data) : FND_POISON;
    if (d->status == FND_OK) d->status = fnd_alloc(d->f, FND_F32, shape, init, &t, &d->err);
    return t;
}

/* Records layer `i`, from x[i] to x[i + 1]. Nothing says what must wait for what: that follows from
 * what each kernel reads and writes. */
static void record_layer(device *d, fnd_program *p, int i, fnd_dedicated *x, fnd_dedicated *hidden) {
    fnd_dedicated norm = upload(d, fnd_shape1(DIM), layers[i].norm);
    fnd_dedicated gate = upload(d, fnd_shape2(HIDDEN, DIM), layers[i].gate[0]), up = upload(d, fnd_shape2(HIDDEN, DIM), layers[i].up[0]);
    fnd_dedicated down = upload(d, fnd_shape2(DIM, HIDDEN), layers[i].down[0]);
    fnd_weight_tensor w_gate = fnd_as_weight(&gate.t), w_up = fnd_as_weight(&up.t), w_down = fnd_as_weight(&down.t);
    fnd_norm_gate_up_bind gate_up = { .y = &hidden->t, .x = &x[i].t, .gamma = &norm.t, .w_gate = &w_gate, .w_up = &w_up, .eps = 1e-6f };
    fnd_linear_residual_bind back = { .y = &x[i + 1].t, .x = &hidden->t, .w = &w_down, .residual = &x[i].t };
    if (d->status == FND_OK) d->status = fnd_program_layer(p, i, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_norm_gate_up(p, &gate_up, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_linear_residual(p, &back, &d->err);
}

static void record(device *d, fnd_program *p, fnd_dedicated *out) {
    fnd_dedicated x[LAYERS + 1], hidden = upload(d, fnd_shape2(TOKENS, HIDDEN), NULL);
    for (int i = 0; i <= LAYERS; i++) x[i] = upload(d, fnd_shape2(TOKENS, DIM), i ? NULL : start[0]);
    for (int i = 0; i < LAYERS; i++) record_layer(d, p, i, x, &hidden);
    fnd_dedicated norm = upload(d, fnd_shape1(DIM), head_norm), w = upload(d, fnd_shape2(VOCAB, DIM), head[0]);
    fnd_weight_tensor w_head = fnd_as_weight(&w.t);
    fnd_norm_head_bind last = { .y = &out->t, .x = &x[LAYERS].t, .gamma = &norm.t, .w = &w_head, .eps = 1e-6f };
    if (d->status == FND_OK) d->status = fnd_program_layer(p, -1, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_norm_head(p, &last, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_finish(p, &d->err);
}

/* ---- in plain C ---- */

static void normalise(const float *gamma, const double *x, double *to) {
    double squares = 0;
    for (int i = 0; i < DIM; i++) squares += x[i] * x[i];
    for (int i = 0; i < DIM; i++) to[i] = x[i] * gamma[i] / sqrt(squares / DIM + 1e-6);
}

static double dot(const float *w, const double *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += w[i] * x[i];
    return sum;
}

static void expected(int token, double result[VOCAB]) {
    double x[DIM], normal[DIM], hidden[HIDDEN];
    for (int i = 0; i < DIM; i++) x[i] = start[token][i];
    for (const weights *w = layers; w < layers + LAYERS; w++) {
        normalise(w->norm, x, normal);
        for (int i = 0; i < HIDDEN; i++) {
            double gate = dot(w->gate[i], normal, DIM);
            hidden[i] = gate / (1 + exp(-gate)) * dot(w->up[i], normal, DIM);
        }
        for (int i = 0; i < DIM; i++) x[i] += dot(w->down[i], hidden, HIDDEN);
    }
    normalise(head_norm, x, normal);
    for (int i = 0; i < VOCAB; i++) result[i] = dot(head[i], normal, DIM);
}

/* ---- both ---- */

static void fill(float *data, size_t count, float center, float spread) {
    static unsigned state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] = center + spread * ((float)(state >> 8) / 8388608.0f - 1);
    }
}

/* Runs for so many tokens. Those are right, and no others were written. */
static bool run(device *d, fnd_program *p, fnd_dedicated *out, int tokens) {
    int right = 0;
    for (int t = 0; t < TOKENS; t++) {
        for (int i = 0; i < VOCAB; i++) y[t][i] = NAN;
    }
    if (d->status == FND_OK) d->status = fnd_tensor_write(d->f, &out->t, 0, y, sizeof y, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_set(p, "tokens", (uint32_t)tokens, &d->err);
    if (d->status == FND_OK) d->status = fnd_program_run(p, &d->err);
    if (d->status == FND_OK) d->status = fnd_tensor_read(d->f, &out->t, 0, y, sizeof y, &d->err);
    for (int t = 0; t < TOKENS; t++) {
        double result[VOCAB];
        expected(t, result);
        for (int i = 0; i < VOCAB; i++) right += t < tokens ? fabs(y[t][i] - result[i]) < 1e-3 : isnan(y[t][i]);
    }
    printf("%d tokens: %d of %d results are as they should be\n", tokens, right, TOKENS * VOCAB);
    return right == TOKENS * VOCAB;
}

static void told(void *done, const fnd_completion *c) {
    printf("%s: %s\n", c->label, fnd_status_text(c->status));
    if (c->status == FND_OK) ++*(int *)done;
}

/* As many runs as there are tokens, each with its own number of them, handed to the device one after the other;
 * a thread of the foundry tells of each when it is done. */
static bool run_ahead(device *d, fnd_program *p) {
    int done = 0;
    const fnd_work work = fnd_work_program(p);
    for (unsigned tokens = 1; tokens <= TOKENS && d->status == FND_OK; tokens++) {
        char label[32];
        snprintf(label, sizeof label, "ahead/%u tokens", tokens);
        d->status = fnd_program_set(p, "tokens", tokens, &d->err);
        if (d->status == FND_OK) d->status = fnd_submit(d->f, &(fnd_submission){ .label = label, .work = &work, .count = 1, .done = told, .ctx = &done }, NULL, &d->err);
    }
    fnd_status waited = fnd_wait(d->f, &d->err); /* behind it, `done` is this thread's again */
    if (d->status == FND_OK) d->status = waited;
    return done == TOKENS;
}

int main(void) {
    device d = { 0 };
    fnd_desc desc = { 0 };
    fnd_program *p = NULL;
    bool right = false;
    for (int i = 0; i < LAYERS; i++) {
        fill(layers[i].gate[0], sizeof layers[i].gate / sizeof(float), 0, 0.2f);
        fill(layers[i].up[0], sizeof layers[i].up / sizeof(float), 0, 0.2f);
        fill(layers[i].down[0], sizeof layers[i].down / sizeof(float), 0, 0.2f);
        fill(layers[i].norm, DIM, 1, 0.1f);
    }
    fill(head[0], sizeof head / sizeof(float), 0, 0.2f);
    fill(head_norm, DIM, 1, 0.1f);
    fill(start[0], sizeof start / sizeof(float), 0, 1);
    d.status = fnd_options_from_environment(&desc, &d.err);
    if (d.status == FND_OK) d.status = fnd_open(&desc, &d.f, &d.err);
    fnd_dedicated out = upload(&d, fnd_shape2(TOKENS, VOCAB), NULL);
    if (d.status == FND_OK) d.status = fnd_program_begin(d.f, &(fnd_program_desc){ .name = "gated_stack", .variables = { "tokens" } }, &p, &d.err);
    if (d.status == FND_OK) record(&d, p, &out);
    if (d.status == FND_OK) {
        fnd_program_info info;
        fnd_program_get_info(p, &info);
        printf("%u kernels in %u layers, %u barriers, %u launches\n", info.calls, info.layers, info.barriers, info.launches);
        right = run(&d, p, &out, TOKENS) && run(&d, p, &out, 1) && run_ahead(&d, p);
    }
    fnd_program_free(p);
    if (d.f) fnd_close(d.f, &d.err);
    if (d.status != FND_OK) fprintf(stderr, "%s\n", d.err.text);
    return !right || d.status != FND_OK;
}
