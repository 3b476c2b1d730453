/* metal_ones.c - see metal_ones.h. */
#include "metal_ones.h"
#include "base/base.h"

fnd_status open_metal_cached(foundry **f, const char *cache, fnd_error *err) {
    *err = (fnd_error){ 0 };
    return fnd_open(&(fnd_desc){ .backend = "metal", .quick_build = true, .no_cache = !cache, .cache_dir = cache }, f, err);
}

fnd_status open_metal(foundry **f, fnd_error *err) { return open_metal_cached(f, NULL, err); }

bool ones_open_cached(ones *t, const char *cache) {
    *t = (ones){ .f = NULL };
    fnd_status status = open_metal_cached(&t->f, cache, &t->err);
    if (status == FND_OK) status = fnd_kernel_get(t->f, "linear", &t->linear, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, COLS), FND_ONES, &t->x, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(ROWS, COLS), FND_ONES, &t->w, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &t->y, &t->err);
    if (status == FND_OK) status = fnd_alloc(t->f, FND_F32, fnd_shape2(1, ROWS), FND_POISON, &t->z, &t->err);
    CHECK_OK(status, &t->err);
    return status == FND_OK;
}

bool ones_open(ones *t) { return ones_open_cached(t, NULL); }

void ones_close(ones *t) {
    fnd_error err = { 0 };
    CHECK_OK(fnd_close(t->f, &err), &err);
    standin_reset();
}

fnd_status ones_start(ones *t) {
    const fnd_binding b[] = { fnd_bind_in("x", &t->x.t), fnd_bind_in("w", &t->w.t), fnd_bind_out("y", &t->y.t) };
    t->err = (fnd_error){ 0 };
    return fnd_run(t->f, t->linear, b, 3, &t->err);
}

fnd_status ones_run(ones *t) {
    FND_TRY(ones_start(t));
    return fnd_wait(t->f, &t->err);
}

void check_ones(ones *t, const fnd_dedicated *y) {
    float got[ROWS];
    CHECK_OK(fnd_tensor_read(t->f, &y->t, 0, got, sizeof got, &t->err), &t->err);
    for (size_t i = 0; i < ROWS; i++) CHECK_MSG(got[i] == COLS, "row %zu is %g", i, (double)got[i]);
}
