/* session_bench.c - see session_bench.h. */
#include "session_bench.h"
#include "program.h"
#include "test.h"
#include "tiny_model.h"

#include <math.h>
#include <stdlib.h>

const char *session_temp(const char *name) { return program_temp(name); }

void session_bench_close(session_bench *b) {
    fnd_session_close(b->s);
    fnd_model_free(b->m);
    fnd_close(b->f, NULL);
    *b = (session_bench){ .f = NULL };
}

bool session_bench_open_at(session_bench *b, const char *model, const char *backend, const fnd_session_desc *desc) {
    fnd_desc device = { .backend = backend, .threads = 2, .quick_build = true, .wait_for_build = true, .no_baked = true, .cache_dir = "build/test-cache" };
    *b = (session_bench){ .f = NULL };
    fnd_status status = fnd_open(&device, &b->f, &b->err);
    if (status == FND_OK) status = fnd_model_load(b->f, &(fnd_model_desc){ .path = model }, &b->m, &b->err);
    if (status == FND_OK) status = fnd_session_open(b->m, desc, &b->s, &b->err);
    CHECK_MSG(status == FND_OK, "%s", b->err.text);
    if (status != FND_OK) session_bench_close(b);
    return status == FND_OK;
}

bool session_bench_open(session_bench *b, const fnd_session_desc *desc) {
    static char path[1200];
    if (!path[0]) {
        snprintf(path, sizeof path, "%s", program_temp("session-bench.gguf"));
        tiny_model_save(path, 512);
    }
    return session_bench_open_at(b, path, "cpu", desc);
}

double session_apart(fnd_session *a, fnd_session *b) {
    float x[TINY_MODEL_VOCAB], y[TINY_MODEL_VOCAB];
    double worst = 0, most = 0;
    fnd_error err = { 0 };
    if (fnd_session_logits(a, x, &err) != FND_OK || fnd_session_logits(b, y, &err) != FND_OK) return INFINITY;
    for (size_t i = 0; i < TINY_MODEL_VOCAB; i++) {
        double apart = fabs((double)x[i] - (double)y[i]);
        if (!(apart <= worst)) worst = isnan(apart) ? INFINITY : apart;
        most = fmax(most, fabs((double)y[i]));
    }
    return worst / most;
}
