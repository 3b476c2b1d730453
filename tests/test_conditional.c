/* test_conditional.c - conditional kernels: what is refused when declared, and which kernel runs. */
#include "kernel_bench.h"
#include "test.h"

#include <stdlib.h>

/* Kernels that tell by their results which of them ran. */
static bool open_scales(kernel_bench *b) {
    static const char *const names[] = { "one", "few", "many" };
    if (!bench_open(b, &(bench_device){ "cpu", "generic", false })) return false;
    for (size_t i = 0; i < 3; i++) {
        static const char *const stages[] = { "silu", "relu", "gelu" };
        fnd_kernel *k;
        fnd_kernel_desc desc = { .name = names[i], .stages = { { "take", NULL }, { stages[i], NULL }, { "store", NULL } } };
        CHECK_OK(fnd_kernel_make(b->f, &desc, &k, &b->err), &b->err);
    }
    return true;
}

static void check_refused(kernel_bench *b, const fnd_conditional_desc *desc, fnd_status want, const char *const *says) {
    fnd_conditional *c;
    fnd_error err = { 0 };
    fnd_status status = fnd_conditional_make(b->f, desc, &c, &err);
    CHECK_MSG(status == want && !c, "status %d instead of %d: %s", status, want, err.text);
    for (; *says; says++) CHECK_HAS(err.text, *says);
}
#define DESC(...) \
    { \
        .name = "c", .dimension = "tokens", .ranges = { __VA_ARGS__ } \
    }
#define SAYS(...) \
    (const char *const[]) { __VA_ARGS__, NULL }

TEST(compositions_conditional_is_checked_when_declared) {
    kernel_bench b;
    if (!open_scales(&b)) return;
    check_refused(&b, &(fnd_conditional_desc)DESC({ "one", 1, 1 }, { "many", 8, UINT32_MAX }), FND_ERR_COMPOSE, SAYS("conditional kernel c", "one (1)", "many (8 and more)", "gap", "tokens = 2"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "many", 5, 9 }, { "one", 1, 5 }), FND_ERR_COMPOSE, SAYS("one (1 to 5)", "many (5 to 9)", "overlap"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "one", 1, UINT32_MAX }, { "many", 7, UINT32_MAX }), FND_ERR_COMPOSE, SAYS("one (1 and more)", "many (7 and more)", "overlap"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "few", 1, 9 }, { "one", 3, 3 }, { "many", 10, 12 }), FND_ERR_COMPOSE, SAYS("few (1 to 9)", "one (3)", "overlap"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "one", 3, 2 }), FND_ERR_COMPOSE, SAYS("begins at 3 and ends at 2"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ NULL, 0, 0 }), FND_ERR_COMPOSE, SAYS("has no ranges"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "one", 1, 1 }, { "nobody", 2, 3 }), FND_ERR_UNSUPPORTED, SAYS("there is no kernel nobody"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "one", 1, 1 }, { "add", 2, 3 }), FND_ERR_COMPOSE, SAYS("add has argument residual, but one has not"));
    check_refused(&b, &(fnd_conditional_desc)DESC({ "add", 1, 1 }, { "one", 2, 3 }), FND_ERR_COMPOSE, SAYS("add has argument residual, but one has not"));
    check_refused(&b, &(fnd_conditional_desc){ .name = "c", .dimension = "dim", .ranges = { { "one", 1, 1 } } }, FND_ERR_COMPOSE, SAYS("no argument of one has the dimension dim alone"));
    check_refused(&b, &(fnd_conditional_desc){ .name = "c d", .dimension = "tokens", .ranges = { { "one", 1, 1 } } }, FND_ERR_COMPOSE, SAYS("a name", "c d"));
    check_refused(&b, &(fnd_conditional_desc){ .name = "c", .dimension = NULL, .ranges = { { "one", 1, 1 } } }, FND_ERR_COMPOSE, SAYS("the name of a dimension"));
    bench_close(&b);
}

