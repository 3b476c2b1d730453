/* dialect/c.h - the dialect in C: the cpu backend (one lane, vectors) and, with FND_SIM, the sim
 * backend (32 lanes as fibers; lane operations and barriers are calls into the simulator). */
#ifndef FND_DIALECT_C_H
#define FND_DIALECT_C_H

/* Before anything else: a compiler that was given this header precompiled takes it only there. */
#if defined(__F16C__) && !defined(FND_SIM)
  #include <immintrin.h>
#elif defined(__AARCH64EL__) && !defined(FND_SIM)
  #include <arm_neon.h>
#endif

/* What C lets pass with a warning and other machines' compilers refuse, or what is a mistake everywhere. As
 * pragmas, since a compiler that does not know one says so and goes on. */
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#pragma GCC diagnostic error "-Wint-conversion"
#pragma GCC diagnostic error "-Wimplicit-function-declaration"
#pragma GCC diagnostic error "-Wimplicit-int"
#pragma GCC diagnostic error "-Wreturn-type"
#if defined(__clang__)
  #pragma GCC diagnostic error "-Wincompatible-pointer-types-discards-qualifiers"
  #pragma GCC diagnostic error "-Wreturn-stack-address"
#else
  #pragma GCC diagnostic error "-Wdiscarded-qualifiers"
  #pragma GCC diagnostic error "-Wreturn-local-addr"
#endif

typedef unsigned char      u8;
typedef signed char        i8;
typedef unsigned short     u16;
typedef short              i16;
typedef unsigned int       u32;
typedef int                i32;
typedef unsigned long long u64;
typedef long long          i64;
typedef float              f32;

#define FND_GPU
#define FND_GROUP
#define FND_OWN
#define FND_CONSTANT static const
#define FND_INLINE   static inline __attribute__((always_inline, unused))
#define FND_CHECK(e, message) _Static_assert(e, message)
#define FND_UNROLL   _Pragma("GCC unroll 16")
#define FND_ROLLED   _Pragma("GCC unroll 1") /* a loop that is not worth its code */
#define FND_ALIGNED(bytes) __attribute__((aligned(bytes)))

/* ---- bits ------------------------------------------------------------------------------------ */
FND_INLINE u32 fnd_f32_bits(f32 v) { u32 b; __builtin_memcpy(&b, &v, 4); return b; }
FND_INLINE f32 fnd_bits_f32(u32 b) { f32 v; __builtin_memcpy(&v, &b, 4); return v; }
FND_INLINE u16 fnd_load_u16(const u8 *p) { u16 v; __builtin_memcpy(&v, p, 2); return v; }
FND_INLINE u32 fnd_load_u32(const u8 *p) { u32 v; __builtin_memcpy(&v, p, 4); return v; }
FND_INLINE f32 fnd_fmin(f32 a, f32 b) { return a < b ? a : b; }
FND_INLINE f32 fnd_fmax(f32 a, f32 b) { return a > b ? a : b; }
FND_INLINE f32 fnd_fabs(f32 a) { return __builtin_fabsf(a); }
FND_INLINE f32 fnd_sqrt(f32 a) { return __builtin_sqrtf(a); }
FND_INLINE f32 fnd_floor(f32 a) { return __builtin_floorf(a); }
FND_INLINE f32 fnd_round(f32 a) { return (a + 12582912.0f) - 12582912.0f; } /* |a| < 2^22, ties to even */
extern float cosf(float), sinf(float), logf(float), powf(float, float);
#define fnd_cos(a)    cosf(a)
#define fnd_sin(a)    sinf(a)
#define fnd_log(a)    logf(a)
#define fnd_pow(a, b) powf(a, b)

#if defined(__F16C__) && !defined(FND_SIM)
  #define FND_F16_TO_F32(h) _cvtsh_ss(h)
  #define FND_F32_TO_F16(v) ((u16)_cvtss_sh(v, 0))
#elif defined(__AARCH64EL__) && !defined(FND_SIM)
  #define FND_F16_TO_F32(h) vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0)
  #define FND_F32_TO_F16(v) vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(v))), 0)
#endif

/* ---- vectors --------------------------------------------------------------------------------- */
#if defined(FND_SIM) || defined(FND_GENERIC)
  #define FND_VEC 4
