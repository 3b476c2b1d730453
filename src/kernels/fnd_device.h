/* fnd_device.h - the dialect every kernel is written in.
 *
 * The same text is read by C compilers (the cpu and sim backends), NVRTC and nvcc, the Metal
 * compiler, and clang's OpenCL C++ mode (which checks address spaces the way Metal does). So only
 * what all of them accept is used: no system header, no half type of a compiler, no unqualified
 * pointer, no recursion, no function pointer, no double.
 *
 * Address spaces    FND_GPU device memory, FND_GROUP memory of one group, FND_OWN memory of one
 *                   thread; every pointer names one of them.
 * Threads           a grid of resident groups; a group has FND_WARPS warps of FND_LANES lanes.
 *                   On a CPU a group is one worker: 1 warp of 1 lane.
 * vec               FND_VEC floats (16 with AVX-512, 8 with AVX2, else 4) with + - * / and the
 *                   functions below.
 * fnd_val           the values of FND_VALS neighbouring rows at one place, as matrix kernels
 *                   produce them: one float, or a vec where the strategy computes a tile of rows.
 *                   Epilogues are written on fnd_val (val.h).
 */
#ifndef FND_DEVICE_H
#define FND_DEVICE_H

#if defined(__METAL_VERSION__)
  #include "dialect/metal.h"
#elif defined(__CUDACC__)
  #include "dialect/cuda.h"
#else
  #include "dialect/c.h"
#endif

/* Read by the composer, nothing to a compiler. */
#define FND_STAGE(name, args, kind, takes, gives, reach, doc)
#define FND_POLICY(name, block_weights, block_bytes, doc)
#define FND_COMPOUND(name, stages, doc)

#define FND_CAT_(a, b) a##b
#define FND_CAT(a, b)  FND_CAT_(a, b)

/* What a thread may know of itself. */
typedef struct fnd_thread {
    u32 group, groups;            /* which resident group, of how many */
    u32 warp, lane;               /* which warp of the group, which lane of the warp */
    FND_GROUP f32 *reduce;        /* FND_WARPS + 1 floats for fnd_group_sum and fnd_group_max */
    FND_GPU u8    *scratch;       /* this group's own device memory, as much as the kernel asked for */
    FND_TEAM_FIELDS
} fnd_thread;

#define FND_THREADS         (FND_WARPS * FND_LANES)
#define fnd_thread_index(t) ((t).warp * FND_LANES + (t).lane)

/* The rows m of a resident group, when rows are shared out one by one. */
#define FND_EACH_ROW(m, t, total) for (u32 m = (t).group; m < (total); m += (t).groups)

FND_INLINE u32 fnd_min(u32 a, u32 b) { return a < b ? a : b; }
FND_INLINE u32 fnd_max(u32 a, u32 b) { return a > b ? a : b; }

/* The sum (maximum) of v over all threads of the group, in every thread. All threads must call it.
 * Ends with a barrier, so t.reduce may be used again at once. */
FND_INLINE f32 fnd_group_sum(fnd_thread t, f32 v) {
    (void)t;
    v = fnd_lane_sum(v);
#if FND_THREADS > FND_LANES
    if (t.lane == 0) t.reduce[t.warp] = v;
    fnd_group_barrier(t);
    v = 0.0f;
    for (u32 i = 0; i < FND_WARPS; i++) v += t.reduce[i];
    fnd_group_barrier(t);
#endif
    return v;
}
FND_INLINE f32 fnd_group_max(fnd_thread t, f32 v) {
    (void)t;
    v = fnd_lane_max(v);
#if FND_THREADS > FND_LANES
    if (t.lane == 0) t.reduce[t.warp] = v;
    fnd_group_barrier(t);
    v = t.reduce[0];
    for (u32 i = 1; i < FND_WARPS; i++) v = fnd_fmax(v, t.reduce[i]);
    fnd_group_barrier(t);
#endif
    return v;
}

/* 16-bit storage types: bits in memory, converted explicitly, both directions exact to IEEE round to
 * nearest even. A NaN stays a NaN. */
typedef struct f16 { u16 bits; } f16;
typedef struct bf16 { u16 bits; } bf16;

