/* test_compose_names.c - names that must fit: of heads, and of what is shipped or declared already. */
#include "base/base.h"
#include "compose/kernel.h"
#include "foundry/context.h"
#include "foundry/run.h"
#include "tensor/format_custom.h"
#include "test.h"

#include <pthread.h>

static fnd_composition_room room; /* large */

static fnd_catalog *open_catalog(void) {
    fnd_catalog *catalog = NULL;
    fnd_error err = { 0 };
    CHECK_OK(fnd_catalog_open(NULL, &catalog, &err), &err);
    return catalog;
}

/* Stages with the name of another head would have arguments of other sizes. */
TEST(compose_refuses_stages_of_another_head) {
    static const struct {
        fnd_stage_use stages[8];
        const char *says; /* NULL: legal */
    } list[] = {
        { { { "rows", NULL }, { "dot", "a" }, { "bias", "b" }, { "store", "a" } }, "stage bias has the head b, but works on what belongs to stage dot, which has the head a" },
        { { { "rows", NULL }, { "dot", "a" }, { "bias", NULL }, { "store", "a" } }, "stage bias has no head, but works on what belongs to stage dot, which has the head a" },
        { { { "rows", NULL }, { "dot", NULL }, { "silu", NULL }, { "store", "b" } }, "stage store has the head b, but works on what belongs to stage dot, which has no head" },
        { { { "rows", NULL }, { "dot", "a" }, { "silu", "b" }, { "store", "a" } }, "stage silu has the head b" },
        { { { "take", "a" }, { "store", NULL } }, "stage store has no head, but works on what belongs to stage take" },
        { { { "take", "a" }, { "silu", NULL }, { "store", "a" } }, NULL }, /* it has no arguments */
        { { { "take", "a" }, { "take", "b" }, { "swiglu", NULL }, { "store", "c" } }, NULL },
        { { { "take", "a" }, { "take", "b" }, { "swiglu", NULL }, { "gate", "c" }, { "store", NULL } }, "stage store has no head, but works on what belongs to stage gate, which has the head c" },
        { { { "take", "a" }, { "bias", "b" }, { "take", "b" }, { "swiglu", NULL }, { "store", NULL } }, "stage bias has the head b" },
    };
    fnd_catalog *catalog = open_catalog();
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        fnd_error err = { 0 };
        fnd_kernel_desc desc = { .name = "mixed" };
        memcpy(desc.stages, list[i].stages, sizeof list[i].stages);
        CHECK_MSG(fnd_compose(catalog, &desc, &room, &err) == (list[i].says ? FND_ERR_COMPOSE : FND_OK), "%zu: %s", i, err.text);
        if (list[i].says) CHECK_HAS(err.text, list[i].says);
    }
    fnd_catalog_close(catalog);
}

/* What is shipped stays what it is; only its own file may declare a stage of a user's anew. */
TEST(compose_refuses_names_that_are_taken) {
    static const struct {
        const char *path, *text, *says;
    } list[] = {
        { "norm/rmsnorm.h", "", "norm/rmsnorm.h would take the place of norm/rmsnorm.h, which is shipped with Foundry" },
        { "norm/rmsnorm.cpu.h", "", "norm/rmsnorm.cpu.h would take the place of norm/rmsnorm.h" },
        { "gemv/dot.cpu.h", "", "which is shipped" },
        { "user/a.h", "#define N_ARGS(X)\nFND_STAGE(silu, N_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n", "user/a.h:2: stage silu is shipped with Foundry (activation/activation.h): give yours another name" },
        { "user/b.h", "FND_POLICY(q4_0, 32, 18, \"\")\n", "user/b.h:1: policy q4_0 is shipped with Foundry (policy/q4_0/q4_0.h)" },
        { "user/c.h", "#define N_ARGS(X)\nFND_STAGE(mine, N_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n", NULL },
        { "user/c.h", "#define N_ARGS(X)\nFND_STAGE(mine, N_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"anew\")\n", NULL },
        { "user/d.h", "#define N_ARGS(X)\nFND_STAGE(mine, N_ARGS, EPILOGUE_ACTIVATION, TILE, TILE, OWN, \"\")\n", "user/d.h:2: stage mine is declared in user/c.h already" },
    };
    fnd_catalog *catalog = open_catalog();
    size_t stages = fnd_catalog_stage_count(catalog);
    for (size_t i = 0; i < FND_COUNT(list); i++) {
        fnd_error err = { 0 };
        CHECK_MSG(fnd_catalog_add(catalog, list[i].path, list[i].text, &err) == (list[i].says ? FND_ERR_COMPOSE : FND_OK), "%s: %s", list[i].path, err.text);
        if (list[i].says) CHECK_HAS(err.text, list[i].says);
    }
    CHECK(fnd_catalog_stage_count(catalog) == stages + 1);
    CHECK_STR(fnd_catalog_stage(catalog, "mine")->doc, "anew");
    CHECK_STR(fnd_catalog_stage(catalog, "silu")->declared_in, "activation/activation.h");
    fnd_catalog_close(catalog);
}

