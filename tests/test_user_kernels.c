/* test_user_kernels.c - stages and kernels of a user's from a folder outside the tree's (tests/user_kernels),
 * and the mains of kernels, shipped or a user's, as stages of other kernels. */
#include "base/base.h"
#include "base/file.h"
#include "base/process.h"
#include "compose/catalog.h"
#include "compose/kernel.h"
#include "compose/shipped.h"
#include "kernel_bench.h"
#include "program.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER     "tests/user_kernels"
#define IN_PROJECT "run from the root of the project"
enum { TOKENS = 3,
       DIM = 96,
       ROWS = 40,
       PLACES = 77 };

static bool in_project(void) { return access(FOLDER "/squares.h", R_OK) == 0; }

/* Every device that can compile, with the folder registered. */
#define ON_DEVICES_WITH_FOLDER(b) \
    ON_EVERY_DEVICE(b) \
    if (bench_device_at(device_)->baked || !open_folder(&b)) { \
    } else

static bool open_folder(kernel_bench *b) {
    fnd_status status = fnd_register_folder(b->f, FOLDER, &b->err);
    CHECK_MSG(status == FND_OK, "%s: %s", b->label, b->err.text);
    return status == FND_OK;
}

static fnd_kernel *kernel_of(kernel_bench *b, const char *name) {
    fnd_kernel *k = NULL;
    fnd_status status = fnd_kernel_get(b->f, name, &k, &b->err);
    CHECK_MSG(status == FND_OK, "%s: %s", b->label, b->err.text);
    return k;
}

static void check_value(const kernel_bench *b, const char *what, double got, double want) {
    CHECK_MSG(fabs(got - want) <= 1e-5 * (1 + fabs(want)), "%s: %s is %.9g, not %.9g", b->label, what, got, want);
}

/* The largest value of row m of x after a norm with weights gamma, or of its softmax. */
static double largest_of(const double *x, const double *gamma) {
    double squares = 0, most = -1e30, total = 0, high = -1e30;
    for (int i = 0; i < DIM; i++) {
        squares += x[i] * x[i];
        high = fmax(high, x[i]);
    }
    for (int i = 0; i < DIM; i++) {
        total += exp(x[i] - high);
        if (gamma) most = fmax(most, x[i] * gamma[i] / sqrt(squares / DIM + 1e-6));
    }
    return gamma ? most : 1 / total;
}

TEST(user_kernels_declared_in_texts_run) {
    NEED(in_project(), IN_PROJECT);
    ON_DEVICES_WITH_FOLDER(b) {
        fnd_kernel *norm = kernel_of(&b, "largest_of_norm"), *share = kernel_of(&b, "largest_share"), *squares = kernel_of(&b, "squares_and_ones");
        if (!norm || !share || !squares) continue;
        CHECK(kernel_of(&b, "largest_of_norm") == norm);
        const bench_tensor *x = bench_in(&b, "x", FND_F16, fnd_shape2(TOKENS, DIM)), *gamma = bench_in(&b, "gamma", FND_F32, fnd_shape1(DIM));
        const bench_tensor *y = bench_out(&b, "largest", FND_F32, fnd_shape1(TOKENS));
        bench_f32(&b, "eps", 1e-6f);
        if (bench_run_kernel(&b, norm, "largest_of_norm")) {
            for (int m = 0; m < TOKENS; m++) check_value(&b, "largest_of_norm", y->v[m], largest_of(x->v + (size_t)m * DIM, gamma->v));
        }
        bench_clear(&b);
        x = bench_in(&b, "x", FND_F32, fnd_shape2(TOKENS, DIM));
        y = bench_out(&b, "largest", FND_F32, fnd_shape1(TOKENS));
        if (bench_run_kernel(&b, share, "largest_share")) {
            for (int m = 0; m < TOKENS; m++) check_value(&b, "largest_share", y->v[m], largest_of(x->v + (size_t)m * DIM, NULL));
        }
        bench_clear(&b);
        y = bench_out(&b, "squares", FND_F32, fnd_shape1(PLACES));
        const bench_tensor *ones = bench_out(&b, "y", FND_F16, fnd_shape2(5, 33));
        if (bench_run_kernel(&b, squares, "squares_and_ones")) {
            for (size_t i = 0; i < PLACES; i++) check_value(&b, "squares", y->v[i], (double)(i * i));
            for (size_t i = 0; i < ones->count; i++) check_value(&b, "ones", ones->v[i], 1);
        }
        bench_clear(&b);
    }
}

