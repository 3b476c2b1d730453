/* fused_kernel.c - a fused kernel from stages: y = relu(W rmsnorm(x)) + x, in one launch. */
#include "foundry/context.h"
#include "foundry/run.h"

#include <math.h>
#include <stdio.h>

enum { DIM = 64 };
static float x[DIM], gamma_[DIM], w[DIM][DIM], y[DIM];

static fnd_status tensor(foundry *f, fnd_shape shape, fnd_init init, fnd_dedicated *out, fnd_error *err) { return fnd_alloc(f, FND_F32, shape, init, out, err); }

static fnd_status compute(foundry *f, fnd_error *err) {
    fnd_kernel *kernel;
    fnd_dedicated tx, tg, tw, ty;
    /* The declaration: what comes before the matrix, what after it. Number formats follow from the tensors. */
    fnd_gemv_desc desc = { .name = "norm_relu", .prologue = "rmsnorm", .heads = { { "", false } }, .activation = "relu", .residual = true };
    fnd_status status = fnd_kernel_make_gemv(f, &desc, &kernel, err);
    if (status == FND_OK) status = tensor(f, fnd_shape2(1, DIM), FND_COPY(x, sizeof x), &tx, err);
    if (status == FND_OK) status = tensor(f, fnd_shape1(DIM), FND_COPY(gamma_, sizeof gamma_), &tg, err);
    if (status == FND_OK) status = tensor(f, fnd_shape2(DIM, DIM), FND_COPY(w, sizeof w), &tw, err);
    if (status == FND_OK) status = tensor(f, fnd_shape2(1, DIM), FND_POISON, &ty, err);
    if (status != FND_OK) return status;
    fnd_binding bindings[] = { fnd_bind_in("x", &tx.t), fnd_bind_in("gamma", &tg.t), fnd_bind_f32("eps", 1e-6f),
                               fnd_bind_in("w", &tw.t), fnd_bind_in("residual", &tx.t), fnd_bind_out("y", &ty.t) };
    status = fnd_run(f, kernel, bindings, 6, err);
    return status == FND_OK ? fnd_tensor_read(f, &ty.t, 0, y, sizeof y, err) : status;
}

static double expected(int row) {
    double squares = 0, sum = 0;
    for (int i = 0; i < DIM; i++) squares += (double)x[i] * x[i];
    for (int i = 0; i < DIM; i++) sum += (double)w[row][i] * x[i] * gamma_[i] / sqrt(squares / DIM + 1e-6);
    return fmax(sum, 0) + x[row];
}

int main(void) {
    fnd_error err = { 0 };
    fnd_desc desc = { 0 };
    foundry *f;
    for (int i = 0; i < DIM; i++) {
        x[i] = sinf((float)(i + 1));
        gamma_[i] = 1 + 0.01f * (float)i;
        for (int k = 0; k < DIM; k++) w[i][k] = cosf((float)(i - k)) / 8;
    }
    fnd_status status = fnd_options_from_environment(&desc, &err);
    if (status == FND_OK) status = fnd_open(&desc, &f, &err);
    if (status == FND_OK) {
        status = compute(f, &err);
        fnd_close(f, &err);
    }
    if (status != FND_OK) return fprintf(stderr, "%s\n", err.text), 1;
    bool right = fabs(y[0] - expected(0)) < 1e-4;
    printf("y[0] = %.5f, in plain C %.5f: %s\n", (double)y[0], expected(0), right ? "right" : "wrong");
    return !right;
}
