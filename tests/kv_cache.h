/* kv_cache.h - caches of keys and values in memory, read and written as src/kernels/attention/args.h
 * describes them, independently of the kernels. */
#ifndef TESTS_KV_CACHE_H
#define TESTS_KV_CACHE_H

#include "foundry/format.h"

#include <stddef.h>
#include <stdint.h>

typedef struct kv_cache_layout {
    fnd_format format; /* F16, F32 or Q8_0 */
    size_t blocks, kv_heads, head_dim;
    bool keys;
} kv_cache_layout;

size_t kv_cache_bytes(const kv_cache_layout *c);
/* All of it NaN where it is floats; codes with scales that are NaN. */
void kv_cache_poison(const kv_cache_layout *c, void *cache);
double kv_cache_get(const kv_cache_layout *c, const void *cache, size_t position, size_t head, size_t d);
/* Put a head of a position, rounded; `row` gets what is there then. */
void kv_cache_put(const kv_cache_layout *c, void *cache, size_t position, size_t head, double *row);
/* How far a value may be from the one that was stored; most: the largest of the 32 under its scale. */
double kv_cache_rounding(fnd_format format, double v, double most);
/* The largest |value| among those under one scale with dimension d. */
double kv_cache_most(fnd_format format, const double *row, size_t d);

double kv_half_value(uint16_t bits);
uint16_t kv_half_bits(double v); /* nearest, for |v| < 65504 */

#endif
