/* custom_epilogue.c - an epilogue of one's own from a file of text, fused behind a matrix:
 * y = cap * tanh((W x + bias) / cap), with softcap.h.
 *
 *     custom_epilogue [examples/softcap.h] */
#include "foundry/context.h"
#include "foundry/run.h"

#include <math.h>
#include <stdio.h>

enum { ROWS = 33,
       COLS = 64 };
static const float cap = 2;
static float x[COLS], w[ROWS][COLS], bias[ROWS], y[ROWS];

static void fill(void) {
    for (int row = 0; row < ROWS; row++) {
        bias[row] = (float)(row - 16) / 4;
        for (int col = 0; col < COLS; col++) w[row][col] = cosf((float)(row * col));
    }
    for (int col = 0; col < COLS; col++) x[col] = sinf((float)col) / 8;
}

static double expected(int row) {
    double sum = bias[row];
    for (int col = 0; col < COLS; col++) sum += (double)w[row][col] * x[col];
    return cap * tanh(sum / cap);
}

static fnd_status compute(foundry *f, const char *file, fnd_error *err) {
    fnd_kernel *kernel;
    fnd_dedicated tx, tw, tb, ty;
    fnd_gemv_desc desc = { .name = "capped", .heads = { { "", .bias = true } }, .activation = "softcap" };
    fnd_status status = fnd_register_file(f, "examples/softcap.h", file, err);
    if (status == FND_OK) status = fnd_kernel_make_gemv(f, &desc, &kernel, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape2(1, COLS), FND_COPY(x, sizeof x), &tx, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape2(ROWS, COLS), FND_COPY(w, sizeof w), &tw, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape1(ROWS), FND_COPY(bias, sizeof bias), &tb, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &ty, err);
    if (status != FND_OK) return status;
    /* The stage's argument `cap` is an argument of the kernel like any other. */
    fnd_binding bindings[] = { fnd_bind_in("x", &tx.t), fnd_bind_in("w", &tw.t), fnd_bind_in("bias", &tb.t), fnd_bind_f32("cap", cap), fnd_bind_out("y", &ty.t) };
    status = fnd_run(f, kernel, bindings, 5, err);
    return status == FND_OK ? fnd_tensor_read(f, &ty.t, 0, y, sizeof y, err) : status;
}

int main(int argc, char **argv) {
    fnd_error err = { 0 };
    fnd_desc desc = { 0 };
    foundry *f;
    fill();
    fnd_status status = fnd_options_from_environment(&desc, &err);
    if (status == FND_OK) status = fnd_open(&desc, &f, &err);
    if (status == FND_OK) {
        status = compute(f, argc > 1 ? argv[1] : "examples/softcap.h", &err);
        fnd_close(f, &err);
    }
    if (status != FND_OK) return fprintf(stderr, "%s\n", err.text), 1;
    int right = 0;
    for (int row = 0; row < ROWS; row++) right += fabs(y[row] - expected(row)) < 1e-4;
    printf("%d of %d capped results are right, from %.4f to %.4f\n", right, ROWS, (double)y[0], (double)y[ROWS - 1]);
    return right != ROWS;
}