FND_INLINE f32 fnd_f16_to_f32(u16 h) {
#if defined(FND_F16_TO_F32)
    return FND_F16_TO_F32(h);
#else
    /* Shift exponent and mantissa into place, rescale by 2^112: subnormals come out right. */
    u32 sign = (u32)(h & 0x8000u) << 16, rest = (u32)(h & 0x7fffu);
    f32 magnitude = fnd_bits_f32(rest << 13) * 5.192296858534828e33f;
    return fnd_bits_f32(rest >= 0x7c00u ? (sign | 0x7f800000u | (rest & 0x3ffu) << 13) : (sign | fnd_f32_bits(magnitude)));
#endif
}
FND_INLINE u16 fnd_f32_to_f16(f32 v) {
#if defined(FND_F32_TO_F16)
    return FND_F32_TO_F16(v);
#else
    u32 x = fnd_f32_bits(v), sign = (x >> 16) & 0x8000u;
    x &= 0x7fffffffu;
    if (x > 0x7f800000u) return (u16)(sign | 0x7e00u);
    if (x >= 0x477ff000u) return (u16)(sign | 0x7c00u);
    if (x < 0x38800000u) { /* subnormal half: let the float adder round */
        f32 sum = fnd_bits_f32(x) + 0.5f;
        return (u16)(sign | (fnd_f32_bits(sum) - 0x3f000000u));
    }
    u32 odd = (x >> 13) & 1u;
    return (u16)(sign | ((x + 0xfffu + odd - 0x38000000u) >> 13));
#endif
}
FND_INLINE f32 fnd_bf16_to_f32(u16 b) { return fnd_bits_f32((u32)b << 16); }
FND_INLINE u16 fnd_f32_to_bf16(f32 v) {
    u32 x = fnd_f32_bits(v);
    if ((x & 0x7fffffffu) > 0x7f800000u) return (u16)((x >> 16) | 0x40u);
    return (u16)((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

/* exp(x): 2^n * p(r), n the nearest integer to x / ln 2, p a polynomial of degree 6 on
 * |r| <= ln 2 / 2 (relative error < 2e-7). Clamped to [-87.3, 88.7]: never inf, never subnormal. */
#define FND_EXP_BODY_(T, SPLAT, MIN, MAX, POW2)                                               \
    T n = SPLAT(12582912.0f), r, p;                                                           \
    x = MIN(MAX(x, SPLAT(-87.3f)), SPLAT(88.3f));                                             \
    n = (x * SPLAT(1.44269504f) + n) - n;                                                     \
    r = (x - n * SPLAT(0.693359375f)) - n * SPLAT(-2.12194440e-4f);                           \
    p = SPLAT(1.3981999507e-3f) + r * SPLAT(1.9875691500e-4f);                                \
    p = SPLAT(8.3334519073e-3f) + r * p;                                                      \
    p = SPLAT(4.1665795894e-2f) + r * p;                                                      \
    p = SPLAT(1.6666665459e-1f) + r * p;                                                      \
    p = SPLAT(5.0000001201e-1f) + r * p;                                                      \
    p = (r * r) * p + r + SPLAT(1.0f);                                                        \
    return p * POW2(n);
#define FND_SAME_(v) (v)
FND_INLINE f32 fnd_pow2_(f32 n) { return fnd_bits_f32((u32)((i32)n + 127) << 23); }
FND_INLINE f32 fnd_exp(f32 x) { FND_EXP_BODY_(f32, FND_SAME_, fnd_fmin, fnd_fmax, fnd_pow2_) }
FND_INLINE vec fnd_vec_exp(vec x) { FND_EXP_BODY_(vec, fnd_vec_splat, fnd_vec_min, fnd_vec_max, fnd_vec_pow2_) }

/* tanh by exp; exact to 3e-7 absolute. */
FND_INLINE f32 fnd_tanh(f32 x) { return 1.0f - 2.0f / (fnd_exp(2.0f * x) + 1.0f); }
FND_INLINE vec fnd_vec_tanh(vec x) {
    return fnd_vec_splat(1.0f) - fnd_vec_splat(2.0f) / (fnd_vec_exp(x + x) + fnd_vec_splat(1.0f));
}

#endif
