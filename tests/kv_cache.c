/* kv_cache.c - see kv_cache.h. */
#include "kv_cache.h"

#include <math.h>
#include <string.h>

double kv_half_value(uint16_t h) {
    int e = h >> 10 & 31;
    double m = h & 1023, v = e == 31 ? NAN : (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
    return h >> 15 ? -v : v;
}

uint16_t kv_half_bits(double v) {
    if (v == 0) return 0;
    int e;
    frexp(fabs(v), &e);
    e = e < -13 ? -13 : e;
    long m = lrint(ldexp(fabs(v), 11 - e));
    return (uint16_t)((v < 0 ? 0x8000 : 0) + ((e + 13) << 10) + m);
}

static size_t head_values(const kv_cache_layout *c) { return 16 * c->head_dim; }
static size_t head_at(const kv_cache_layout *c, size_t position, size_t head) { return position / 16 * c->kv_heads + head; }

size_t kv_cache_bytes(const kv_cache_layout *c) {
    size_t values = c->blocks * c->kv_heads * head_values(c);
    return c->format == FND_Q8_0 ? values / 32 * 34 : values * (c->format == FND_F32 ? 4 : 2);
}

void kv_cache_poison(const kv_cache_layout *c, void *cache) { memset(cache, 0xff, kv_cache_bytes(c)); }

static size_t float_at(const kv_cache_layout *c, size_t position, size_t head, size_t d) {
    size_t within = c->keys ? d * 16 + position % 16 : position % 16 * c->head_dim + d;
    return head_at(c, position, head) * head_values(c) + within;
}

/* Bytes of codes and of scales. */
static size_t code_at(const kv_cache_layout *c, size_t position, size_t head, size_t d) {
    size_t block = head_at(c, position, head) * head_values(c) / 32 * 34, part = d / 32 * 512;
    return block + part + (c->keys ? d % 32 / 4 * 64 + position % 16 * 4 + d % 4 : position % 16 * 32 + d % 32);
}
static size_t scale_at(const kv_cache_layout *c, size_t position, size_t head, size_t d) {
    size_t block = head_at(c, position, head) * head_values(c) / 32 * 34;
    return block + head_values(c) + 2 * (d / 32 * 16 + position % 16);
}

double kv_cache_get(const kv_cache_layout *c, const void *cache, size_t position, size_t head, size_t d) {
    const uint8_t *bytes = cache;
    uint16_t half;
    float single;
    if (c->format == FND_Q8_0) {
        memcpy(&half, bytes + scale_at(c, position, head, d), 2);
        return kv_half_value(half) * (int8_t)bytes[code_at(c, position, head, d)];
    }
    size_t at = float_at(c, position, head, d);
    if (c->format == FND_F32) {
        memcpy(&single, bytes + 4 * at, 4);
        return (double)single;
    }
    memcpy(&half, bytes + 2 * at, 2);
    return kv_half_value(half);
}

double kv_cache_most(fnd_format format, const double *row, size_t d) {
    double most = 0;
    for (size_t i = d / 32 * 32; format == FND_Q8_0 && i < d / 32 * 32 + 32; i++) most = fmax(most, fabs(row[i]));
    return most;
}

void kv_cache_put(const kv_cache_layout *c, void *cache, size_t position, size_t head, double *row) {
    uint8_t *bytes = cache;
    for (size_t d = 0; d < c->head_dim; d++) {
        if (c->format == FND_Q8_0) {
            double most = kv_cache_most(c->format, row, d);
            if (d % 32 == 0) {
                uint16_t half = kv_half_bits(most / 127);
                memcpy(bytes + scale_at(c, position, head, d), &half, 2);
            }
            bytes[code_at(c, position, head, d)] = (uint8_t)(int8_t)(most > 0 ? nearbyint(row[d] * 127 / most) : 0);
            continue;
        }
        size_t at = float_at(c, position, head, d);
        float single = (float)row[d];
        uint16_t half = kv_half_bits(row[d]);
        if (c->format == FND_F32) memcpy(bytes + 4 * at, &single, 4);
        if (c->format == FND_F16) memcpy(bytes + 2 * at, &half, 2);
    }
    for (size_t d = 0; d < c->head_dim; d++) row[d] = kv_cache_get(c, cache, position, head, d);
}

double kv_cache_rounding(fnd_format format, double v, double most) {
    if (format == FND_F32) return 2e-6 * fabs(v) + 3e-6;
    if (format == FND_F16) return 6e-4 * fabs(v) + 3e-6;
    return most / 127 * 0.501 + 6e-4 * fabs(v) + 3e-6 + 127 * 0x1p-25; /* a code, and a half as its scale */
}
