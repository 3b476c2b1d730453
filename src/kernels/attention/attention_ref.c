/* attention_ref.c - see attention_ref.h. */
#include "kernels/attention/attention_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One head of one token at `position`: the weights of all keys first, then the sum of the values. */
static void one_head(const attention_ref_desc *d, const double *q, size_t kv_head, size_t position, double *y, double *weight, double *slack) {
    size_t n = position + 1, dim = d->head_dim, pitch = d->kv_heads * dim;
    double *p = malloc(n * sizeof *p), most = -INFINITY, total = 0, off = 0;
    if (!p) abort();
    for (size_t k = 0; k < n; k++) {
        const double *key = d->keys + k * pitch + kv_head * dim;
        double unsure = 0;
        p[k] = 0;
        for (size_t i = 0; i < dim && d->codes; i++) unsure += q[dim + i] * fabs(key[i]);
        off = fmax(off, unsure * d->scale);
        for (size_t i = 0; i < dim; i++) p[k] += q[i] * key[i];
        p[k] *= d->scale;
        most = fmax(most, p[k]);
    }
    for (size_t k = 0; k < n; k++) total += p[k] = exp(p[k] - most);
    for (size_t i = 0; i < dim; i++) y[i] = weight[i] = 0;
    for (size_t k = 0; k < n; k++) {
        const double *value = d->values + k * pitch + kv_head * dim, share = p[k] / total;
        for (size_t i = 0; i < dim; i++) {
            double v = share * value[i];
            y[i] += v;
            weight[i] += fabs(v);
        }
    }
    for (size_t i = 0; i < dim && slack; i++) slack[i] = (exp(2 * off) - 1) * weight[i];
    free(p);
}

void spread_ref(double *x, size_t count) {
    for (size_t from = 0; from < count; from += 32) {
        double y[32] = { 0 };
        for (unsigned i = 0; i < 32; i++) {
            for (unsigned k = 0; k < 32; k++) y[i] += __builtin_popcount(i & k) % 2 ? -x[from + k] : x[from + k];
        }
        for (unsigned i = 0; i < 32; i++) x[from + i] = y[i] / sqrt(32);
    }
}

/* Behind the values, how much each is off at most as two codes of 8 bits: a code, and one of what that leaves. */
static void two_codes(double *q, size_t dim) {
    for (size_t from = 0; from < dim; from += 32) {
        double most = 0;
        for (size_t i = from; i < from + 32; i++) most = fmax(most, fabs(q[i]));
        for (size_t i = from; i < from + 32; i++) q[dim + i] = 0.5 * most / 127 / 254 * 1.001;
    }
}

void attention_ref(const attention_ref_desc *d, double *y, double *weight) {
    double *q = calloc(2 * d->head_dim, sizeof *q);
    if (!q) abort();
    for (size_t m = 0; m < d->tokens; m++) {
        for (size_t h = 0; h < d->heads; h++) {
            size_t at = (m * d->heads + h) * d->head_dim;
            for (size_t i = 0; i < d->head_dim; i++) q[i] = (double)d->q[at + i];
            rope_ref(&d->rope, q, (long)(d->pos + m));
            if (d->spread) spread_ref(q, d->head_dim);
            if (d->codes) two_codes(q, d->head_dim);
            one_head(d, q, h / (d->heads / d->kv_heads), d->pos + m, y + at, weight + at, d->slack ? d->slack + at : NULL);
        }
    }
    free(q);
}