/* Is y what `which` of silu, relu, gelu makes of x? */
static bool is_result(kernel_bench *b, const bench_tensor *x, const bench_tensor *y, uint32_t which) {
    ref_val (*const functions[])(ref_val) = { ref_silu, ref_relu, ref_gelu };
    ref_val *want = calloc(x->count, sizeof *want);
    if (!want) abort();
    for (size_t i = 0; i < x->count; i++) want[i] = functions[which](ref_exact(x->v[i]));
    bool good = bench_check(b, "conditional") && bench_compare(b, y, want, "conditional");
    free(want);
    return good;
}

static fnd_status run_conditional(kernel_bench *b, fnd_conditional *c, bool in_program, const fnd_binding *bindings, size_t count) {
    fnd_program *p;
    if (!in_program) {
        fnd_status status = fnd_run_conditional(b->f, c, bindings, count, &b->err);
        return status == FND_OK ? fnd_wait(b->f, &b->err) : status;
    }
    fnd_status status = fnd_program_begin(b->f, &(fnd_program_desc){ .name = "chosen" }, &p, &b->err);
    if (status == FND_OK) status = fnd_program_call_conditional(p, c, bindings, count, &b->err);
    if (status == FND_OK) status = fnd_program_finish(p, &b->err);
    if (status == FND_OK) status = fnd_program_run(p, &b->err);
    if (status == FND_OK) status = fnd_wait(b->f, &b->err);
    fnd_program_free(p);
    return status;
}

TEST(compositions_conditional_chooses_by_shape) {
    /* In any order. */
    static const fnd_conditional_desc desc = DESC({ "many", 5, 20 }, { "one", 1, 1 }, { "few", 2, 4 });
    static const uint32_t tokens[] = { 1, 2, 4, 5, 20 }, which[] = { 0, 1, 1, 2, 2 };
    kernel_bench b;
    fnd_conditional *c, *again;
    fnd_binding bindings[BENCH_TENSORS + BENCH_NUMBERS];
    if (!open_scales(&b)) return;
    CHECK_OK(fnd_conditional_make(b.f, &desc, &c, &b.err), &b.err);
    CHECK_OK(fnd_conditional_make(b.f, &desc, &again, &b.err), &b.err);
    CHECK(c && c == again);
    for (size_t i = 0; i < 10 && c; i++) {
        const bench_tensor *x = bench_in(&b, "x", FND_F32, fnd_shape2(tokens[i / 2], 33)), *y = bench_out(&b, "y", FND_F32, fnd_shape2(tokens[i / 2], 33));
        CHECK_OK(run_conditional(&b, c, i % 2, bindings, bench_bindings(&b, bindings)), &b.err);
        CHECK_MSG(is_result(&b, x, y, which[i / 2]), "%u tokens", tokens[i / 2]);
        bench_clear(&b);
    }
    for (size_t i = 0; i < 2 && c; i++) {
        bench_in(&b, "x", FND_F32, fnd_shape2(21, 33));
        bench_out(&b, "y", FND_F32, fnd_shape2(21, 33));
        CHECK(run_conditional(&b, c, i, bindings, bench_bindings(&b, bindings)) == FND_ERR_SHAPE);
        CHECK_HAS(b.err.text, "tokens = 21 is bound, but its kernels are for 1 to 20");
        b.err = (fnd_error){ 0 };
        CHECK(run_conditional(&b, c, i, bindings, 0) == FND_ERR_USAGE);
        CHECK_HAS(b.err.text, "no tensor is bound that has the dimension tokens");
        b.err = (fnd_error){ 0 };
        bench_clear(&b);
    }
    CHECK(fnd_conditional_make(b.f, &(fnd_conditional_desc)DESC({ "one", 1, 2 }), &again, &b.err) == FND_ERR_USAGE);
    CHECK_HAS(b.err.text, "already a conditional kernel c with other ranges");
    CHECK(again == NULL);
    b.err = (fnd_error){ 0 };
    bench_close(&b);
}