#elif defined(__AVX512F__)
  #define FND_VEC 16
#elif defined(__AVX2__)
  #define FND_VEC 8
#else
  #define FND_VEC 4
#endif
typedef f32 vec __attribute__((vector_size(4 * FND_VEC)));
typedef i32 vec_i32_ __attribute__((vector_size(4 * FND_VEC)));
typedef f32 vec_unaligned_ __attribute__((vector_size(4 * FND_VEC), aligned(4), may_alias));

FND_INLINE vec fnd_vec_splat(f32 v) { return v - (vec){ 0 }; }
FND_INLINE vec fnd_vec_load(const f32 *p) { return *(const vec_unaligned_ *)p; }
FND_INLINE vec fnd_vec_load_own(const f32 *p) { return *(const vec_unaligned_ *)p; }
FND_INLINE void fnd_vec_store(f32 *p, vec v) { *(vec_unaligned_ *)p = v; }
FND_INLINE vec fnd_vec_min(vec a, vec b) { return (vec)(((vec_i32_)a & (a < b)) | ((vec_i32_)b & ~(a < b))); }
FND_INLINE vec fnd_vec_max(vec a, vec b) { return (vec)(((vec_i32_)a & (a > b)) | ((vec_i32_)b & ~(a > b))); }
FND_INLINE vec fnd_vec_pow2_(vec n) { return (vec)((__builtin_convertvector(n, vec_i32_) + 127) << 23); }
/* Over the lanes of a vec: upper onto lower half until 4 are left, in quarters, which stay registers. */
typedef f32 vec_quad_ __attribute__((vector_size(16)));
typedef i32 vec_quad_i32_ __attribute__((vector_size(16)));
FND_INLINE vec_quad_ fnd_quad_add_(vec_quad_ a, vec_quad_ b) { return a + b; }
FND_INLINE vec_quad_ fnd_quad_max_(vec_quad_ a, vec_quad_ b) {
    vec_quad_i32_ first = a > b;
    return (vec_quad_)(((vec_quad_i32_)a & first) | ((vec_quad_i32_)b & ~first));
}
#if FND_VEC == 16
  #define FND_FOLD_(op, q) op(op(q[0], q[2]), op(q[1], q[3]))
#elif FND_VEC == 8
  #define FND_FOLD_(op, q) op(q[0], q[1])
#else
  #define FND_FOLD_(op, q) q[0]
#endif
FND_INLINE f32 fnd_vec_sum(vec v) {
    vec_quad_ q[FND_VEC / 4], sum;
    __builtin_memcpy(q, &v, sizeof q);
    sum = FND_FOLD_(fnd_quad_add_, q);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}