/* ---- any kernel's main is a stage ---- */

/* A list of stages around the main of a kernel, other than the kernel's own. */
static void around(const fnd_stage *main, const char *head, fnd_kernel_desc *out) {
    uint32_t n = 0;
    *out = (fnd_kernel_desc){ .name = "around" };
    if (main->takes == FND_VALUE_ROWS) {
        out->stages[n++].stage = "rows";
        out->stages[n++].stage = "softmax";
    } else if (main->gives == FND_VALUE_NONE) {
        out->stages[n++].stage = "square_numbers";
    }
    out->stages[n++] = (fnd_stage_use){ main->name, head };
    if (main->gives != FND_VALUE_TILE) return;
    out->stages[n++].stage = "relu";
    out->stages[n++] = (fnd_stage_use){ "store", head };
}

TEST(user_kernels_any_main_is_a_stage) {
    NEED(in_project(), IN_PROJECT);
    fnd_catalog *catalog = NULL;
    fnd_error err = { 0 };
    static fnd_composition_room shipped, made;
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
    REQUIRE(catalog);
    CHECK_OK(fnd_catalog_add_folder(catalog, FOLDER, &err), &err);
    for (size_t i = 0; i < fnd_shipped_count() + fnd_catalog_kernel_count(catalog); i++) {
        fnd_kernel_desc desc, other;
        uint32_t mains = 0;
        if (i < fnd_shipped_count())
            CHECK_OK(fnd_shipped_stages(i, &desc, &err), &err);
        else
            desc = fnd_catalog_kernel_at(catalog, i - fnd_shipped_count())->desc;
        CHECK_OK(fnd_compose(catalog, &desc, &shipped, &err), &err);
        for (uint32_t s = 0; s < shipped.composition.step_count; s++) {
            const fnd_stage *main = shipped.composition.steps[s].stage;
            if (main->kind != FND_KIND_MAIN || strcmp(main->name, "square_numbers") == 0) continue;
            around(main, shipped.composition.steps[s].head[0] ? shipped.composition.steps[s].head : NULL, &other);
            CHECK_MSG(fnd_compose(catalog, &other, &made, &err) == FND_OK, "the main of %s: %s", desc.name, err.text);
            mains++;
        }
        CHECK_MSG(mains > 0, "kernel %s has no main", desc.name);
    }
    fnd_catalog_close(catalog);
}

/* Compose the main of a shipped kernel of the same name into another kernel, and run both with what is bound:
 * tensor `y` gets the same results. */
static void check_same(kernel_bench *b, const char *main, size_t y) {
    fnd_kernel_desc desc = { .stages = { { "square_numbers", NULL }, { main, NULL } } };
    fnd_kernel *k;
    char name[64];
    snprintf(name, sizeof name, "squares_then_%s", main);
    desc.name = name;
    size_t count = b->tensors[y].count;
    double *want = calloc(count, sizeof *want);
    if (!want) abort();
    bool ran = bench_run(b, main);
    memcpy(want, b->tensors[y].v, count * sizeof *want);
    const bench_tensor *squares = bench_out(b, "squares", FND_F32, fnd_shape1(PLACES));
    CHECK_MSG(fnd_kernel_make(b->f, &desc, &k, &b->err) == FND_OK, "%s: %s", main, b->err.text);
    if (ran && k && bench_run_kernel(b, k, name)) {
        for (size_t i = 0; i < count; i++) CHECK_MSG(b->tensors[y].v[i] == want[i], "%s %s: value %zu is %g, not %g", b->label, name, i, b->tensors[y].v[i], want[i]);
        for (size_t i = 0; i < PLACES; i++) CHECK(squares->v[i] == (double)(i * i));
    }
    free(want);
    bench_clear(b);
}

