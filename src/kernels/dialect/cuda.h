/* dialect/cuda.h - the dialect in CUDA C++, for NVRTC (which has no system headers) and nvcc. Needs
 * compute capability 7.0.
 *
 * The host launches `name` with `groups` blocks of FND_WARPS * 32 threads and four parameters: the
 * argument struct, scratch memory, how many bytes of it each group has, and scratch memory of all groups. */
#ifndef FND_DIALECT_CUDA_H
#define FND_DIALECT_CUDA_H

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
#define FND_CONSTANT static __device__ const
#define FND_INLINE   static __device__ __forceinline__
#define FND_SHARED_CODE static __device__ __noinline__ /* once in a program: what many calls use must stay in the instruction cache */
#define FND_CHECK(e, message) static_assert(e, message)
#define FND_UNROLL   _Pragma("unroll")
#define FND_ROLLED   _Pragma("unroll 1") /* a loop that is not worth its code */
#define FND_ALIGNED(bytes) __align__(bytes)

/* ---- bits ------------------------------------------------------------------------------------ */
FND_INLINE u32 fnd_f32_bits(f32 v) { return __float_as_uint(v); }
FND_INLINE f32 fnd_bits_f32(u32 b) { return __uint_as_float(b); }
FND_INLINE u16 fnd_load_u16(const u8 *p) { return (u16)(p[0] | p[1] << 8); }
FND_INLINE u32 fnd_load_u32(const u8 *p) { return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24; }
FND_INLINE f32 fnd_fmin(f32 a, f32 b) { return a < b ? a : b; }
FND_INLINE f32 fnd_fmax(f32 a, f32 b) { return a > b ? a : b; }
FND_INLINE f32 fnd_fabs(f32 a) { return fabsf(a); }
FND_INLINE f32 fnd_sqrt(f32 a) { return __fsqrt_rn(a); }
FND_INLINE f32 fnd_floor(f32 a) { return floorf(a); }
FND_INLINE f32 fnd_round(f32 a) { return __fsub_rn(__fadd_rn(a, 12582912.0f), 12582912.0f); } /* |a| < 2^22, ties to even */
FND_INLINE f32 fnd_cos(f32 a) { return cosf(a); }
FND_INLINE f32 fnd_sin(f32 a) { return sinf(a); }
FND_INLINE f32 fnd_log(f32 a) { return logf(a); }
FND_INLINE f32 fnd_pow(f32 a, f32 b) { return powf(a, b); }

/* The conversions are one instruction; cuda_fp16.h, which wraps it, is a system header. */
FND_INLINE f32 fnd_cuda_f16_to_f32(u16 h) { f32 v; asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(h)); return v; }
/* To a whole register: given as 16 bits, its low byte alone was stored as zero (ptxas 13.0). */
FND_INLINE u16 fnd_cuda_f32_to_f16(f32 v) { u32 h; asm("{.reg .b16 t; cvt.rn.f16.f32 t, %1; cvt.u32.u16 %0, t;}" : "=r"(h) : "f"(v)); return (u16)h; }
#define FND_F16_TO_F32(h) fnd_cuda_f16_to_f32(h)
#define FND_F32_TO_F16(v) fnd_cuda_f32_to_f16(v)

/* ---- vectors --------------------------------------------------------------------------------- */
#define FND_VEC 4
typedef struct vec { f32 x, y, z, w; } vec;

FND_INLINE vec fnd_cuda_vec(f32 x, f32 y, f32 z, f32 w) { vec v; v.x = x; v.y = y; v.z = z; v.w = w; return v; }
#define FND_CUDA_VEC_OP_(op) \
    FND_INLINE vec operator op(vec a, vec b) { return fnd_cuda_vec(a.x op b.x, a.y op b.y, a.z op b.z, a.w op b.w); }
FND_CUDA_VEC_OP_(+)
FND_CUDA_VEC_OP_(-)
FND_CUDA_VEC_OP_(*)
FND_CUDA_VEC_OP_(/)
FND_INLINE vec operator-(vec a) { return fnd_cuda_vec(-a.x, -a.y, -a.z, -a.w); }

