/* test_in_place.c - a result stored over the residual or the gate that it was made with. */
#include "base/base.h"
#include "foundry/kernel.h"
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

enum { ROWS = 40,
       COLS = 96 };

/* The kernel's result in a tensor of its own, and over `with`, which its last stage but the store reads. */
static void check_in_place(kernel_bench *b, fnd_kernel *k, const char *with, uint64_t tokens) {
    char what[96];
    fnd_shape shape = fnd_shape2(tokens, ROWS);
    snprintf(what, sizeof what, "%s of %s, %u tokens", with, b->label, (unsigned)tokens);
    bench_tensor *x = bench_in(b, "x", FND_F32, fnd_shape2(tokens, COLS)), *w = bench_weight(b, "w", FND_Q4_0, ROWS, COLS);
    bench_tensor *operand = bench_in(b, with, FND_F32, shape), *y = bench_out(b, "y", FND_F32, shape);
    if (bench_run_kernel(b, k, what)) {
        float *got = malloc(4 * operand->count);
        const fnd_binding over[] = { fnd_bind_in("x", &x->t), fnd_bind_in("w", w->tiles.t.rank ? &w->tiles.t : &w->t), fnd_bind_in(with, &operand->t), fnd_bind_out("y", &operand->t) };
        CHECK_OK(fnd_run(b->f, k, over, FND_COUNT(over), &b->err), &b->err);
        CHECK_OK(fnd_tensor_read(b->f, &operand->t, 0, got, 4 * operand->count, &b->err), &b->err);
        size_t same = 0;
        while (same < operand->count && (double)got[same] == y->v[same]) same++;
        CHECK_MSG(same == operand->count, "%s: value %zu is %g in place and %g beside", what, same, (double)got[same], y->v[same]);
        free(got);
    }
    bench_clear(b);
}

TEST(in_place_of_a_residual_or_a_gate) {
    ON_EVERY_DEVICE(b) {
        fnd_kernel *residual, *gate;
        const fnd_kernel_desc gated = { .name = "gated", .stages = { { "rows", NULL }, { "dot", NULL }, { "gate", NULL }, { "store", NULL } } };
        CHECK_OK(fnd_kernel_get(b.f, "linear_residual", &residual, &b.err), &b.err);
        CHECK_OK(fnd_kernel_make(b.f, &gated, &gate, &b.err), &b.err);
        check_in_place(&b, residual, "residual", 1);
        check_in_place(&b, residual, "residual", 35);
        if (!bench_device_at(device_)->baked) check_in_place(&b, gate, "gate", 3);
    }
}

/* What is read elsewhere than where the result goes cannot be written over. */
TEST(in_place_of_nothing_else) {
    kernel_bench b;
    fnd_kernel *k;
    fnd_view shifted, front, half;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    bench_tensor *x = bench_inout(&b, "x", FND_F32, fnd_shape2(2, 32)), *w = bench_in(&b, "w", FND_Q4_0, fnd_shape2(32, 32));
    bench_tensor *room = bench_inout(&b, "room", FND_U8, fnd_shape1(384));
    const fnd_typed views[] = { { .format = FND_F32, .shape = fnd_shape2(2, 32) }, { .offset_bytes = 128, .format = FND_F32, .shape = fnd_shape2(2, 32) }, { .format = FND_F16, .shape = fnd_shape2(2, 32) } };
    CHECK_OK(fnd_view_typed(&room->t, &views[0], &front, &b.err), &b.err);
    CHECK_OK(fnd_view_typed(&room->t, &views[1], &shifted, &b.err), &b.err);
    CHECK_OK(fnd_view_typed(&room->t, &views[2], &half, &b.err), &b.err);
    const struct {
        const fnd_tensor *x, *residual;
        fnd_tensor *y;
        const char *says;
    } list[] = {
        { &x->t, &front.t, &x->t, "kernel linear_residual: argument y is written and shares memory with x" },
        { &x->t, &x->t, &x->t, "kernel linear_residual: argument y is written and shares memory with x" },
        { &x->t, &front.t, &shifted.t, "kernel linear_residual: argument y is written and shares memory with residual" },
        { &x->t, &half.t, &front.t, "kernel linear_residual: argument y is written and shares memory with residual" },
        { &x->t, &front.t, &front.t, NULL },
    };
    CHECK_OK(fnd_kernel_get(b.f, "linear_residual", &k, &b.err), &b.err);
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        b.err = (fnd_error){ 0 };
        const fnd_binding args[] = { fnd_bind_in("x", list[i].x), fnd_bind_in("w", &w->t), fnd_bind_in("residual", list[i].residual), fnd_bind_out("y", list[i].y) };
        fnd_status status = fnd_run(b.f, k, args, FND_COUNT(args), &b.err);
        CHECK_MSG(status == (list[i].says ? FND_ERR_USAGE : FND_OK), "%zu: %s", i, b.err.text);
        if (list[i].says) CHECK_STR(b.err.text, list[i].says);
    }
    /* Rows of other values: `take` is no gate and no residual. */
    const fnd_binding add[] = { fnd_bind_in("x", &front.t), fnd_bind_in("residual", &x->t), fnd_bind_out("y", &front.t) };
    b.err = (fnd_error){ 0 };
    CHECK_OK(fnd_kernel_get(b.f, "add", &k, &b.err), &b.err);
    CHECK(fnd_run(b.f, k, add, FND_COUNT(add), &b.err) == FND_ERR_USAGE);
    CHECK_STR(b.err.text, "kernel add: argument y is written and shares memory with x");
    bench_close(&b);
}