/* W softmax(x), with the main of the matrix kernels and the softmax of another, in place of W norm(x). */
static void check_matrix(kernel_bench *b) {
    fnd_kernel *k;
    const fnd_kernel_desc desc = { .name = "softmax_matrix", .stages = { { "rows", NULL }, { "softmax", NULL }, { "dot", NULL }, { "relu", NULL }, { "store", NULL } } };
    const bench_tensor *x = bench_in(b, "x", FND_F32, fnd_shape2(TOKENS, DIM)), *w = bench_weight(b, "w", FND_F32, ROWS, DIM);
    const bench_tensor *y = bench_out(b, "y", FND_F32, fnd_shape2(TOKENS, ROWS));
    CHECK_OK(fnd_kernel_make(b->f, &desc, &k, &b->err), &b->err);
    if (k && bench_run_kernel(b, k, "softmax_matrix")) {
        for (size_t m = 0; m < TOKENS; m++) {
            for (size_t row = 0; row < ROWS; row++) {
                double sum = 0, total = 0, high = -1e30;
                for (size_t i = 0; i < DIM; i++) high = fmax(high, x->v[m * DIM + i]);
                for (size_t i = 0; i < DIM; i++) total += exp(x->v[m * DIM + i] - high);
                for (size_t i = 0; i < DIM; i++) sum += w->v[row * DIM + i] * exp(x->v[m * DIM + i] - high) / total;
                check_value(b, "softmax_matrix", y->v[m * ROWS + row], fmax(sum, 0));
            }
        }
    }
    bench_clear(b);
}

TEST(user_kernels_mains_run_as_stages) {
    NEED(in_project(), IN_PROJECT);
    ON_DEVICES_WITH_FOLDER(b) {
        bench_out(&b, "y", FND_BF16, fnd_shape2(5, 33));
        bench_u32(&b, "seed", 99);
        bench_u32(&b, "seed_high", 3);
        bench_u32(&b, "sequence", 5);
        check_same(&b, "random_uniform", 0);
        bench_out(&b, "y", FND_I32, fnd_shape1(50));
        bench_i32(&b, "start", 7);
        bench_i32(&b, "step", -3);
        check_same(&b, "arange_i32", 0);
        bench_out(&b, "y", FND_F32, fnd_shape3(2, 9, 33));
        bench_in(&b, "x", FND_F16, fnd_shape3(9, 2, 33));
        check_same(&b, "kv_rearrange", 0);
        check_matrix(&b);
    }
}

/* ---- what is refused ---- */

#define ONE_STAGE "#define N_ARGS(X)\nFND_STAGE(mine, N_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n"

