/* metal_ones.h - a kernel on the stand-in for Metal whose every result is known: y = W x of ones. */
#ifndef TESTS_METAL_ONES_H
#define TESTS_METAL_ONES_H

#include "foundry/foundry.h"
#include "metal_standin.h"
#include "test.h"

#define NEED_STANDIN() NEED(!fnd_test_metal_missing(), fnd_test_metal_missing())

enum { ROWS = 10,
       COLS = 64 };

typedef struct ones {
    foundry *f;
    fnd_kernel *linear;
    fnd_dedicated x, w, y, z; /* z: as y, for a second call */
    fnd_error err;
} ones;

/* With a cache of kernels in `cache`; NULL: with none. */
fnd_status open_metal_cached(foundry **f, const char *cache, fnd_error *err);
fnd_status open_metal(foundry **f, fnd_error *err);

bool ones_open_cached(ones *t, const char *cache);
bool ones_open(ones *t);
void ones_close(ones *t); /* and the stand-in as it was */
fnd_status ones_start(ones *t);
fnd_status ones_run(ones *t); /* started, and waited for */
void check_ones(ones *t, const fnd_dedicated *y);

#endif