FND_INLINE f32 fnd_vec_max_lane(vec v) {
    vec_quad_ q[FND_VEC / 4], most;
    __builtin_memcpy(q, &v, sizeof q);
    most = FND_FOLD_(fnd_quad_max_, q);
    return fnd_fmax(fnd_fmax(most[0], most[2]), fnd_fmax(most[1], most[3]));
}
FND_INLINE f32 fnd_vec_get(vec v, u32 i) { f32 part[FND_VEC]; __builtin_memcpy(part, &v, sizeof part); return part[i]; }
/* FND_VEC halves to floats, from any address. */
FND_INLINE vec fnd_vec_load_f16(const u16 *p) {
#if FND_VEC == 16 && defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p));
#elif FND_VEC == 8 && defined(__F16C__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p));
#elif FND_VEC == 4 && defined(__AARCH64EL__) && !defined(FND_SIM) && !defined(FND_GENERIC)
    return (vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    vec v;
    for (u32 i = 0; i < FND_VEC; i++) {
        u32 h = p[i], sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
        u32 m = fnd_f32_bits(fnd_bits_f32(rest << 13) * 5.192296858534828e33f);
        v[i] = fnd_bits_f32(rest >= 0x7c00u ? (sign | 0x7f800000u | (rest & 0x3ffu) << 13) : (sign | m));
    }
    return v;
#endif
}

/* A line of memory that will be read. */
FND_INLINE void fnd_prefetch(const void *p) { __builtin_prefetch(p); }

/* ---- threads --------------------------------------------------------------------------------- */
#ifndef FND_SIM
  #define FND_LANES 1
  #define FND_WARPS 1
  #define fnd_lane_sum(v)       (v)
  #define fnd_lane_max(v)       (v)
  #define fnd_lane_get(v, lane) (v)
  #define fnd_group_barrier(t)  ((void)(t))
  #define fnd_warp_barrier(t)   ((void)(t))
  #define fnd_last_group(t, place, count) ((void)(t), (void)(place), (void)(count), 0u)
  /* What is left of a group's share of a matrix (gemv/share.cpu.h), on lines of its own. */
  typedef struct fnd_share {
      u64 left; /* atomic */
      u32 loop; /* read and written by its group alone */
  } FND_ALIGNED(128) fnd_share;
  /* The worker team: a barrier over all groups of the launch, scratch that all of them see, and their shares (NULL where
   * a launch has one group). */
  typedef struct fnd_team fnd_team;
  #define FND_TEAM_FIELDS        \
      fnd_team  *team;           \
      u8        *shared_scratch; \
      u32        unit_from; /* tokens, from which on 8-bit products are the matrix unit's */ \
      fnd_share *shares;         \
      void (*team_barrier)(fnd_team *team, u32 group); \
      u64 (*now)(void); /* nanoseconds */
  #define fnd_grid_barrier(t)    ((t).team_barrier((t).team, (t).group))
  #define FND_GROUP_ARRAY(T, name, count) T name[count]
#else
  #include "dialect/sim.h"
#endif

/* ---- entry points ---------------------------------------------------------------------------- */
/* A weight matrix: its bytes, and (where a kernel serves any format) the functions of its format. */
typedef struct fnd_weight {
    const u8   *data;
    const void *ops;
} fnd_weight;

#define FND_FIELD_IN_(T, name)     const T *name;
#define FND_FIELD_OUT_(T, name)    T *name;
#define FND_FIELD_INOUT_(T, name)  T *name;
#define FND_FIELD_WEIGHT_(T, name) fnd_weight name;
#define FND_FIELD_VAL_(T, name)    T name;
#define FND_FIELD_(kind, T, name)  FND_FIELD_##kind##_(T, name)

/* FND_KERNEL(name, TENSORS, VALUES, bytes) { body }: defines name_args, checks its size, and two
 * functions: name_body, which programs call, and the entry point `name`. In the body, `a` is the
 * argument struct and `t` the fnd_thread. */
#define FND_KERNEL(name, TENSORS, VALUES, bytes)                                       \
    typedef struct name##_args { TENSORS(FND_FIELD_) VALUES(FND_FIELD_) } name##_args; \
    FND_CHECK(sizeof(name##_args) == (bytes), #name ": host and device disagree on the argument struct"); \
    static __attribute__((noinline)) void name##_body(fnd_thread t, name##_args a);    \
    void name(const void *args, const fnd_thread *thread);                             \
    void name(const void *args, const fnd_thread *thread) {                            \
        name##_body(*thread, *(const name##_args *)args);                              \
    }                                                                                  \
    static void name##_body(fnd_thread t, name##_args a)

/* FND_PROGRAM(name) { calls of bodies }: one entry point that runs kernels one after the other on the
 * same groups. FND_PART(type, at): the argument structs at byte `at` of the program's table. */
#define FND_PROGRAM(name)                                                              \
    static void name##_program(fnd_thread t, const u8 *args);                          \
    void name(const void *args, const fnd_thread *thread);                             \
    void name(const void *args, const fnd_thread *thread) {                            \
        name##_program(*thread, (const u8 *)args);                                     \
    }                                                                                  \
    static void name##_program(fnd_thread t, const u8 *args)
#define FND_PART(type, at) ((const type *)(args + (at)))
/* Where calls are timed within a program: the address of the clocks stands at byte `at` of its table, and each group
 * has `count` of them: the time in nanoseconds at its begin, two clocks for each call, the time at its end. */
#define FND_STAMPS(t, at, count)                                              \
    u64 *stamp = *(u64 *const *)(args + (at)) + (u64)(t).group * (count);     \
    *stamp++ = (t).now()
#define FND_CALL_BEGINS(t) (*stamp++ = (t).now())
#define FND_CALL_ENDS(t)   (*stamp++ = (t).now())
#define FND_STAMPS_END(t)  (*stamp = (t).now())

#endif