TEST(user_kernels_wrong_declarations) {
    static const struct {
        const char *path, *text, *says; /* NULL: fine */
    } list[] = {
        { "u/a.h", "FND_COMPOUND(silu, \"take | relu | store\", \"\")\n", "u/a.h:1: kernel silu is shipped with Foundry: give yours another name" },
        { "u/a.h", "\nFND_COMPOUND(k, \"take | relu | store\")\n", "u/a.h:2: a kernel is FND_COMPOUND(name, \"stages\", \"doc\"), not 2 fields" },
        { "u/a.h", "FND_COMPOUND(k, \"take || store\", \"\")\n", "u/a.h:1: kernel k: between bars stands a stage, or a stage and its head" },
        { "u/a.h", "FND_COMPOUND(k, \"\", \"\")\n", "between bars stands a stage" },
        { "u/a.h", "FND_COMPOUND(k, \"take a b | store\", \"\")\n", "between bars stands a stage" },
        { "u/a.h", "FND_COMPOUND(1k, \"take | store\", \"\")\n", "u/a.h:1: \"1k\" is not a name" },
        { "u/a.h", "FND_COMPOUND(k, \"a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a|a\", \"\")\n", "kernel k has more than 23 stages" },
        { "u/a.h", "FND_COMPOUND(k, \"take\", \"x\"\n", "u/a.h:1: a declaration has no end" },
        { "u/a.h", "FND_COMPOUND(k, \"take | mine | store\", \"of a stage that comes later\")\n", NULL },
        { "u/b.h", "FND_COMPOUND(k, \"take | store\", \"\")\n", "u/b.h:1: kernel k is declared in u/a.h already" },
        { "u/c.h", ONE_STAGE, NULL },
        { "u/a.h", "FND_COMPOUND(k, \"take | mine | store\", \"anew\")\nFND_COMPOUND(k2, \"take q | store q\", \"\")\n", NULL },
    };
    fnd_catalog *catalog = NULL;
    fnd_error err = { 0 };
    static fnd_composition_room made;
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
    REQUIRE(catalog);
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        err = (fnd_error){ 0 };
        fnd_status status = fnd_catalog_add(catalog, list[i].path, list[i].text, &err);
        CHECK_MSG((status != FND_OK) == (list[i].says != NULL), "%zu: %s", i, err.text);
        if (list[i].says) CHECK_HAS(err.text, list[i].says);
    }
    REQUIRE(fnd_catalog_kernel_count(catalog) == 2 && fnd_catalog_kernel(catalog, "k"));
    CHECK_STR(fnd_catalog_kernel(catalog, "k")->doc, "anew");
    CHECK_STR(fnd_catalog_kernel(catalog, "k2")->desc.stages[1].head, "q");
    CHECK_OK(fnd_compose(catalog, &fnd_catalog_kernel(catalog, "k")->desc, &made, &err), &err);
    CHECK(!fnd_catalog_kernel(catalog, "k3"));
    fnd_catalog_close(catalog);
}

/* A mistake that C would let pass with a warning is told when the kernel is run, with its file and line, by
 * every compiler here and on every device. */
TEST(user_kernels_with_wrong_types_are_refused) {
    static const struct {
        const char *parameter, *body, *where;
    } wrong[] = {
        { "u32", "out[0] = places;", "mine/wrong.h:3" }, /* the list says f32 */
        { "f32", "\n    FND_GPU u32 *bits = out;\n    bits[0] = places;", "mine/wrong.h:4" },
        { "f32", "\n\n    out[0] = squared(places);", "mine/wrong.h:5" },
        { "f32", "\n    u32 p = out;\n    out[0] = (f32)p;", "mine/wrong.h:4" },
    };
    static const char *const backends[] = { "cpu", "sim" }, *const compilers[] = { "gcc", "clang" };
    char found[FND_PROCESS_PATH_BYTES];
    for (size_t i = 0; i < FND_COUNT(wrong) * FND_COUNT(backends) * FND_COUNT(compilers); i++) {
        const char *compiler = compilers[i % 2], *backend = backends[i / 2 % 2];
        fnd_text text = { 0 };
        fnd_error err = { 0 };
        foundry *f;
        fnd_kernel *k;
        fnd_dedicated y;
        if (!fnd_process_find(compiler, found)) continue;
        fnd_text_printf(&text, "#define WRONG_ARGS(X) X(OUT, f32, out, \"[places]\", \"\")\nFND_STAGE(wrong, WRONG_ARGS, MAIN, NONE, NONE, OWN, \"\")\n");
        fnd_text_printf(&text, "FND_INLINE void wrong(fnd_thread t, FND_GPU %s *out, u32 places) { (void)t; %s }\n", wrong[i / 4].parameter, wrong[i / 4].body);
        CHECK_OK(fnd_open(&(fnd_desc){ .backend = backend, .compiler = compiler, .no_cache = true, .quick_build = true }, &f, &err), &err);
        CHECK_OK(fnd_register_text(f, "mine/wrong.h", fnd_text_get(&text), &err), &err);
        CHECK_OK(fnd_kernel_make(f, &(fnd_kernel_desc){ .name = "k", .stages = { { "wrong", NULL } } }, &k, &err), &err);
        CHECK_OK(fnd_alloc(f, FND_F32, fnd_shape1(8), FND_ZEROS, &y, &err), &err);
        const fnd_binding b[] = { fnd_bind_out("out", &y.t) };
        fnd_status status = err.status == FND_OK ? fnd_run(f, k, b, 1, &err) : err.status;
        CHECK_MSG(status == FND_ERR_COMPILE && strstr(err.text, wrong[i / 4].where), "%s %s: %d, \"%s\" lacks %s", backend, compiler, status, err.text, wrong[i / 4].where);
        fnd_close(f, NULL);
        fnd_text_free(&text);
    }
}

