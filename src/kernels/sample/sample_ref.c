/* sample_ref.c - see sample_ref.h. */
#include "kernels/sample/sample_ref.h"

#include <math.h>
#include <stdlib.h>

void philox_ref(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c[4] = { counter[0], counter[1], counter[2], counter[3] }, k[2] = { key[0], key[1] };
    for (int round = 0; round < 10; round++) {
        uint64_t left = 0xd2511f53ull * c[0], right = 0xcd9e8d57ull * c[2];
        uint32_t next[4] = { (uint32_t)(right >> 32) ^ c[1] ^ k[0], (uint32_t)right, (uint32_t)(left >> 32) ^ c[3] ^ k[1], (uint32_t)left };
        for (int i = 0; i < 4; i++) c[i] = next[i];
        k[0] += 0x9e3779b9u;
        k[1] += 0xbb67ae85u;
    }
    for (int i = 0; i < 4; i++) out[i] = c[i];
}

typedef struct candidate {
    double logit, weight;
    uint32_t id;
} candidate;

static int likelier(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}
static int by_id(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return x->id < y->id ? -1 : 1;
}

/* Of the first n, which stays by surprise: the nearest to the entropy until they have p of the mass, and
 * all that are as near as the last of them. Their order stays. */
static size_t typical(candidate *c, size_t n, double p) {
    double total = 0, entropy = 0, mass = 0, reach = 0;
    double *away = calloc(n, sizeof *away);
    if (!away) abort();
    for (size_t i = 0; i < n; i++) total += exp(c[i].logit - c[0].logit);
    for (size_t i = 0; i < n; i++) {
        double share = exp(c[i].logit - c[0].logit) / total;
        if (share > 0) entropy -= share * log(share);
    }
    for (size_t i = 0; i < n; i++) away[i] = fabs(-log(exp(c[i].logit - c[0].logit) / total) - entropy);
    while (mass < p * total) {
        double next = INFINITY;
        for (size_t i = 0; i < n; i++) next = away[i] > reach && away[i] < next ? away[i] : next;
        reach = mass == 0 && next == INFINITY ? 0 : next;
        mass = 0;
        for (size_t i = 0; i < n; i++) mass += away[i] <= reach + 1e-9 ? exp(c[i].logit - c[0].logit) : 0;
        reach += 1e-9; /* equal logits are equally far */
    }
    size_t left = 0;
    for (size_t i = 0; i < n; i++) {
        if (away[i] <= reach) c[left++] = c[i];
    }
    free(away);
    return left;
}

static size_t top_p(candidate *c, size_t n, double p) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) total += exp(c[i].logit - c[0].logit);
    for (size_t i = 0; i < n; i++) {
        sum += exp(c[i].logit - c[0].logit);
        if (sum >= p * total) return i + 1;
    }
    return n;
}

static uint32_t drawn(candidate *c, size_t n, const sample_ref_desc *d) {
    const uint32_t counter[4] = { 0, 0, d->position, 1 }, key[2] = { (uint32_t)d->seed, (uint32_t)(d->seed >> 32) };
    uint32_t words[4];
    double total = 0, most = c[0].logit;
    for (size_t i = 0; i < n; i++) total += c[i].weight = exp((c[i].logit - most) / d->temperature);
    qsort(c, n, sizeof *c, by_id);
    philox_ref(counter, key, words);
    double left = ((double)words[1] + (double)words[0] / 4294967296.0) / 4294967296.0 * total;
    for (size_t i = 0; i < n; i++) {
        left -= c[i].weight;
        if (left < 0) return c[i].id;
    }
    return c[n - 1].id;
}

/* The top-k, likeliest first, after typical_p. */
static candidate *candidates(const sample_ref_desc *d, size_t *n) {
    candidate *c = calloc(d->vocab, sizeof *c);
    if (!c) abort();
    for (size_t i = 0; i < d->vocab; i++) c[i] = (candidate){ (double)d->logits[i], 0, (uint32_t)i };
    qsort(c, d->vocab, sizeof *c, likelier);
    *n = d->top_k && d->top_k < d->vocab ? d->top_k : d->vocab;
    if (d->typical_p > 0 && d->typical_p < 1 && d->temperature > 0) *n = typical(c, *n, d->typical_p);
    return c;
}

void typical_ref(const sample_ref_desc *d, unsigned char *stays) {
    size_t n;
    candidate *c = candidates(d, &n);
    for (size_t i = 0; i < d->vocab; i++) stays[i] = 0;
    for (size_t i = 0; i < n; i++) stays[c[i].id] = 1;
    free(c);
}

void penalize_ref(const penalize_ref_desc *d, double *logits, size_t vocab) {
    for (size_t i = 0; i < d->biases; i++) logits[d->bias_ids[i]] += (double)d->bias[i];
    for (size_t id = 0; id < vocab; id++) {
        size_t count = 0;
        for (size_t i = 0; i < d->recents; i++) count += d->recent[i] == id;
        if (count) logits[id] = (logits[id] > 0 ? logits[id] / d->repeat : logits[id] * d->repeat) - d->presence - d->frequency * (double)count;
    }
}

uint32_t sample_ref(const sample_ref_desc *d) {
    size_t n;
    candidate *c = candidates(d, &n);
    uint32_t id = c[0].id;
    if (d->temperature > 0) {
        if (d->top_p < 1) n = top_p(c, n, d->top_p);
        while (n > 1 && c[n - 1].logit < c[0].logit + log(d->min_p)) n--;
        id = drawn(c, n, d);
    }
    free(c);
    return id;
}
