/* search_codec.h - scales and minima that leave the least square error, found by trying.
 *
 * For given codes the best scale follows (linear least squares), and for a given scale the best codes
 * do (rounding); what has to be searched is where to begin. Sixteen ways to lay the codes over the
 * range of the weights are tried at once, one in each lane; the best is improved by sixteen more
 * close to it. Lanes know nothing of one another, so that results do not depend on how wide the
 * vectors here are. */
#ifndef POLICY_SEARCH_CODEC_H
#define POLICY_SEARCH_CODEC_H
#include "policy/policy_codec.h"

#ifdef FND_CODEC_LEVEL
enum { WIDE_PARTS = 16 / FND_VEC };
typedef struct wide {
    vec of[WIDE_PARTS];
} wide;

/* As fnd_vec_min and fnd_vec_max, in one instruction. */
#if FND_VEC == 16
FND_INLINE vec wide_min_(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
FND_INLINE vec wide_max_(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
#elif FND_VEC == 8
FND_INLINE vec wide_min_(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
FND_INLINE vec wide_max_(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
#else
  #define wide_min_ fnd_vec_min
  #define wide_max_ fnd_vec_max
#endif

#define WIDE_EACH_(expr)                                               \
    wide r;                                                            \
    FND_UNROLL for (u32 i = 0; i < WIDE_PARTS; i++) r.of[i] = (expr);  \
    return r;
FND_INLINE wide wide_splat(f32 v) { WIDE_EACH_(fnd_vec_splat(v)) }
FND_INLINE wide wide_load(const f32 *p) { WIDE_EACH_(fnd_vec_load(p + i * FND_VEC)) }
FND_INLINE wide wide_add(wide a, wide b) { WIDE_EACH_(a.of[i] + b.of[i]) }
FND_INLINE wide wide_sub(wide a, wide b) { WIDE_EACH_(a.of[i] - b.of[i]) }
FND_INLINE wide wide_mul(wide a, wide b) { WIDE_EACH_(a.of[i] * b.of[i]) }
FND_INLINE wide wide_div(wide a, wide b) { WIDE_EACH_(a.of[i] / b.of[i]) }
/* Where a == b: yes, else no. */
FND_INLINE wide wide_choose(wide a, wide b, wide yes, wide no) {
    WIDE_EACH_((vec)(((vec_i32_)yes.of[i] & (a.of[i] == b.of[i])) | ((vec_i32_)no.of[i] & ~(a.of[i] == b.of[i]))))
}
FND_INLINE wide wide_min(wide a, wide b) { WIDE_EACH_(wide_min_(a.of[i], b.of[i])) }
FND_INLINE wide wide_max(wide a, wide b) { WIDE_EACH_(wide_max_(a.of[i], b.of[i])) }
/* `step` where a > bound, else 0. */
FND_INLINE wide wide_where_above(wide a, f32 bound, f32 step) {
    vec bound_ = fnd_vec_splat(bound), step_ = fnd_vec_splat(step);
    WIDE_EACH_((vec)((a.of[i] > bound_) & (vec_i32_)step_))
}
/* To whole numbers, ties to even, clamped to low .. high, both of which are small. */
FND_INLINE wide wide_code(wide a, f32 low, f32 high) {
    vec magic = fnd_vec_splat(12582912.0f), least = fnd_vec_splat(low), most = fnd_vec_splat(high);
    WIDE_EACH_((wide_max_(wide_min_(a.of[i], most), least) + magic) - magic)
}
/* Whole numbers as integers. */
FND_INLINE void wide_store_whole(i32 *p, wide a) {
    FND_UNROLL for (u32 i = 0; i < WIDE_PARTS; i++) {
        vec_i32_ whole = __builtin_convertvector(a.of[i], vec_i32_);
        __builtin_memcpy(p + i * FND_VEC, &whole, sizeof whole);
    }
}
FND_INLINE void wide_store(f32 *p, wide a) {
    FND_UNROLL for (u32 i = 0; i < WIDE_PARTS; i++) fnd_vec_store(p + i * FND_VEC, a.of[i]);
}
/* Halves are added until four are left, as fnd_vec_sum goes on. */
FND_INLINE f32 wide_sum(wide a) {
#if FND_VEC == 4
    return fnd_vec_sum((a.of[0] + a.of[2]) + (a.of[1] + a.of[3]));
#elif FND_VEC == 8
    return fnd_vec_sum(a.of[0] + a.of[1]);
#else
    return fnd_vec_sum(a.of[0]);
#endif
}
FND_INLINE f32 wide_most(wide a) {
    vec most = a.of[0];
    FND_UNROLL for (u32 i = 1; i < WIDE_PARTS; i++) most = fnd_vec_max(most, a.of[i]);
    return fnd_vec_max_lane(most);
}

/* The first weight of largest magnitude, with its sign; all are finite. */
FND_INLINE f32 fnd_peak(const f32 *x, u32 count) {
    wide up = wide_load(x), down = wide_sub(wide_splat(0.0f), up);
    for (u32 i = 16; i < count; i += 16) {
        up = wide_max(up, wide_load(x + i));
        down = wide_max(down, wide_sub(wide_splat(0.0f), wide_load(x + i)));
    }
    f32 highest = wide_most(up), lowest = wide_most(down);
    for (u32 i = 0; highest == lowest && i < count; i++) {
        if (fnd_fabs(x[i]) == highest) return x[i];
    }
    return highest > lowest ? highest : -lowest;
}

/* u[i] = round(x[i] * inverse) clamped, plus zero. */
FND_INLINE void fnd_write_codes(const f32 *x, u32 count, f32 inverse, f32 shift, f32 low, f32 high, f32 zero, u8 *u) {
    for (u32 i = 0; i < count; i += 16) {
        i32 codes[16];
        wide q = wide_code(wide_mul(wide_sub(wide_load(x + i), wide_splat(shift)), wide_splat(inverse)), low, high);
        wide_store_whole(codes, wide_add(q, wide_splat(zero)));
        for (u32 j = 0; j < 16; j++) u[i + j] = (u8)codes[j];
    }
}

/* 1 / d, or 0 where that is no number to work with. */
FND_INLINE f32 fnd_inverse(f32 d) {
    f32 inverse = d != 0.0f ? 1.0f / d : 0.0f;
    return fnd_fabs(inverse) <= 3.0e38f ? inverse : 0.0f;
}

/* What the codes of a try add up to: q, its square, and its product with the weight. */
typedef struct fnd_tries {
    wide q, qq, xq;
} fnd_tries;

/* q = round(x * by - from), low .. high, in every lane for its own numbers. */
FND_INLINE fnd_tries fnd_try(const f32 *x, u32 count, wide by, wide from, f32 low, f32 high) {
    fnd_tries t = { wide_splat(0.0f), wide_splat(0.0f), wide_splat(0.0f) };
    for (u32 i = 0; i < count; i++) {
        wide v = wide_splat(x[i]), q = wide_code(wide_sub(wide_mul(v, by), from), low, high);
        t.q = wide_add(t.q, q);
        t.qq = wide_add(t.qq, wide_mul(q, q));
        t.xq = wide_add(t.xq, wide_mul(v, q));
    }
    return t;
}

/* The first lane with the largest number; NaN never is. */
FND_INLINE u32 wide_best(wide a) {
    f32 lanes[16], most;
    u32 best = 0;
    wide_store(lanes, a);
    most = lanes[0] == lanes[0] ? lanes[0] : -3.4e38f;
    for (u32 i = 1; i < 16; i++) {
        bool more = lanes[i] > most;
        best = more ? i : best;
        most = more ? lanes[i] : most;
    }
    return best;
}
FND_INLINE f32 wide_lane(wide a, u32 i) {
    f32 lanes[16];
    wide_store(lanes, a);
    return lanes[i];
}

/* ---- w = d * q, q = low .. high --------------------------------------------------------------- */

/* The scale of `count` weights, of either sign. */
FND_INLINE f32 fnd_search_scale(const f32 *x, u32 count, f32 low, f32 high) {
    f32 inverse = fnd_inverse(fnd_peak(x, count)), by[16], scale = 0.0f, best = 0.0f;
    if (inverse == 0.0f) return 0.0f;
    for (u32 i = 0; i < 8; i++) { /* the peak becomes a code near the lowest, or near the highest */
        by[i] = (low + 0.3f * ((f32)i - 4.0f)) * inverse;
        by[i + 8] = (high + 0.3f * ((f32)i - 3.0f)) * inverse;
    }
    for (u32 round = 0; round < 2; round++) {
        fnd_tries t = fnd_try(x, count, wide_load(by), wide_splat(0.0f), low, high);
        /* The error is sum x^2 - xq^2 / qq. */
        wide gain = wide_div(wide_mul(t.xq, t.xq), t.qq);
        u32 at = wide_best(gain);
        f32 qq = wide_lane(t.qq, at);
        if (qq > 0.0f && wide_lane(gain, at) > best) {
            best = wide_lane(gain, at);
            scale = wide_lane(t.xq, at) / qq;
        }
        inverse = fnd_inverse(scale);
        for (u32 i = 0; i < 16; i++) by[i] = inverse * (1.0f + 0.2f / high * ((f32)i - 7.5f) / 8.0f);
    }
    return scale;
}

/* ---- w = d * u + m, u = 0 .. most ------------------------------------------------------------- */

typedef struct fnd_affine {
    f32 d, m;
} fnd_affine;

/* Scale and minimum of 32 weights. `below`: the minimum must not be above 0. */
FND_INLINE fnd_affine fnd_search_affine(const f32 *x, f32 most, bool below) {
    wide a = wide_load(x), b = wide_load(x + 16);
    f32 highest = wide_most(wide_max(a, b)), lowest = -wide_most(wide_max(wide_sub(wide_splat(0.0f), a), wide_sub(wide_splat(0.0f), b)));
    if (below && lowest > 0.0f) lowest = 0.0f;
    f32 sum = wide_sum(wide_add(a, b)), step = (highest - lowest) / most, least = 3.4e38f;
    fnd_affine best = { 0.0f, lowest };
    if (!(highest > lowest) || fnd_inverse(step) == 0.0f) return best;
    /* Beyond what F16 can scale: it becomes infinite there, which is noticed. */
    if (step > 1e7f || fnd_fabs(lowest) > 1e9f) return (fnd_affine){ 3e38f, lowest };
    f32 center = 0.35f, width = 0.4f;
    for (u32 round = 0; round < 2; round++) {
        f32 by[16], from[16];
        for (u32 i = 0; i < 16; i++) { /* cut a little off either end, in steps between codes */
            f32 under = center + width * ((f32)(i % 4) - 1.5f), over = center + width * ((f32)(i / 4) - 1.5f);
            by[i] = 1.0f / (step * (1.0f - (under + over) / most));
            from[i] = (lowest + under * step) * by[i];
        }
        fnd_tries t = fnd_try(x, 32, wide_load(by), wide_load(from), 0.0f, most);
        wide n = wide_splat(32.0f), sums = wide_splat(sum), none = wide_splat(0.0f);
        wide spread = wide_sub(wide_mul(n, t.qq), wide_mul(t.q, t.q));
        wide d = wide_div(wide_sub(wide_mul(n, t.xq), wide_mul(sums, t.q)), spread);
        wide m = wide_div(wide_sub(wide_mul(t.qq, sums), wide_mul(t.q, t.xq)), spread);
        if (below) {
            d = wide_choose(wide_min(m, none), m, d, wide_div(t.xq, t.qq));
            m = wide_min(m, none);
        }
        /* sum of (x - d u - m)^2, less the sum of x^2, negated */
        wide two = wide_splat(2.0f);
        wide gain = wide_add(wide_mul(d, wide_sub(wide_mul(two, wide_sub(t.xq, wide_mul(m, t.q))), wide_mul(d, t.qq))),
                             wide_mul(m, wide_sub(wide_mul(two, sums), wide_mul(n, m))));
        u32 at = wide_best(gain);
        f32 error = -wide_lane(gain, at);
        if (error < least) {
            least = error;
            best = (fnd_affine){ wide_lane(d, at), wide_lane(m, at) };
        }
        /* Again, about the best. */
        lowest = best.m;
        step = best.d;
        center = 0.0f;
        width = 0.1f;
        if (fnd_inverse(step) == 0.0f) break;
    }
    return best;
}

/* minus the sum of (x - d u - m)^2 over `count` weights with the best codes, in every lane. */
FND_INLINE wide fnd_fit_of(const f32 *x, u32 count, wide d, wide m, wide by, f32 low, f32 high) {
    wide sum = wide_splat(0.0f);
    for (u32 i = 0; i < count; i++) {
        wide v = wide_sub(wide_splat(x[i]), m);
        v = wide_sub(v, wide_mul(d, wide_code(wide_mul(v, by), low, high)));
        sum = wide_sub(sum, wide_mul(v, v));
    }
    return sum;
}
#endif
#endif
