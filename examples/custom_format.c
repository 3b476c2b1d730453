/* custom_format.c - a weight format that Foundry does not know, from one file of text, in a kernel
 * that Foundry ships: logits = W rmsnorm(x), with W in ternary.h's blocks.
 *
 *     custom_format [examples/ternary.h] */
#include "foundry/context.h"
#include "foundry/kernels.h"

#include <math.h>
#include <stdio.h>

enum { ROWS = 40,
       COLS = 96,
       BLOCKS = COLS / 32,
       BLOCK_BYTES = 10 };
static uint8_t codes[ROWS][BLOCKS][BLOCK_BYTES];
static float x[COLS], gamma_[COLS], y[ROWS];

/* -1, 0 or 1: weight `col` of row `row`, before its scale of 1/4 */
static int weight(int row, int col) { return (row * col / 2 + row + col * col) % 3 - 1; }

static void fill(void) {
    for (int row = 0; row < ROWS; row++) {
        for (int col = 0; col < COLS; col++) {
            uint8_t *block = codes[row][col / 32];
            block[0] = 0x00; /* 0.25 as a half: 0x3400 */
            block[1] = 0x34;
            block[2 + col % 32 / 4] |= (uint8_t)((weight(row, col) + 1) << (col % 4 * 2));
        }
    }
    for (int i = 0; i < COLS; i++) {
        x[i] = sinf((float)i);
        gamma_[i] = 1;
    }
}

static double expected(int row) {
    double squares = 0, sum = 0;
    for (int i = 0; i < COLS; i++) squares += (double)x[i] * x[i];
    for (int i = 0; i < COLS; i++) sum += 0.25 * weight(row, i) * x[i] / sqrt(squares / COLS + 1e-6);
    return sum;
}

static fnd_status compute(foundry *f, const char *file, fnd_error *err) {
    fnd_dedicated tx, tg, tw, ty;
    fnd_status status = fnd_register_file(f, "policy/ternary/ternary.h", file, err);
    fnd_format ternary = fnd_format_by_name("ternary");
    if (status == FND_OK) status = fnd_alloc(f, ternary, fnd_shape2(ROWS, COLS), FND_COPY(codes, sizeof codes), &tw, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape2(1, COLS), FND_COPY(x, sizeof x), &tx, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape1(COLS), FND_COPY(gamma_, sizeof gamma_), &tg, err);
    if (status == FND_OK) status = fnd_alloc(f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &ty, err);
    if (status != FND_OK) return status;
    fnd_weight_tensor w = fnd_as_weight(&tw.t);
    status = fnd_norm_head(f, &(fnd_norm_head_bind){ .y = &ty.t, .x = &tx.t, .gamma = &tg.t, .w = &w, .eps = 1e-6f }, err);
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
        status = compute(f, argc > 1 ? argv[1] : "examples/ternary.h", &err);
        fnd_close(f, &err);
    }
    if (status != FND_OK) return fprintf(stderr, "%s\n", err.text), 1;
    int right = 0;
    for (int row = 0; row < ROWS; row++) right += fabs(y[row] - expected(row)) < 1e-4;
    printf("%d of %d rows of ternary weights give the right result, %.4f to %.4f\n", right, ROWS, (double)y[0], (double)y[ROWS - 1]);
    return right != ROWS;
}