FND_INLINE vec fnd_vec_splat(f32 v) { return fnd_cuda_vec(v, v, v, v); }
/* All 16 bytes at once where they lie so: mostly. */
typedef struct __align__(16) fnd_cuda_four { f32 x, y, z, w; } fnd_cuda_four;
FND_INLINE bool fnd_cuda_aligned(const void *p) { return ((u64)p & 15u) == 0; }
FND_INLINE vec fnd_vec_load(const f32 *p) {
    if (!fnd_cuda_aligned(p)) return fnd_cuda_vec(p[0], p[1], p[2], p[3]);
    fnd_cuda_four v = *(const fnd_cuda_four *)p;
    return fnd_cuda_vec(v.x, v.y, v.z, v.w);
}
FND_INLINE vec fnd_vec_load_own(const f32 *p) { return fnd_cuda_vec(p[0], p[1], p[2], p[3]); }
FND_INLINE void fnd_vec_store(f32 *p, vec v) {
    if (fnd_cuda_aligned(p)) {
        fnd_cuda_four four = { v.x, v.y, v.z, v.w };
        *(fnd_cuda_four *)p = four;
    } else {
        p[0] = v.x, p[1] = v.y, p[2] = v.z, p[3] = v.w;
    }
}
FND_INLINE vec fnd_vec_min(vec a, vec b) { return fnd_cuda_vec(fnd_fmin(a.x, b.x), fnd_fmin(a.y, b.y), fnd_fmin(a.z, b.z), fnd_fmin(a.w, b.w)); }
FND_INLINE vec fnd_vec_max(vec a, vec b) { return fnd_cuda_vec(fnd_fmax(a.x, b.x), fnd_fmax(a.y, b.y), fnd_fmax(a.z, b.z), fnd_fmax(a.w, b.w)); }
FND_INLINE f32 fnd_cuda_pow2(f32 n) { return fnd_bits_f32((u32)((i32)n + 127) << 23); }
FND_INLINE vec fnd_vec_pow2_(vec n) { return fnd_cuda_vec(fnd_cuda_pow2(n.x), fnd_cuda_pow2(n.y), fnd_cuda_pow2(n.z), fnd_cuda_pow2(n.w)); }
FND_INLINE f32 fnd_vec_sum(vec v) { return (v.x + v.z) + (v.y + v.w); }
FND_INLINE f32 fnd_vec_max_lane(vec v) { return fnd_fmax(fnd_fmax(v.x, v.z), fnd_fmax(v.y, v.w)); }
FND_INLINE f32 fnd_vec_get(vec v, u32 i) { return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w; }
/* FND_VEC halves to floats, from any address. */
FND_INLINE vec fnd_vec_load_f16(const u16 *p) {
    return fnd_cuda_vec(fnd_cuda_f16_to_f32(p[0]), fnd_cuda_f16_to_f32(p[1]), fnd_cuda_f16_to_f32(p[2]), fnd_cuda_f16_to_f32(p[3]));
}

/* ---- threads --------------------------------------------------------------------------------- */
#define FND_LANES 32
#ifndef FND_WARPS
  #define FND_WARPS 4
