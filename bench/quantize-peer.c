/* quantize-peer.c - the error that Foundry's quantisers and ggml's plain ones leave on the same rows.
 * Built and run by bench/quantize-peer.sh. The deviation of the rows is the unit of the error; speed is
 * processor time of one thread. */
#include "foundry/quantize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ggml.h"

enum { COLS = 4096,
       ROWS = 256,
       COUNT = COLS * ROWS };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double uniform(void) { return (rand() + 1.0) / ((double)RAND_MAX + 2.0); }

/* Rows as weights are (gaussian), with rare outliers, and of a mean that is not 0. */
static void fill(float *x, int kind) {
    srand(7);
    for (size_t i = 0; i < COUNT; i++) {
        double g = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
        if (kind == 1 && uniform() < 0.01) g *= 6;
        if (kind == 2) g = g * exp(0.8 * sin((double)i / 7)) + 0.3;
        x[i] = (float)(0.02 * g);
    }
}

static double rmse(const float *x, const float *y) {
    double sum = 0;
    for (size_t i = 0; i < COUNT; i++) sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sqrt(sum / COUNT) / 0.02;
}

int main(void) {
    static const char *const kinds[] = { "gaussian", "outliers", "shifted" };
    float *x = malloc(COUNT * sizeof *x), *y = malloc(COUNT * sizeof *y);
    char *ours = malloc(4 * COUNT), *theirs = malloc(4 * COUNT);
    int worse = 0;
    if (!x || !y || !ours || !theirs) return 1;
    printf("| rows | format | Foundry rmse | ggml rmse | ratio | same bytes | Foundry ns/weight | ggml |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (int kind = 0; kind < 3; kind++) {
        fill(x, kind);
        for (fnd_format f = FND_Q8_0; f < FND_FORMAT_COUNT && fnd_format_get(f)->is_weight; f++) {
            const fnd_format_info *info = fnd_format_get(f);
            size_t bytes = (size_t)COUNT / info->block_weights * info->block_bytes;
            fnd_error err = { 0 };
            double start = seconds();
            if (fnd_encode(f, x, COUNT, ours, &err) != FND_OK || fnd_decode(f, ours, COUNT, y, &err) != FND_OK) return puts(err.text), 1;
            double own_seconds = seconds() - start, own = rmse(x, y);
            start = seconds();
            ggml_quantize_chunk((enum ggml_type)info->ggml, x, theirs, 0, ROWS, COLS, NULL);
            double peer_seconds = seconds() - start;
            ggml_get_type_traits((enum ggml_type)info->ggml)->to_float(theirs, y, COUNT);
            double peer = rmse(x, y);
            worse += own > peer * (1 + 1e-6);
            printf("| %s | %s | %.5f | %.5f | %.3f | %s | %.1f | %.1f |\n", kinds[kind], info->name, own, peer, own / peer, memcmp(ours, theirs, bytes) == 0 ? "yes" : "no", 1e9 * own_seconds / COUNT, 1e9 * peer_seconds / COUNT);
        }
    }
    return worse != 0;
}
