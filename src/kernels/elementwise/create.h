/* elementwise/create.h - tensors from nothing, and one from another by exchanging axes. Threads of all
 * groups take runs of 32 values, a block of a Q8_0 tensor. */
#ifndef ELEMENTWISE_CREATE_H
#define ELEMENTWISE_CREATE_H
#include "elementwise/philox.h"
#include "elementwise/put.h"

#define ARANGE_ARGS(X)                               \
    X(OUT, act, y,     "[count]", "start + i * step") \
    X(VAL, f32, start, "",        "value 0")          \
    X(VAL, f32, step,  "",        "from value to value") \
    X(RULE, "count <= 2147483648", "values are counted in 32 bits")
FND_STAGE(arange, ARANGE_ARGS, MAIN, NONE, NONE, ALL, "values at equal steps")
FND_INLINE void arange(fnd_thread t, fnd_act y, f32 start, f32 step, u32 count) {
    for (u32 i = fnd_grid_index(t); i < (count + 31) / 32; i += fnd_grid_size(t)) {
        f32 v[32];
        for (u32 k = 0; k < 32; k++) v[k] = start + (f32)(32 * i + k) * step;
        fnd_act_put_run(y, 32 * (u64)i, v, fnd_min(32, count - 32 * i));
    }
}

#define ARANGE_I32_ARGS(X)                           \
    X(OUT, i32, y,     "[count]", "start + i * step") \
    X(VAL, i32, start, "",        "value 0")          \
    X(VAL, i32, step,  "",        "from value to value") \
    X(RULE, "count <= 2147483648", "values are counted in 32 bits")
FND_STAGE(arange_i32, ARANGE_I32_ARGS, MAIN, NONE, NONE, ALL, "whole numbers at equal steps, as positions are")
FND_INLINE void arange_i32(fnd_thread t, FND_GPU i32 *y, i32 start, i32 step, u32 count) {
    for (u32 i = fnd_grid_index(t); i < count; i += fnd_grid_size(t)) y[i] = start + (i32)i * step;
}

FND_INLINE void create_filled(fnd_thread t, fnd_act y, f32 value, u64 total) {
    f32 v[32];
    for (u32 k = 0; k < 32; k++) v[k] = value;
    for (u64 i = fnd_grid_index(t); i < (total + 31) / 32; i += fnd_grid_size(t)) {
        u64 rest = total - 32 * i;
        fnd_act_put_run(y, 32 * i, v, rest < 32 ? (u32)rest : 32u);
    }
}

#define FILL_ARGS(X)                                    \
    X(OUT, act, y,     "[tokens, rows]", "every place")  \
    X(VAL, f32, value, "",               "what it gets")
FND_STAGE(fill, FILL_ARGS, MAIN, NONE, NONE, ALL, "one value everywhere")
FND_INLINE void fill(fnd_thread t, fnd_act y, f32 value, u32 tokens, u32 rows) { create_filled(t, y, value, (u64)tokens * rows); }

#define ONES_ARGS(X) \
    X(OUT, act, y, "[tokens, rows]", "1 at every place")
FND_STAGE(ones, ONES_ARGS, MAIN, NONE, NONE, ALL, "1 everywhere")
FND_INLINE void ones(fnd_thread t, fnd_act y, u32 tokens, u32 rows) { create_filled(t, y, 1.0f, (u64)tokens * rows); }

/* Value i is word i % 4 of Philox4x32-10 with the counter (i / 4, 0, sequence, 0) and the key (seed,
 * seed_high): its upper 24 bits times 2^-24. The same values for every backend and geometry. */
#define RANDOM_UNIFORM_ARGS(X)                                                  \
    X(OUT, act, y,         "[tokens, rows]", "values in [0, 1)")                 \
    X(VAL, u32, seed,      "",               "low word of the seed")             \
    X(VAL, u32, seed_high, "",               "high word of the seed")            \
    X(VAL, u32, sequence,  "",               "other numbers for the same seed")
FND_STAGE(random_uniform, RANDOM_UNIFORM_ARGS, MAIN, NONE, NONE, ALL, "random numbers by counter (Salmon et al. 2011)")
FND_INLINE void random_uniform(fnd_thread t, fnd_act y, u32 seed, u32 seed_high, u32 sequence, u32 tokens, u32 rows) {
    u64 total = (u64)tokens * rows;
    for (u64 i = fnd_grid_index(t); i < (total + 31) / 32; i += fnd_grid_size(t)) {
        f32 v[32];
        u64 rest = total - 32 * i;
        for (u32 k = 0; k < 32; k += 4) {
            philox_words w = philox(philox_counter(8 * i + k / 4, sequence, 0), seed, seed_high);
            for (u32 n = 0; n < 4; n++) v[k + n] = (f32)(w.of[n] >> 8) * 5.9604644775390625e-8f;
        }
        fnd_act_put_run(y, 32 * i, v, rest < 32 ? (u32)rest : 32u);
    }
}

/* From rows of all heads to heads of all rows, as other engines keep keys and values; the same stage
 * goes back, with `tokens` and `heads` exchanged. */
#define KV_REARRANGE_ARGS(X)                                                              \
    X(IN,  act, x, "[tokens, heads, head_dim]", "token by token")                          \
    X(OUT, act, y, "[heads, tokens, head_dim]", "head by head; Q8_0 needs head_dim a multiple of 32") \
    X(RULE, "tokens*heads*((head_dim + 31)/32) <= 2147483648", "runs of 32 values are counted in 32 bits")
FND_STAGE(kv_rearrange, KV_REARRANGE_ARGS, MAIN, NONE, NONE, ALL, "exchange the axes of tokens and heads")
FND_INLINE void kv_rearrange(fnd_thread t, fnd_const_act x, fnd_act y, u32 tokens, u32 heads, u32 head_dim) {
    u32 runs = (head_dim + 31) / 32;
    for (u32 i = fnd_grid_index(t); i < tokens * heads * runs; i += fnd_grid_size(t)) {
        u32 first = i % runs * 32, token = i / runs % tokens, head = i / runs / tokens, count = fnd_min(32, head_dim - first);
        f32 v[32];
        for (u32 k = 0; k < count; k++) v[k] = fnd_act_get(x, ((u64)token * heads + head) * head_dim + first + k);
        fnd_act_put_run(y, ((u64)head * tokens + token) * head_dim + first, v, count);
    }
}
#endif