#endif
FND_INLINE f32 fnd_lane_sum(f32 v) {
    for (i32 step = 16; step; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
    return v;
}
FND_INLINE f32 fnd_lane_max(f32 v) {
    for (i32 step = 16; step; step >>= 1) v = fnd_fmax(v, __shfl_xor_sync(0xffffffffu, v, step));
    return v;
}
FND_INLINE f32 fnd_lane_get(f32 v, u32 lane) { return __shfl_sync(0xffffffffu, v, (i32)lane); }
FND_INLINE void fnd_cuda_group_barrier() {
#ifdef FND_STREAM /* one warp more takes no part */
    asm volatile("bar.sync 1, %0;" ::"n"(FND_WARPS * FND_LANES) : "memory");
#else
    __syncthreads();
#endif
}
#define fnd_group_barrier(t) ((void)(t), fnd_cuda_group_barrier())
#define fnd_warp_barrier(t)  ((void)(t), __syncwarp()) /* lanes see what lanes of their warp wrote */
FND_INLINE void fnd_prefetch(const void *p) { asm volatile("prefetch.global.L2 [%0];" :: "l"(p)); }
/* 1 in all threads of one group: the last of `count` that come to `place`; it sees what the others wrote before. All
 * threads of a group call it together. A machine may say 0 to all. */
#define FND_CUDA_PLACES 1024u
static __device__ u32 fnd_cuda_comers[FND_CUDA_PLACES]; /* wraps to 0 with the last */
FND_INLINE u32 fnd_cuda_last_group(u32 first_thread, u32 place, u32 count, u32 *last) {
    if (first_thread) {
        u32 before = 0;
        if (place < FND_CUDA_PLACES) asm volatile("atom.inc.acq_rel.gpu.u32 %0, [%1], %2;" : "=r"(before) : "l"(fnd_cuda_comers + place), "r"(count - 1) : "memory");
        *last = place < FND_CUDA_PLACES && before == count - 1;
    }
    return 0;
}
#define fnd_last_group(t, place, count)                                                                    \
    (fnd_group_barrier(t), fnd_cuda_last_group(fnd_thread_index(t) == 0, place, count, (u32 *)(t).reduce), \
     fnd_group_barrier(t), *(volatile u32 *)(t).reduce)
/* turn: which warp of the grid has the first rows of the next matrix, see gemv/x.cuda.h. shared_scratch: device
 * memory that all groups see. */
#ifdef FND_STREAM
  #define FND_TEAM_FIELDS u32 turn; u8 *shared_scratch; FND_STREAM_FIELDS
#else
  #define FND_TEAM_FIELDS u32 turn; u8 *shared_scratch;
#endif
#define FND_GROUP_ARRAY(T, name, count) __shared__ __align__(16) T name[count]

extern __shared__ __align__(1024) u8 fnd_cuda_shared[];
#ifdef FND_STREAM
#include "dialect/stream.cuda.h"
#endif

/* A barrier over all groups of a program. The first group's arrival adds what makes the sum of all
 * arrivals flip the highest bit, so the word needs no clearing (as CUDA's cooperative groups do it). */
static __device__ u32 fnd_cuda_arrivals;
FND_INLINE void fnd_cuda_grid_barrier() {
#ifdef FND_STREAM
    if (threadIdx.x == 0) fnd_stream_pause(1);
#endif
    fnd_cuda_group_barrier();
    if (threadIdx.x == 0) {
        u32 mine = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1u, old, now;
        asm volatile("atom.add.acq_rel.gpu.u32 %0, [%1], %2;" : "=r"(old) : "l"(&fnd_cuda_arrivals), "r"(mine) : "memory");
        now = old + mine; /* the last to arrive need not ask */
        while (((old ^ now) & 0x80000000u) == 0) asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(now) : "l"(&fnd_cuda_arrivals) : "memory");
#ifdef FND_STREAM
        fnd_stream_pause(0);
#endif
    }
    fnd_cuda_group_barrier();
}
#define fnd_grid_barrier(t) ((void)(t), fnd_cuda_grid_barrier())

/* ---- entry points ---------------------------------------------------------------------------- */
/* A weight matrix, as the host fills it in for every machine; `ops` means something on a CPU only. */
typedef struct fnd_weight {
    const u8 *data;
    u64       ops;
} fnd_weight;

#define FND_FIELD_IN_(T, name)     const T *name;
#define FND_FIELD_OUT_(T, name)    T *name;
#define FND_FIELD_INOUT_(T, name)  T *name;
#define FND_FIELD_WEIGHT_(T, name) fnd_weight name;
#define FND_FIELD_VAL_(T, name)    T name;
#define FND_FIELD_(kind, T, name)  FND_FIELD_##kind##_(T, name)

/* Declares `t`: what this thread knows of itself. Scratch memory lies in the group's own fast memory where
 * it fits; the host then gives no address. */
#define FND_CUDA_THREAD_(t, scratch_of_all, bytes_of_each, shared_by_all)              \
        __shared__ f32 reduce_of_group[FND_WARPS + 1];                                 \
        fnd_thread t;                                                                  \
        t.group = blockIdx.x;                                                          \
        t.groups = gridDim.x;                                                          \
        t.warp = threadIdx.x / FND_LANES;                                              \
        t.lane = threadIdx.x % FND_LANES;                                              \
        t.reduce = reduce_of_group;                                                    \
        t.turn = 0;                                                                    \
        t.shared_scratch = (shared_by_all);                                            \
        t.scratch = (scratch_of_all) ? (scratch_of_all) + blockIdx.x * (bytes_of_each) : fnd_cuda_shared;

/* FND_KERNEL(name, TENSORS, VALUES, bytes) { body }: see dialect/c.h. In a program's text, which only calls
 * the bodies, no entry point is compiled. */