/* What was made stays what it is: a name with other stages than before is refused, not mixed up. */
TEST(user_kernels_declared_anew) {
    kernel_bench b;
    fnd_kernel *k, *other;
    if (!bench_open(&b, &(bench_device){ "cpu", "generic", false })) return;
    CHECK_OK(fnd_register_text(b.f, "u/k.h", "FND_COMPOUND(k, \"take | relu | store\", \"\")\n", &b.err), &b.err);
    CHECK_OK(fnd_kernel_get(b.f, "k", &k, &b.err), &b.err);
    CHECK_OK(fnd_register_text(b.f, "u/k.h", "FND_COMPOUND(k, \"take | relu | store\", \"the same\")\n", &b.err), &b.err);
    CHECK_OK(fnd_kernel_get(b.f, "k", &other, &b.err), &b.err);
    CHECK(k == other);
    CHECK_OK(fnd_register_text(b.f, "u/k.h", "FND_COMPOUND(k, \"take | silu | store\", \"\")\n", &b.err), &b.err);
    CHECK(fnd_kernel_get(b.f, "k", &other, &b.err) == FND_ERR_USAGE && !other);
    CHECK_HAS(b.err.text, "there is already a kernel k with other stages");
    bench_close(&b);
}

TEST(user_kernels_folders_that_cannot_be) {
    fnd_catalog *catalog = NULL;
    fnd_error err = { 0 };
    char dir[FND_PROCESS_PATH_BYTES], path[FND_PROCESS_PATH_BYTES + 16];
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
    CHECK_OK(fnd_process_temp_dir(dir, &err), &err);
    REQUIRE(catalog);
    CHECK(fnd_catalog_add_folder(catalog, "no/such/folder", &err) == FND_ERR_FILE);
    CHECK_STR(err.text, "the folder of kernel texts no/such/folder does not exist or is not a folder");
    err = (fnd_error){ 0 };
    CHECK(fnd_catalog_add_folder(catalog, dir, &err) == FND_ERR_FILE);
    CHECK_HAS(err.text, "holds no file whose name ends with .h");
    err = (fnd_error){ 0 };
    snprintf(path, sizeof path, "%s/a.h", dir);
    CHECK_OK(fnd_file_write(path, "a\0b", 3, &err), &err);
    CHECK(fnd_catalog_add_folder(catalog, dir, &err) == FND_ERR_FORMAT);
    CHECK_HAS(err.text, "a.h holds a NUL byte");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_file_write(path, "FND_STAGE(broken)\n", 18, &err), &err);
    CHECK(fnd_catalog_add_folder(catalog, dir, &err) == FND_ERR_COMPOSE);
    CHECK_HAS(err.text, "a.h:1: a stage is FND_STAGE(");
    err = (fnd_error){ 0 };
    unlink(path);
    snprintf(path, sizeof path, "%s/again", dir);
    CHECK(symlink(".", path) == 0); /* a folder without end */
    CHECK(fnd_catalog_add_folder(catalog, dir, &err) == FND_ERR_LIMIT);
    CHECK_HAS(err.text, "more than 16 deep");
    fnd_process_remove_dir(dir);
    fnd_catalog_close(catalog);
}