TEST(compose_refuses_kernels_of_shipped_names) {
    foundry *f;
    fnd_kernel *k, *shipped;
    fnd_error err = { 0 };
    fnd_gemv_desc same = { .name = "norm_head", .prologue = "rmsnorm", .heads = { { "", 0 } } };
    CHECK_OK(fnd_open(&(fnd_desc){ .backend = "cpu", .isa = "generic", .cache_dir = "build/test-cache" }, &f, &err), &err);
    CHECK(fnd_kernel_make(f, &(fnd_kernel_desc){ .name = "silu", .stages = { { "take", NULL }, { "relu", NULL }, { "store", NULL } } }, &k, &err) == FND_ERR_USAGE);
    CHECK_STR(err.text, "kernel silu is shipped with Foundry, of other stages: give yours another name");
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_kernel_make_gemv(f, &same, &k, &err), &err);
    CHECK_OK(fnd_kernel_get(f, "norm_head", &shipped, &err), &err);
    CHECK(k == shipped);
    CHECK(fnd_kernel_make(f, &(fnd_kernel_desc){ .name = "norm_head", .stages = { { "take", NULL }, { "relu", NULL }, { "store", NULL } } }, &k, &err) == FND_ERR_USAGE);
    err = (fnd_error){ 0 };
    CHECK_OK(fnd_kernel_get(f, "silu", &k, &err), &err);
    CHECK_OK(fnd_close(f, &err), &err);
}

/* ---- formats, which all contexts share ---- */

enum { THREADS = 6,
       NAMES = 3 };

typedef struct adder {
    pthread_t thread;
    fnd_format got[NAMES];
    bool good;
} adder;

/* Every thread adds the same formats, in another order, while it looks for them all. */
static void *add_formats(void *ctx) {
    static const fnd_format_info infos[NAMES] = { { "threads_a", -1, 32, 20, true }, { "threads_b", -1, 64, 40, true }, { "threads_c", -1, 16, 8, true } };
    adder *a = ctx;
    fnd_error err = { 0 };
    a->good = true;
    for (size_t round = 0; round < 200; round++) {
        size_t i = (round + (size_t)a->got[0]) % NAMES;
        for (size_t k = 0; k < NAMES; k++) {
            fnd_format found = fnd_format_by_name(infos[k].name);
            const fnd_format_info *info = found ? fnd_format_get(found) : NULL;
            a->good &= !found || (info && info->block_weights == infos[k].block_weights && info->block_bytes == infos[k].block_bytes);
        }
        a->good &= fnd_format_add(&infos[i], &a->got[i], &err) == FND_OK;
    }
    for (size_t i = 0; i < NAMES; i++) a->good &= fnd_format_add(&infos[i], &a->got[i], &err) == FND_OK;
    return NULL;
}

TEST(formats_are_added_by_several_threads) {
    adder list[THREADS] = { 0 };
    for (size_t i = 0; i < THREADS; i++) {
        list[i].got[0] = (fnd_format)i; /* where it begins */
        CHECK(pthread_create(&list[i].thread, NULL, add_formats, &list[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(list[i].thread, NULL);
    for (size_t i = 0; i < THREADS; i++) {
        CHECK(list[i].good);
        CHECK(memcmp(list[i].got, list[0].got, sizeof list[i].got) == 0);
    }
    CHECK(list[0].got[0] != list[0].got[1] && list[0].got[1] != list[0].got[2] && list[0].got[0] >= FND_FORMAT_FIRST_CUSTOM);
}