#define FND_BODY_(name, TENSORS, VALUES, bytes)                                        \
    typedef struct name##_args { TENSORS(FND_FIELD_) VALUES(FND_FIELD_) } name##_args; \
    FND_CHECK(sizeof(name##_args) == (bytes), #name ": host and device disagree on the argument struct"); \
    FND_INLINE void name##_body(fnd_thread &t, name##_args a);
#define FND_ENTRY_(name)                                                               \
    extern "C" __global__ void __launch_bounds__(FND_WARPS * FND_LANES, 1)             \
    name(const __grid_constant__ name##_args a, u8 *scratch, u64 scratch_bytes, u8 *shared) { \
        FND_CUDA_THREAD_(t, scratch, scratch_bytes, shared)                                 \
        name##_body(t, a);                                                             \
    }
#ifdef FND_BODIES_ONLY
  #undef FND_ENTRY_
  #define FND_ENTRY_(name)
#endif
#define FND_KERNEL(name, TENSORS, VALUES, bytes)                                       \
    FND_BODY_(name, TENSORS, VALUES, bytes)                                            \
    FND_ENTRY_(name)                                                                   \
    FND_INLINE void name##_body(fnd_thread &t, name##_args a)

/* FND_PROGRAM(name) { calls of bodies }: one cooperative kernel whose groups are all resident; its
 * parameters are the program's table on the device, and scratch memory as above. With a weight stream, a
 * last warp runs FND_BRINGS(name) { calls of what brings each body's weights } beside it; scratch memory is
 * then fast memory, whose end is a copy of the table (behind a barrier it would have to come from L2 again), and the
 * ring is all that lies behind it. */
#ifdef FND_STREAM
  #define FND_PROGRAM(name)                                                            \
    FND_INLINE void name##_program(fnd_thread &t, const u8 *args);                     \
    extern "C" __global__ void __launch_bounds__(FND_WARPS * FND_LANES + FND_STREAM_THREADS, 1) \
    name(const u8 *args, u8 *, u64 scratch_bytes, u8 *shared) {                        \
        FND_CUDA_THREAD_(t, (u8 *)0, 0, shared)                                        \
        t.groups = FND_GROUPS; /* a constant */                                        \
        u8 *const table = fnd_cuda_shared + (u32)scratch_bytes - FND_STREAM_TABLE;     \
        fnd_stream_begin(args, table);                                                 \
        args = table;                                                                  \
        t.tile = t.piece = t.chunk = 0;                                                \
        if (t.warp == FND_WARPS) {                                                     \
            fnd_feeder f = { t.lane, t.group, t.groups, 0, (u32)scratch_bytes };       \
            asm("mov.u32 %0, %dynamic_smem_size;" : "=r"(f.ring_bytes));               \
            f.ring_bytes -= f.ring;                                                    \
            name##_brings(f, args);                                                    \
            return;                                                                    \
        }                                                                              \
        name##_program(t, args);                                                       \
    }                                                                                  \
    FND_INLINE void name##_program(fnd_thread &t, const u8 *args)
#else
  #define FND_PROGRAM(name)                                                            \
    FND_INLINE void name##_program(fnd_thread &t, const u8 *args);                     \
    extern "C" __global__ void __launch_bounds__(FND_WARPS * FND_LANES, 1)             \
    name(const u8 *args, u8 *scratch, u64 scratch_bytes, u8 *shared) {                \
        FND_CUDA_THREAD_(t, scratch, scratch_bytes, shared)                                 \
        name##_program(t, args);                                                       \
    }                                                                                  \
    FND_INLINE void name##_program(fnd_thread &t, const u8 *args)
#endif
#define FND_BRINGS(name)        FND_INLINE void name##_brings(fnd_feeder &t, const u8 *args)
#define FND_BRINGS_KERNEL(name) FND_INLINE void name##_brings(fnd_feeder &t, const name##_args &a)
#define FND_PART(type, at) ((const type *)(args + (at)))

/* Calls that are timed within a program: see dialect/c.h. The clock is the processor's own; a call has ended when all
 * warps of the group have. */
FND_INLINE u64 fnd_cuda_clock() { u64 v; asm volatile("mov.u64 %0, %%clock64;" : "=l"(v) :: "memory"); return v; }
FND_INLINE u64 fnd_cuda_time() { u64 v; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(v) :: "memory"); return v; }
FND_INLINE void fnd_cuda_stamp(u64 *&stamp, u64 value) {
    if (threadIdx.x == 0) *stamp = value;
    stamp++;
}
#define FND_STAMPS(t, at, count)                                              \
    u64 *stamp = *(u64 *const *)(args + (at)) + (u64)(t).group * (count);     \
    fnd_cuda_stamp(stamp, fnd_cuda_time())
#define FND_CALL_BEGINS(t) fnd_cuda_stamp(stamp, fnd_cuda_clock())
#define FND_CALL_ENDS(t)   (fnd_cuda_group_barrier(), fnd_cuda_stamp(stamp, fnd_cuda_clock()))
#define FND_STAMPS_END(t)  fnd_cuda_stamp(stamp, fnd_cuda_time())

#endif
